//! The right to act on a stack: `lease/<token>.json`, aged by the store's clock, for daemons and the command line alike.
//! Tokens only grow: whoever has a newer one fences off all before, because entries of a journal are created only if
//! absent and a new holder's `adopted` takes the number that the former one would have written next.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::RunError;
use crate::context::Context;
use crate::process::{Process, host_of};
use crate::storage::{Created, SharedStore, StorageError};

/// A lease that was not renewed for this long is anybody's.
pub const TTL: Duration = Duration::from_secs(60);
/// Four renewals may fail before the lease is given up.
const RENEW: Duration = Duration::from_secs(12);
/// The holder stops this long before others may begin: what it has under way must come to its end.
const MARGIN: Duration = Duration::from_secs(12);
/// How often somebody who waits looks again.
const PAUSE: Duration = Duration::from_secs(2);

/// Written and looked at for the store's time alone.
const CLOCK: &str = "lease/clock";
/// What is newer is refused.
pub(super) const FORMAT_VERSION: u32 = 1;

/// What the right is for. Checks, drills and restores beside what is live change nothing of that and may take hours: each has
/// a right of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To change the stack's data or its recovery points.
    Act,
    Check,
    Drill,
    /// To restore into folders and databases beside what is live.
    Copy,
}

impl Scope {
    /// Every one there is.
    pub const ALL: [Self; 4] = [Self::Act, Self::Check, Self::Drill, Self::Copy];

    fn folder(self) -> &'static str {
        match self {
            Self::Act => "lease/",
            Self::Check => "lease/check/",
            Self::Drill => "lease/drill/",
            Self::Copy => "lease/copy/",
        }
    }
}

/// Who has the right, as the store says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) format_version: u32,
    pub(super) token: u64,
    /// [`Process::name`].
    pub(super) process: String,
    pub(super) pid: i64,
    username: String,
    /// What it is held for: a run's id.
    pub(super) run: String,
    pub(super) since: Timestamp,
    /// Runs that were begun under this right or a former one and are not over: whoever has it next brings them to their
    /// end, or a person does.
    #[serde(default)]
    pub(super) open: Vec<String>,
    /// It was given back.
    pub(super) released: bool,
    /// Random: when an answer is lost on the way, the content is how the winner recognises itself.
    nonce: String,
}

/// Who holds it while another would like to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// `PID 7 on papg-0 by root since 2026-06-15T12:00:00Z`.
    pub holder: String,
    pub run: String,
}

/// The right to act, renewed in the background until it is released. Dropped without that, it is anybody's after [`TTL`],
/// or at once where it can be seen that this process is gone.
#[derive(Debug)]
pub struct Lease {
    kept: Arc<Kept>,
    /// Fired one margin before anybody else may act; the work under the lease stops by it.
    pub lost: CancellationToken,
    keeper: JoinHandle<()>,
    stop: DropGuard,
    /// Runs of former holders that are not over.
    former: Vec<String>,
    holder: String,
}

#[derive(Debug)]
struct Kept {
    store: SharedStore,
    scope: Scope,
    /// Locked while it is written: two writes under way at once could end in either order.
    document: Mutex<Document>,
    /// What of it never changes.
    run: String,
    token: u64,
}

impl Lease {
    /// Takes the right to act for `run`, waiting up to `wait` for whoever has it; `waiting` hears of each holder once.
    ///
    /// # Errors
    /// `Held` when somebody else has it still; `Store` when it cannot be asked or written.
    pub async fn acquire(
        store: &SharedStore,
        scope: Scope,
        run: &str,
        wait: Duration,
        cx: &Context,
        mut waiting: impl FnMut(&Held),
    ) -> Result<Self, RunError> {
        let begun = Instant::now();
        let mut told = None;
        loop {
            let asked = (Instant::now(), cx.clock.now()); // the lease is as old as the question, not as the answer
            match take(store, scope, run, cx).await.map_err(|error| error.of(run))? {
                Ok(document) => return Ok(Self::keep(store, scope, document, asked, cx)),
                Err(held) if begun.elapsed() >= wait || cx.cancel.is_cancelled() => {
                    return Err(RunError::Held { holder: held.holder, run: held.run });
                }
                Err(held) => {
                    if told.as_ref() != Some(&held) {
                        waiting(&held);
                        told = Some(held);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE.min(wait.saturating_sub(begun.elapsed()))) => {}
                () = cx.cancel.cancelled() => {}
            }
        }
    }

    /// The fencing token.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.kept.token
    }

