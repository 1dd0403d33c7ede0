//! What can go wrong with a repository, and what each means for the operator.

use super::{BlobId, BlobKind};
use crate::failure::{Category, Failure};
use crate::storage::StorageError;

#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("there is no repository at {location}")]
    Missing { location: String },
    #[error("the password opens none of the {keys} keys of the repository at {location}")]
    WrongPassword { location: String, keys: usize },
    #[error("there is a repository at {location} already")]
    Exists { location: String },
    #[error("the repository at {location} has format version {version}; drydock reads and writes version 2")]
    Version { location: String, version: u32 },
    #[error("the repository is locked by {holder}")]
    Locked { holder: String },
    /// Bytes are not what their id, MAC or index says.
    #[error("{what} is damaged: {how}")]
    Damaged { what: String, how: String },
    /// A tree or snapshot names a blob that no index knows.
    #[error("{kind:?} blob {id} is in no index")]
    BlobMissing { kind: BlobKind, id: BlobId },
    #[error("cancelled")]
    Cancelled,
}

impl Failure for RepositoryError {
    fn category(&self) -> Category {
        match self {
            Self::Storage(error) => error.category(),
            Self::Missing { .. } => Category::RepositoryMissing,
            Self::WrongPassword { .. } => Category::WrongPassword,
            Self::Exists { .. } | Self::Version { .. } => Category::Usage,
            Self::Locked { .. } => Category::Locked,
            Self::Damaged { .. } | Self::BlobMissing { .. } => Category::Integrity,
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Storage(error) => error.hint(),
            Self::Missing { .. } => Some("create it with `drydock init -f FILE`".into()),
            Self::Version { .. } => Some("bring it to version 2 with `restic migrate upgrade_repo_v2`".into()),
            Self::Locked { .. } => Some(
                "wait for the other to finish, or run `drydock unlock -f FILE` when it is certain that it is dead"
                    .into(),
            ),
            Self::Damaged { .. } | Self::BlobMissing { .. } => {
                Some("run `drydock check -f FILE --read-data` to see which recovery points are touched".into())
            }
            _ => None,
        }
    }
}
