//! What can go wrong with a repository, and what each means for the operator.

use std::sync::Arc;

use super::tree::TreeError;
use super::{BlobId, BlobKind, KeyId};
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
    /// What was done since was not protected from others.
    #[error("the lock of the repository was lost: {reason}")]
    LockLost { reason: String },
    #[error("what may be done under an exclusive lock only was to be done without it")]
    NotExclusive,
    /// Bytes are not what their id, MAC or index says.
    #[error("{what} is damaged: {how}")]
    Damaged { what: String, how: String },
    /// A tree or snapshot names a blob that no index knows.
    #[error("{kind:?} blob {id} is in no index")]
    BlobMissing { kind: BlobKind, id: BlobId },
    /// What is about to be stored does not read back: memory, processor or a library is at fault; nothing was stored.
    #[error("{what} does not read back what was put in; nothing of it was stored")]
    SelfCheck { what: String },
    /// A caller handed over a folder that cannot be one.
    #[error("cannot store a folder")]
    Tree(#[from] TreeError),
    #[error("key {id} is the one in use and the proof that a password is known; it can only be changed")]
    KeyInUse { id: KeyId },
    #[error("the repository has no key {id}")]
    NoSuchKey { id: KeyId },
    #[error("key {id}, which opened the repository, was removed meanwhile; nothing was changed")]
    KeyGone { id: KeyId },
    /// A writer's first failure, told to each of its users.
    #[error(transparent)]
    Writer(Arc<RepositoryError>),
    #[error("a worker of the repository ended early")]
    WorkerLost,
    #[error("cancelled")]
    Cancelled,
}

impl Failure for RepositoryError {
    fn category(&self) -> Category {
        match self {
            Self::Storage(error) => error.category(),
            Self::Missing { .. } => Category::RepositoryMissing,
            Self::WrongPassword { .. } => Category::WrongPassword,
            Self::Exists { .. }
            | Self::Version { .. }
            | Self::KeyInUse { .. }
            | Self::NoSuchKey { .. }
            | Self::KeyGone { .. } => Category::Usage,
            Self::Locked { .. } => Category::Locked,
            Self::LockLost { .. } => Category::LeaseLost,
            Self::Damaged { .. } | Self::BlobMissing { .. } | Self::SelfCheck { .. } => Category::Integrity,
            Self::Tree(_) | Self::WorkerLost | Self::NotExclusive => Category::Bug,
            Self::Writer(error) => error.category(),
            Self::Cancelled => Category::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Storage(error) => error.hint(),
            Self::Writer(error) => error.hint(),
            Self::KeyInUse { .. } => {
                Some("open the repository with another key's password, or use `drydock key change -f FILE`".into())
            }
            Self::KeyGone { .. } => {
                Some("run the command again with a password that still opens it: see `drydock key list -f FILE`".into())
            }
            Self::SelfCheck { .. } => Some("test this machine's memory before the next snapshot".into()),
            Self::Version { version: 3.., .. } => Some("a newer drydock is needed for it".into()),
            Self::Missing { .. } => Some("create it with `drydock init -f FILE`".into()),
            Self::Version { .. } => Some("bring it to version 2 with `restic migrate upgrade_repo_v2`".into()),
            Self::Locked { .. } => Some(
                "wait for the other to finish, or run `drydock unlock -f FILE` when it is certain that it is dead \
                 (with --all for a lock that is dated in the future)"
                    .into(),
            ),
            Self::LockLost { .. } => Some("run the same command again; nothing half-done is listed".into()),
            Self::Damaged { .. } | Self::BlobMissing { .. } => {
                Some("run `drydock check -f FILE --read-data` to see which recovery points are touched".into())
            }
            _ => None,
        }
    }
}
