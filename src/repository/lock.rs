//! Locks that restic honours, and ours that honour restic's: any number of shared ones, or one exclusive.
//! Owns who may work on a repository at the same time; refuses to judge another's lock by this machine's clock:
//! ages are differences between two times of the store's clock, taken from the lock files themselves.
//! Source: restic `internal/restic/lock.go`; what 0.18 does where 0.14 differs.
//!
//! The order is in `docs/ordering.md` (R5 to R7): a lock is written *before* the others are looked at, so that of two that come at
//! once at least one sees the other; a refresh writes the new file before it removes the old one.

mod document;
mod keeper;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::files::FileMeta;
use super::{FileKind, LockId, Repository, RepositoryError};
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::process::Process;
use crate::storage::StorageError;

use document::Document;
use keeper::Keeper;
pub(super) use keeper::Kept;

pub use document::{LockInfo, LockState};

/// A lock that has not been refreshed for this long is dead. restic's number (`StaleLockTimeout`).
const STALE: SignedDuration = SignedDuration::from_mins(30);

/// A lock file that is this much younger than now was written while the store's clock was wrong.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// The first pause of one who waits, doubled up to the longest: a short command's lock is gone soon, and a long one's
/// should not cost the store a request a second.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Shared: many may write; exclusive: prune, and whatever removes packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    Shared,
    Exclusive,
}

/// A held lock, refreshed in the background every five minutes. Call [`Lock::release`]; one that is dropped is removed
/// in the background if the runtime lives long enough, else it is dead with its process, which the next one sees.
#[derive(Debug)]
pub struct Lock {
    kind: LockKind,
    kept: Arc<Kept>,
    stop: DropGuard,
    task: JoinHandle<Result<(), RepositoryError>>,
}

