//! Why a release cannot be deployed.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{ClusterError, ObjectId, Origin};
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
    #[error("{origin}: {source}")]
    Object { origin: Origin, source: Box<ClusterError> },
    #[error(transparent)]
    Cluster(Box<ClusterError>),
    #[error("{id} is not healthy after {} s: {why}", waited.as_secs())]
    Unhealthy { id: Box<ObjectId>, namespace: String, why: String, waited: Duration },
    #[error("{id} was removed and is still there: something holds it by a finalizer")]
    StillThere { id: Box<ObjectId> },
    #[error("the release has no phase `{phase}`")]
    NoPhase { phase: String },
    #[error("there is no release {number}")]
    NoRelease { number: u64 },
    #[error("no release of this stack was ever completed in this cluster")]
    NoReleases,
    #[error("the component `{component}` has a migration (`{migration}`), which this version cannot run yet")]
    Migration { component: String, migration: &'static str },
    #[error("what the plan tells the step `{step}` cannot be understood: {why}")]
    Parameters { step: String, why: String },
    #[error("the plan has a step `{step}`, which this program does not know")]
    UnknownStep { step: String },
    #[error("the deploy was told to stop")]
    Interrupted,
    #[error("a stored release cannot be understood: {reason}")]
    DamagedRelease { reason: String },
    #[error("a stored release has format version {found}; this program knows up to {known}")]
    NewerRelease { found: u32, known: u32 },
}

impl From<ClusterError> for DeployError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(Box::new(error))
    }
}

impl Failure for DeployError {
    fn category(&self) -> Category {
        match self {
            Self::Read { .. }
            | Self::Invalid { .. }
            | Self::NothingThere { .. }
            | Self::NoPhase { .. }
            | Self::NoRelease { .. }
            | Self::NoReleases
            | Self::Migration { .. } => Category::Usage,
            Self::Object { source, .. } | Self::Cluster(source) => source.category(),
            Self::Unhealthy { .. } | Self::StillThere { .. } => Category::Unavailable,
            Self::Parameters { .. } | Self::UnknownStep { .. } => Category::NeedsOperator,
            Self::Interrupted => Category::Interrupted,
            Self::DamagedRelease { .. } => Category::Integrity,
            Self::NewerRelease { .. } => Category::NeedsOperator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::NothingThere { .. } => Some(
                "`spec.phases[].manifests` are seen from the folder of `--release`, else of the Stack document".into(),
            ),
            Self::Object { source, .. } | Self::Cluster(source) => source.hint(),
            Self::Unhealthy { id, namespace, .. } => Some(format!(
                "`kubectl -n {namespace} describe {} {}` shows more; mend it and deploy again, or go back: `drydock \
                 rollback -f FILE`",
                id.kind.to_lowercase(),
                id.name
            )),
            Self::StillThere { id } => {
                Some(format!("look at `metadata.finalizers` of the {} `{}`, then deploy again", id.kind, id.name))
            }
            Self::NoRelease { .. } => Some("`drydock releases -f FILE` lists those that are kept".into()),
            Self::NoReleases => Some("correct the manifests and deploy them".into()),
            Self::NoPhase { .. } => Some("the phases are those of `spec.phases`".into()),
            Self::Migration { .. } => Some(
                "take `migration` out of the component to deploy its manifests alone, and run the migration yourself"
                    .into(),
            ),
            Self::Parameters { .. } | Self::UnknownStep { .. } => {
                Some("a newer drydock began it: use that one to bring it to its end".into())
            }
            Self::Invalid { .. } | Self::Interrupted => None,
            Self::DamagedRelease { .. } => Some("deploy the release again from its files".into()),
            Self::NewerRelease { .. } => Some("use the newer drydock".into()),
        }
    }
}