    /// Runs of former holders that are not over, the oldest first.
    #[must_use]
    pub fn former(&self) -> &[String] {
        &self.former
    }

    /// As others see this holder.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Writes down that `run` is over: nobody has to bring it to its end any more.
    ///
    /// # Errors
    /// When the store cannot be written; whoever looks at the run next sees that it is over.
    pub async fn over(&self, run: &str) -> Result<(), RunError> {
        self.kept.change(|document| document.open.retain(|open| open != run)).await
    }

    /// Gives it back, so that nobody has to wait.
    ///
    /// # Errors
    /// When the store cannot be written: it is anybody's after [`TTL`] then, or when this process is gone.
    pub async fn release(self) -> Result<(), RunError> {
        drop(self.stop);
        self.keeper.await.ok(); // a renewal that is under way would come after what is written now
        self.kept.change(|document| document.released = true).await
    }

    fn keep(store: &SharedStore, scope: Scope, document: Document, since: (Instant, Timestamp), cx: &Context) -> Self {
        let (run, token) = (document.run.clone(), document.token);
        let holder = document.to_string();
        let former = document.open.iter().filter(|open| **open != run).cloned().collect();
        let kept = Arc::new(Kept { store: store.clone(), scope, document: Mutex::new(document), run, token });
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let keeper = tokio::spawn(renew(kept.clone(), since, lost.clone(), stop.clone(), cx.clone()));
        Self { kept, lost, keeper, stop: stop.drop_guard(), former, holder }
    }
}

impl Document {
    fn new(token: u64, run: &str, now: Timestamp) -> Self {
        let process = Process::this();
        Self {
            format_version: FORMAT_VERSION,
            token,
            process: process.name(),
            pid: i64::from(process.pid),
            username: process.username.clone(),
            run: run.to_owned(),
            since: now,
            open: vec![run.to_owned()],
            released: false,
            nonce: format!("{:016x}", rand::random::<u64>()),
        }
    }

    fn held(self) -> Held {
        Held { holder: self.to_string(), run: self.run }
    }

    fn json(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("names and numbers are JSON"))
    }
}

/// For people.
impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = host_of(&self.process);
        write!(f, "PID {} on {host} by {} since {:.0}", self.pid, self.username, self.since)
    }
}

/// What keeps the lease from being judged.
enum Trouble {
    Store(StorageError),
    Damaged(String),
}

impl From<StorageError> for Trouble {
    fn from(source: StorageError) -> Self {
        Self::Store(source)
    }
}

impl Trouble {
    fn of(self, run: &str) -> RunError {
        match self {
            Self::Store(source) => RunError::Lease { source },
            Self::Damaged(reason) => RunError::Damaged { run: run.to_owned(), reason },
        }
    }
}

/// Digits enough for a lease a second for ten thousand years; in order when sorted as text.
fn key(scope: Scope, token: u64) -> String {
    format!("{}{token:012}.json", scope.folder())
}

fn token_of(scope: Scope, key: &str) -> Option<u64> {
    key.strip_prefix(scope.folder())?.strip_suffix(".json")?.parse().ok()
}

/// One attempt, repeated while others come and go in the midst of it.
async fn take(store: &SharedStore, scope: Scope, run: &str, cx: &Context) -> Result<Result<Document, Held>, Trouble> {
    loop {
        if let Some(taken) = take_after_newest(store, scope, run, cx).await? {
            return Ok(taken);
        }
    }
}

/// `None` where what was listed is not the newest any more.
async fn take_after_newest(
    store: &SharedStore,
    scope: Scope,
    run: &str,
    cx: &Context,
) -> Result<Option<Result<Document, Held>>, Trouble> {
    let listed = store.list(scope.folder()).await?;
    let tokens = || listed.iter().filter_map(|meta| Some((token_of(scope, &meta.key)?, meta.modified)));
    let newest = tokens().max();
    let mut document = Document::new(newest.map_or(1, |(token, _)| token + 1), run, cx.clock.now());
    if let Some((token, modified)) = newest {
        let Some(holder) = read(store, scope, token).await? else { return Ok(None) };
        if !is_free(store, &holder, modified).await? {
            return Ok(Some(Err(holder.held())));
        }
        document.open = holder.open;
        document.open.retain(|open| open != run); // it may be one of these that is taken up
        document.open.push(run.to_owned());
    }
    match store.create(&key(scope, document.token), document.json()).await? {
        Created::New => {
            // Holders may have come and gone since the listing and tidied this very token away. Theirs is newer: it says
            // which runs are open, and whoever is next removes this one.
            let now = store.list(scope.folder()).await?;
            if now.iter().filter_map(|meta| token_of(scope, &meta.key)).any(|found| found > document.token) {
                return Ok(None);
            }
            forget_former(store, scope, document.token, tokens().map(|(token, _)| token)).await;
            Ok(Some(Ok(document)))
        }
        Created::Exists => Ok(read(store, scope, document.token).await?.map(|winner| Err(winner.held()))),
    }
}

