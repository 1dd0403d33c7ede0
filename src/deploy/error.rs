//! Why a release cannot be deployed.

use std::path::PathBuf;

use crate::failure::{Category, Failure};

#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// One line a problem, of all files.
    #[error("{}", problems.join("\n"))]
    Invalid { problems: Vec<String> },
    #[error("{} holds no manifest", place.display())]
    NothingThere { place: PathBuf },
    #[error("a stored release cannot be understood: {reason}")]
    DamagedRelease { reason: String },
    #[error("a stored release has format version {found}; this program knows up to {known}")]
    NewerRelease { found: u32, known: u32 },
}

impl Failure for DeployError {
    fn category(&self) -> Category {
        match self {
            Self::Read { .. } | Self::Invalid { .. } | Self::NothingThere { .. } => Category::Usage,
            Self::DamagedRelease { .. } => Category::Integrity,
            Self::NewerRelease { .. } => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::NothingThere { .. } => {
                Some("`spec.phases[].manifests` are seen from the folder of `--release`, else of the Stack document".into())
            }
            Self::Invalid { .. } => None,
            Self::DamagedRelease { .. } => Some("deploy the release again from its files".into()),
            Self::NewerRelease { .. } => Some("use the newer drydock".into()),
        }
    }
}