impl Repository {
    /// Takes a lock that restic honours and honours restic's. Removes locks that are provably dead (processes of this
    /// machine that are gone, at once; others after 30 minutes by the store's clock) and waits up to `wait` for the rest.
    /// A lock that is lost (removed by somebody, or not refreshed for too long) cancels `cx`; [`Lock::release`] then
    /// says so.
    ///
    /// # Errors
    /// `Locked` with the holder when `wait` is over, `Cancelled` when `cx` is.
    pub async fn lock(&self, kind: LockKind, wait: Duration, cx: &Context) -> Result<Lock, RepositoryError> {
        let deadline = Instant::now() + wait;
        let mut pause = FIRST_PAUSE;
        loop {
            if cx.cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            let holder = match self.try_lock(kind, cx).await? {
                Attempt::Held(lock) => return Ok(lock),
                Attempt::Conflict(holder) => holder,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RepositoryError::Locked { holder });
            }
            tracing::debug!(%holder, "waiting for a lock of the repository");
            // Two that back off from each other must not come back at the same time.
            let jittered = pause.mul_f64(rand::random_range(0.5..1.5));
            tokio::select! {
                () = cx.cancel.cancelled() => return Err(RepositoryError::Cancelled),
                () = tokio::time::sleep(jittered.min(left)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One attempt: look, write, look again. The first look keeps one who waits from writing lock files that would make
    /// others fail.
    async fn try_lock(&self, kind: LockKind, cx: &Context) -> Result<Attempt, RepositoryError> {
        let others = self.living_locks(self.survey().await?).await?;
        let now = cx.clock.now();
        let young = |seen: &&Seen| seen.conflicts(kind) && now.duration_since(seen.file.modified) <= STALE;
        if let Some(blocker) = others.iter().find(young) {
            return Ok(Attempt::Conflict(blocker.holder_at(now)));
        }
        let lock = self.write_lock(kind, cx).await?;
        match self.look_again(kind, &lock).await {
            Ok(None) => Ok(Attempt::Held(lock)),
            Ok(Some(holder)) => {
                lock.release().await?;
                Ok(Attempt::Conflict(holder))
            }
            Err(error) => {
                // The error that is reported is the one that made us give up; the lock dies with this process.
                if let Err(release) = lock.release().await {
                    tracing::warn!(error = %release, "a lock could not be removed");
                }
                Err(error)
            }
        }
    }

    /// Writes a lock and starts its keeper at once, so that it is taken back however the caller ends.
    async fn write_lock(&self, kind: LockKind, cx: &Context) -> Result<Lock, RepositoryError> {
        let exclusive = kind == LockKind::Exclusive;
        let keeper = Keeper::create(self.clone(), cx.clone(), Document::of(Process::this(), exclusive)).await?;
        let kept = keeper.kept();
        let stop = tokio_util::sync::CancellationToken::new();
        let task = tokio::spawn(keeper.run(stop.clone()));
        Ok(Lock { kind, kept, stop: stop.drop_guard(), task })
    }

    /// With our own lock written: who else holds one that excludes it? Stale ones are removed, and then everything is
    /// looked at again, because their holder may have come back meanwhile.
    async fn look_again(&self, kind: LockKind, lock: &Lock) -> Result<Option<String>, RepositoryError> {
        loop {
            let seen = self.living_locks(self.survey().await?).await?;
            let Some(own) = seen.iter().find(|seen| lock.kept.is_own(seen.id())) else {
                return Ok(Some("somebody who removed our lock".into()));
            };
            let store_now = own.file.modified;
            lock.kept.store_says(store_now);
            let mut removed = false;
            for other in seen.iter().filter(|seen| !lock.kept.is_own(seen.id()) && seen.conflicts(kind)) {
                if !other.is_stale(store_now) {
                    return Ok(Some(other.holder_at(store_now)));
                }
                tracing::warn!(lock = %other.id(), holder = %other.holder(), "removing a stale lock");
                self.remove_file(FileKind::Lock, &other.file.id).await?;
                removed = true;
            }
            if !removed {
                return Ok(None);
            }
        }
    }

    /// Every lock, without those of processes of this machine that are gone: these are removed.
    async fn living_locks(&self, seen: Vec<Seen>) -> Result<Vec<Seen>, RepositoryError> {
        let mut living = Vec::with_capacity(seen.len());
        for seen in seen {
            if seen.is_of_a_dead_process() {
                tracing::info!(lock = %seen.id(), "removing the lock of a process that is gone");
                self.remove_file(FileKind::Lock, &seen.file.id).await?;
            } else {
                living.push(seen);
            }
        }
        Ok(living)
    }

    /// Every lock as it is now; one that goes while we look is not there, one that cannot be understood is kept as such.
    async fn survey(&self) -> Result<Vec<Seen>, RepositoryError> {
        let files = self.list_files(FileKind::Lock).await?;
        let load = |file: FileMeta| async move {
            match self.load_file(FileKind::Lock, &file.id).await {
                Ok(json) => Ok(Some(Seen { file, document: Document::from_json(&json).ok() })),
                Err(RepositoryError::Storage(StorageError::NotFound { .. })) => Ok(None),
                Err(error) if error.category() == Category::Integrity => Ok(Some(Seen { file, document: None })),
                Err(error) => Err(error),
            }
        };
        let seen: Vec<Option<Seen>> = stream::iter(files).map(load).buffer_unordered(16).try_collect().await?;
        Ok(seen.into_iter().flatten().collect())
    }

    /// Every lock, with its age by the store's clock and what is known about its holder. Writes and removes a shared
    /// lock of its own: there is no other way to ask a store for the time. Where it takes none (it is full, or these
    /// credentials may only read), this machine's clock has to do, which is said.
    pub async fn locks(&self, cx: &Context) -> Result<Vec<LockInfo>, RepositoryError> {
        let probe = match self.write_lock(LockKind::Shared, cx).await {
            Ok(probe) => probe,
            Err(RepositoryError::Storage(error)) => {
                tracing::warn!(%error, "the store takes no lock file; ages of locks are by this machine's clock");
                let (now, seen) = (cx.clock.now(), self.survey().await?);
                return Ok(seen.iter().map(|seen| seen.info(now)).collect());
            }
            Err(error) => return Err(error),
        };
        let seen = self.survey().await;
        let own: Vec<LockId> = probe.kept.ids();
        probe.release().await?;
        let seen = seen?;
        let now = seen.iter().filter(|s| own.contains(&s.id())).map(|s| s.file.modified).max();
        let now = now.ok_or_else(|| RepositoryError::LockLost { reason: "somebody removed it".into() })?;
        Ok(seen.iter().filter(|s| !own.contains(&s.id())).map(|s| s.info(now)).collect())
    }

    /// Removes locks that are stale or whose process is gone, or all of them, and returns those it removed. Unlike
    /// [`Self::lock`] it believes a restic lock with this machine's host name and a dead process id, as
    /// `restic unlock` does: a person has asked for it.
    ///
    /// `all` ends the protection of whoever still works: only when it is certain that nobody does.
    pub async fn unlock(&self, all: bool, cx: &Context) -> Result<Vec<LockInfo>, RepositoryError> {
        let mut removed = self.locks(cx).await?;
        removed.retain(|lock| all || matches!(lock.state, LockState::Stale | LockState::Dead));
        for lock in &removed {
            self.remove_file(FileKind::Lock, &lock.id.0).await?;
        }
        Ok(removed)
    }
}

enum Attempt {
    Held(Lock),
    Conflict(String),
}

/// A lock file as it was found.
#[derive(Debug)]
struct Seen {
    file: FileMeta,
    /// `None`: it cannot be read or understood.
    document: Option<Document>,
}

impl Seen {
    fn id(&self) -> LockId {
        LockId(self.file.id)
    }

    /// What cannot be read may be an exclusive one.
    fn conflicts(&self, kind: LockKind) -> bool {
        kind == LockKind::Exclusive || self.document.as_ref().is_none_or(|d| d.exclusive)
    }

    fn is_of_a_dead_process(&self) -> bool {
        self.document.as_ref().is_some_and(|d| Process::this().knows_dead(&d.hostname, d.pid, self.file.modified))
    }

    /// Older than [`STALE`] by the store's clock, and not of a process that is seen alive on this machine: when the
    /// clock jumps ahead, every lock looks old.
    fn is_stale(&self, store_now: Timestamp) -> bool {
        let alive = self.document.as_ref().is_some_and(|d| Process::this().knows_alive(&d.hostname, d.pid));
        store_now.duration_since(self.file.modified) > STALE && !alive
    }

    fn holder(&self) -> String {
        match &self.document {
            Some(document) => format!("{document} (lock {})", self.id().short()),
            None => format!("a lock that cannot be read ({})", self.id().short()),
        }
    }

    /// Dated later than any right clock could say: it does not age until the clock has come there.
    fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.file.modified.duration_since(now) > AHEAD
    }

    /// The holder, and that its lock will not grow old by itself.
    fn holder_at(&self, now: Timestamp) -> String {
        match self.is_ahead_of(now) {
            true => format!("{}, which is dated in the future ({:.0})", self.holder(), self.file.modified),
            false => self.holder(),
        }
    }

    fn info(&self, store_now: Timestamp) -> LockInfo {
        let dead = self.is_of_a_dead_process()
            || self.document.as_ref().is_some_and(|d| Process::this().believes_dead(&d.hostname, d.pid));
        let state = match () {
            () if dead => LockState::Dead,
            () if self.is_stale(store_now) => LockState::Stale,
            () if self.is_ahead_of(store_now) => LockState::Ahead,
            () => LockState::Live,
        };
        let age = store_now.duration_since(self.file.modified).max(SignedDuration::ZERO);
        LockInfo {
            id: self.id(),
            holder: self.holder(),
            exclusive: self.document.as_ref().map(|d| d.exclusive),
            age_seconds: age.as_secs().unsigned_abs(),
            state,
        }
    }
}

impl Lock {
    /// Removes the lock.
    ///
    /// # Errors
    /// `LockLost` when it was lost before: what was done meanwhile was not protected. Otherwise what the store says.
    pub async fn release(self) -> Result<(), RepositoryError> {
        self.stop.disarm().cancel();
        match self.task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(RepositoryError::Cancelled),
            },
        }
    }

    #[must_use]
    pub fn kind(&self) -> LockKind {
        self.kind
    }

    /// The same for as long as this lock is held, and no other's.
    pub(super) fn identity(&self) -> Arc<Kept> {
        Arc::clone(&self.kept)
    }

    /// Why it was lost, if it was: then the context is cancelled, and that is the reason.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        self.kept.lost()
    }
}