/// `None` when it has gone meanwhile.
async fn read(store: &SharedStore, scope: Scope, token: u64) -> Result<Option<Document>, Trouble> {
    let json = match store.get(&key(scope, token)).await {
        Ok(json) => json,
        Err(StorageError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let damaged = |reason: String| Trouble::Damaged(format!("{}: {reason}", key(scope, token)));
    let document: Document = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    if document.format_version > FORMAT_VERSION {
        return Err(damaged(format!("it has format version {}", document.format_version)));
    }
    Ok(Some(document))
}

/// Whether nobody acts by it any more.
async fn is_free(store: &SharedStore, holder: &Document, modified: Timestamp) -> Result<bool, Trouble> {
    if holder.released || Process::this().knows_dead(&holder.process, holder.pid, modified) {
        return Ok(true);
    }
    let nonce = format!("{:016x}", rand::random::<u64>());
    store.put(CLOCK, vec![nonce.into()]).await?;
    let Some(now) = store.stat(CLOCK).await? else { return Ok(false) };
    Ok(now.modified.duration_since(modified) > SignedDuration::try_from(TTL).unwrap_or(SignedDuration::MAX))
}

/// Former tokens say nothing any more. Credentials that may not delete leave them there, which only costs a listing.
async fn forget_former(store: &SharedStore, scope: Scope, token: u64, found: impl Iterator<Item = u64>) {
    for former in found.filter(|found| *found < token) {
        if let Err(error) = store.delete(&key(scope, former)).await {
            tracing::debug!(%error, "a former lease stays");
            return;
        }
    }
}

/// Renews until told to stop. A machine that slept has not renewed: both clocks are looked at.
async fn renew(
    kept: Arc<Kept>,
    since: (Instant, Timestamp),
    lost: CancellationToken,
    stop: CancellationToken,
    cx: Context,
) {
    let lasts = TTL - MARGIN;
    let wall = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
    let (mut renewed, mut renewed_at) = since;
    loop {
        tokio::select! {
            () = tokio::time::sleep(RENEW.min(lasts.saturating_sub(renewed.elapsed()))) => {}
            () = stop.cancelled() => return,
        }
        let (begun, begun_at) = (Instant::now(), cx.clock.now());
        let expired = || renewed.elapsed() >= lasts || cx.clock.now().duration_since(renewed_at) >= wall;
        if expired() {
            tracing::error!(run = %kept.run, "the lease could not be renewed in time; the work under it stops");
            return lost.cancel();
        }
        let answer = tokio::time::timeout(lasts.saturating_sub(renewed.elapsed()), kept.renew_once()).await;
        match answer {
            Ok(Ok(true)) => (renewed, renewed_at) = (begun, begun_at),
            Ok(Ok(false)) => {
                tracing::error!(run = %kept.run, "another process has taken the lease; the work under it stops");
                return lost.cancel();
            }
            Ok(Err(error)) => tracing::warn!(%error, run = %kept.run, "the lease could not be renewed yet"),
            Err(_) => {}
        }
    }
}

impl Kept {
    /// False when a newer token is there.
    async fn renew_once(&self) -> Result<bool, StorageError> {
        if self.store.stat(&key(self.scope, self.token + 1)).await?.is_some() {
            return Ok(false);
        }
        let document = self.document.lock().await;
        self.store.put(&key(self.scope, self.token), vec![document.json()]).await?;
        Ok(true)
    }

    async fn change(&self, change: impl FnOnce(&mut Document)) -> Result<(), RunError> {
        let mut document = self.document.lock().await;
        change(&mut document);
        let stored = self.store.put(&key(self.scope, self.token), vec![document.json()]).await;
        stored.map_err(|source| RunError::Store { run: self.run.clone(), source })
    }
}

#[cfg(test)]
mod tests;
