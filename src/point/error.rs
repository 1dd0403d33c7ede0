use jiff::Timestamp;

use crate::failure::{Category, Failure};
use crate::repository::RepositoryError;
use crate::stack::{Name, SecretError};
use crate::storage::StorageError;

#[derive(Debug, thiserror::Error)]
pub enum PointError {
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("cannot understand {what}")]
    Document { what: String, source: serde_json::Error },
    #[error("{what} has format version {found}; this drydock {} reads up to {known}", env!("CARGO_PKG_VERSION"))]
    Newer { what: String, found: u32, known: u32 },
    #[error("cannot understand {what}: {reason}")]
    Manifest { what: String, category: Category, reason: String },
    #[error("{what} holds no {name}")]
    NoFile { what: String, name: &'static str },
    #[error("no stack has its home at {location}")]
    NotInitialised { location: String },
    #[error("{location} belongs to the stack `{owner}`, not to `{stack}`")]
    OtherStack { location: String, owner: Name, stack: Name },
    #[error("there is no recovery point `{wanted}` of the stack `{stack}`")]
    NotFound { wanted: String, stack: Name },
    #[error("there is no complete recovery point of the stack `{stack}` yet")]
    NoneComplete { stack: Name },
    #[error("no drill has restored a recovery point of the stack `{stack}` yet")]
    NoneProven { stack: Name },
    #[error("every complete recovery point of the stack `{stack}` is broken; the newest: {why}")]
    AllBroken { stack: Name, why: String },
    #[error("recovery point {id} is kept {former}; that would be shortened")]
    Shortens { id: String, former: String },
    #[error("the only complete recovery point is {id}, a safety point of what a restore replaced")]
    OnlySafety { id: String },
    #[error("recovery point {id} is dated {time:.0}, but this machine's clock says {now:.0}: one of them is wrong")]
    AllAhead { id: String, time: Timestamp, now: Timestamp },
    #[error("`{wanted}` is the beginning of {} recovery points: {}", found.len(), found.join(", "))]
    Ambiguous { wanted: String, found: Vec<String> },
    #[error("recovery point {id} is broken: {why}")]
    Broken { id: String, why: String },
}

impl Failure for PointError {
    fn category(&self) -> Category {
        match self {
            Self::Repository(error) => error.category(),
            Self::Storage(error) => error.category(),
            Self::Secret(error) => error.category(),
            Self::Document { .. } | Self::NoFile { .. } | Self::Broken { .. } | Self::AllBroken { .. } => {
                Category::Integrity
            }
            Self::Manifest { category, .. } => *category,
            Self::NotInitialised { .. } => Category::RepositoryMissing,
            Self::Newer { .. }
            | Self::OtherStack { .. }
            | Self::NotFound { .. }
            | Self::NoneComplete { .. }
            | Self::NoneProven { .. }
            | Self::OnlySafety { .. }
            | Self::Shortens { .. }
            | Self::AllAhead { .. }
            | Self::Ambiguous { .. } => Category::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Repository(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::Secret(error) => error.hint(),
            Self::Document { .. } | Self::NoFile { .. } | Self::Broken { .. } | Self::AllBroken { .. } => {
                Some("see what else is touched with `drydock check -f FILE --read-data`".into())
            }
            Self::Manifest { .. } => None,
            Self::Newer { .. } => Some("use the drydock that wrote it, or a newer one".into()),
            Self::NotInitialised { .. } => Some("create it with `drydock init -f FILE`".into()),
            Self::OtherStack { .. } => {
                Some("give each stack a location of its own (`spec.repository.location`)".into())
            }
            Self::NotFound { .. } => Some("see which there are with `drydock points -f FILE`".into()),
            Self::NoneProven { .. } => Some("prove one with `drydock drill -f FILE`".into()),
            Self::NoneComplete { .. } => Some("take one with `drydock snapshot -f FILE`".into()),
            Self::Shortens { id, .. } => {
                Some(format!("if nobody needs it for longer, first `drydock points unkeep -f FILE {id}`"))
            }
            Self::OnlySafety { id } => Some(format!("if it is what you want, name it: `--point {id}`")),
            Self::AllAhead { id, .. } => Some(format!("set the clock, best by NTP, or name the point: `--point {id}`")),
            Self::Ambiguous { .. } => Some("write more of the id".into()),
        }
    }
}
