//! Locks that restic honours, and ours that honour restic's.

use super::{Repository, RepositoryError};
use crate::context::Context;

/// Shared: many may write; exclusive: prune, and whatever removes packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    Shared,
    Exclusive,
}

/// A held lock, refreshed in the background every five minutes. Call [`Lock::release`]; a dropped one is left to age.
#[derive(Debug)]
pub struct Lock {}

impl Repository {
    /// Takes a lock that restic honours and honours restic's; removes locks that are provably dead (our own host's
    /// dead pids) and waits up to `wait` for others. A lock that is lost cancels `cx`.
    pub async fn lock(&self, kind: LockKind, wait: std::time::Duration, cx: &Context) -> Result<Lock, RepositoryError> {
        todo!()
    }
}

impl Lock {
    pub async fn release(self) -> Result<(), RepositoryError> {
        todo!()
    }
}
