//! Keeps one lock alive and notices when it is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::{FileKind, LockId, Repository, RepositoryError};
use super::document::Document;
use crate::context::Context;

/// restic's interval.
const REFRESH: Duration = Duration::from_mins(5);

/// After this long without a refresh the lock is given up, while others still honour it: the 30 minutes after which it
/// is stale less one and a half intervals, for clocks that differ. restic's number (`refreshabilityTimeout`).
const GIVE_UP: Duration = Duration::from_secs(30 * 60 - 5 * 60 * 3 / 2);

/// How often the clocks are looked at. The process or the whole machine may have been frozen meanwhile, which timers do
/// not count; the shorter this is, the less is done under a lock that may be gone.
const LOOK: Duration = Duration::from_secs(1);

/// A failed refresh is tried again after this long, and one that hangs near the end gets this long at least.
const RETRY: Duration = Duration::from_secs(10);

/// A lock whose time is further from the store's clock is written again with the store's: another machine's restic
/// judges its age by that time.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What the keeper shares with the lock's holder.
#[derive(Debug, Default)]
pub(in super::super) struct Kept {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The lock's files: the newest last, before it what could not be removed yet.
    ids: Vec<LockId>,
    /// The time in the newest file, by this machine's clock as far as it was known to be wrong.
    written: Timestamp,
    /// The store's clock less this machine's.
    skew: SignedDuration,
    /// The newest file's time is too far from the store's clock.
    rewrite: bool,
    lost: Option<String>,
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ids(&self) -> Vec<LockId> {
        self.state().ids.clone()
    }

    pub fn is_own(&self, id: LockId) -> bool {
        self.state().ids.contains(&id)
    }

    pub fn lost(&self) -> Option<String> {
        self.state().lost.clone()
    }

    /// The store shows `modified` for our newest file.
    pub fn store_says(&self, modified: Timestamp) {
        let mut state = self.state();
        let off = modified.duration_since(state.written);
        if off.abs() > SKEW {
            state.skew += off;
            state.rewrite = true;
        }
    }
}

/// The background task of one lock.
#[derive(Debug)]
pub(super) struct Keeper {
    repository: Repository,
    cx: Context,
    document: Document,
    kept: Arc<Kept>,
    /// When the newest file was written, by the clock that stands still while the machine sleeps and by the one that
    /// may jump: the older of the two counts.
    refreshed: (Instant, Timestamp),
}

enum Outcome {
    Refreshed,
    TryAgain,
    Lost(String),
}

/// Why a refresh did not succeed.
enum Failed {
    /// The lock's file is gone: somebody holds it to be dead, and may be at work.
    Removed,
    /// The store could not be asked; another attempt may succeed.
    Store(RepositoryError),
}

impl From<RepositoryError> for Failed {
    fn from(error: RepositoryError) -> Self {
        Self::Store(error)
    }
}

impl Keeper {
    /// Writes the lock's first file.
    pub async fn create(repository: Repository, cx: Context, document: Document) -> Result<Self, RepositoryError> {
        let refreshed = (Instant::now(), cx.clock.now());
        let mut keeper = Self { repository, cx, document, kept: Arc::default(), refreshed };
        keeper.write().await?;
        Ok(keeper)
    }

    pub fn kept(&self) -> Arc<Kept> {
        Arc::clone(&self.kept)
    }

    /// Refreshes until `stop` or until the lock is lost; removes its files.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), RepositoryError> {
        let mut not_before = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.remove().await,
                () = tokio::time::sleep(LOOK) => {}
            }
            let due = self.age() >= REFRESH || self.kept.state().rewrite;
            if !due || Instant::now() < not_before {
                continue;
            }
            match self.refresh_in_time().await {
                Outcome::Refreshed => {}
                Outcome::TryAgain => not_before = Instant::now() + RETRY,
                Outcome::Lost(reason) => return self.lose(reason, stop).await,
            }
        }
    }

    async fn refresh_in_time(&mut self) -> Outcome {
        let patience = GIVE_UP.saturating_sub(self.age()).max(RETRY);
        let why = match tokio::time::timeout(patience, self.refresh()).await {
            Ok(Ok(())) => return Outcome::Refreshed,
            Ok(Err(Failed::Removed)) => return Outcome::Lost("somebody removed it".into()),
            Ok(Err(Failed::Store(error))) => error.to_string(),
            Err(_) => "the store does not answer".into(),
        };
        tracing::warn!(reason = %why, "a lock of the repository could not be refreshed");
        if self.age() < GIVE_UP {
            return Outcome::TryAgain;
        }
        Outcome::Lost(format!("it could not be refreshed for {} minutes: {why}", GIVE_UP.as_secs() / 60))
    }

    /// Stops the work that the lock no longer protects, then waits to be told that it has stopped.
    async fn lose(&self, reason: String, stop: CancellationToken) -> Result<(), RepositoryError> {
        tracing::error!(%reason, "the lock of the repository is lost");
        self.kept.state().lost = Some(reason.clone());
        self.cx.cancel.cancel();
        stop.cancelled().await;
        if let Err(error) = self.remove().await {
            tracing::warn!(%error, "what is left of a lost lock could not be removed");
        }
        Err(RepositoryError::LockLost { reason })
    }

    /// New file first, then the old ones go: at no instant is there none. The old one is looked for *after* the new one
    /// was written: who removed it and then looked again has seen the new one.
    async fn refresh(&mut self) -> Result<(), Failed> {
        let before = self.kept.ids();
        self.write().await?;
        let files = self.repository.list_files(FileKind::Lock).await?;
        let newest = self.kept.ids().last().copied();
        let modified = |id: LockId| files.iter().find(|file| file.id == id.0).map(|file| file.modified);
        if before.last().copied().and_then(modified).is_none() {
            return Err(Failed::Removed);
        }
        self.kept.store_says(newest.and_then(modified).ok_or(Failed::Removed)?);
        for id in before {
            self.repository.remove_file(FileKind::Lock, &id.0).await?;
            self.kept.state().ids.retain(|kept| *kept != id);
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), RepositoryError> {
        let (instant, now) = (Instant::now(), self.cx.clock.now());
        let skew = self.kept.state().skew;
        self.document.time = now.saturating_add(skew).unwrap_or(now);
        let id = LockId(self.repository.save_file(FileKind::Lock, &self.document.to_json()).await?);
        self.refreshed = (instant, now);
        let mut state = self.kept.state();
        state.ids.push(id);
        state.written = self.document.time;
        state.rewrite = false;
        Ok(())
    }

    /// How long ago the newest file was written, by the clock that says longer.
    fn age(&self) -> Duration {
        let (instant, time) = self.refreshed;
        let wall = self.cx.clock.now().duration_since(time);
        instant.elapsed().max(Duration::try_from(wall).unwrap_or_default())
    }

    async fn remove(&self) -> Result<(), RepositoryError> {
        for id in self.kept.ids() {
            self.repository.remove_file(FileKind::Lock, &id.0).await?;
        }
        Ok(())
    }
}
