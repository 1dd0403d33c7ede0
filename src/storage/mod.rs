//! Objects in a local folder or in S3. Owns names, atomicity, durability and the words for what went wrong;
//! refuses to know what the bytes mean.
//!
//! Keys are `/`-separated, relative to the store's prefix (`repository/config`, `stack.json`).

mod direct;
pub mod disk;
mod doctor;
pub mod fault;
mod forgetful;
mod limit;
mod local;
mod open;
mod probe;
mod retry;
mod s3;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::failure::{Category, Failure};

pub use doctor::doctor;
pub use fault::Faulty;
pub use forgetful::Forgetful;
pub use limit::{Limited, Limits, RateLimiter};
pub use local::LocalStore;
pub use open::{Location, StoreSpec, create, open};
pub use probe::{CreateIfAbsent, probe_create_if_absent};
pub use retry::{Retry, RetryPolicy};
pub use s3::{Menace, S3Credentials, S3Spec, S3Store, S3Timeouts};

/// One stored object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Relative to the store's prefix.
    pub key: String,
    pub bytes: u64,
    /// By the store's clock.
    pub modified: Timestamp,
}

/// Whether a create-if-absent was the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    Exists,
}

/// What [`Store::sweep`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub objects: u64,
    pub bytes: u64,
}

/// Where objects live. `Arc<dyn Store>` everywhere; retries, limits and faults are decorators around another store.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// For people: `/var/backups/papg` or `s3://bucket/prefix`; never holds a credential.
    fn location(&self) -> String;

    /// The whole object.
    async fn get(&self, key: &str) -> Result<Bytes, StorageError>;

    /// Bytes `range` of the object; shorter than asked is an error ([`StorageError::Truncated`]).
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Stores or replaces the object: afterwards it is there whole and survives a power cut, or the former is untouched.
    /// `parts` are concatenated, so that a pack needs no second copy in memory.
    async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError>;

    /// Stores the object only if none has that key; of two that race exactly one is told [`Created::New`].
    /// `bytes` must hold something that is the caller's alone (a random token, a nonce): when an answer is lost on the
    /// way, the content is how the winner recognises itself.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError>;

    /// Removes the object, for ever: it does not come back after a power cut. One that is absent is no error.
    async fn delete(&self, key: &str) -> Result<(), StorageError>;

    /// Size and time, or `None` when there is no such object. "Could not ask" is an error, never `None`.
    async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError>;

    /// Everything below `prefix` (`repository/data/`), in no particular order; half-written objects are not listed.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError>;

    /// Removes what crashed writes have left and no listing shows (temporary files, unfinished multipart uploads),
    /// if it is at least this old. What is younger may be another process's work of this moment.
    async fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError>;
}

/// Refuses keys that could leave the prefix or that not every store can hold.
fn check_key(key: &str) -> Result<(), StorageError> {
    // SeaweedFS takes `\` for `/`; XML listings cannot hold control characters.
    let bad = key.len() > LONGEST_KEY
        || key.contains(|c: char| c == '\\' || c.is_control())
        || key.split('/').any(|part| matches!(part, "" | "." | "..") || part.len() > LONGEST_NAME);
    if bad {
        Err(StorageError::Misconfigured(format!("`{key}` is not a key that every store can hold")))
    } else {
        Ok(())
    }
}

/// S3 allows 1,024 bytes for prefix and key together.
const LONGEST_KEY: usize = 768;
/// What Linux file systems allow for a name.
const LONGEST_NAME: usize = 255;

/// Why a store did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{location} does not exist")]
    Missing { location: String },
    #[error("{location}/{key} does not exist")]
    NotFound { location: String, key: String },
    #[error("{location}/{key} has only {found} of {expected} bytes")]
    Truncated { location: String, key: String, expected: u64, found: u64 },
    #[error("{location} refuses {action} of {key}: {reason}")]
    Denied { location: String, key: String, action: &'static str, reason: String },
    #[error("{location} has no space left for {key}")]
    NoSpace { location: String, key: String },
    #[error("cannot {action} {location}/{key}: {reason}")]
    Unavailable { location: String, key: String, action: &'static str, reason: String },
    #[error("{0}")]
    Misconfigured(String),
}

impl Failure for StorageError {
    fn category(&self) -> Category {
        match self {
            Self::Missing { .. } => Category::RepositoryMissing,
            Self::Truncated { .. } => Category::Integrity,
            Self::Misconfigured(_) | Self::Denied { .. } => Category::Usage,
            Self::NotFound { .. } => Category::Integrity,
            Self::NoSpace { .. } | Self::Unavailable { .. } => Category::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("mount the disk that holds it, or create it with `drydock init -f FILE`".into())
            }
            Self::NoSpace { .. } => {
                Some("free space there and run the same command again: what was stored is used".into())
            }
            Self::Denied { .. } => Some("check the credentials and the store's policy with `drydock doctor`".into()),
            _ => None,
        }
    }
}

pub type SharedStore = Arc<dyn Store>;
