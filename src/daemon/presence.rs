//! Keeps a second daemon away from a store that ignores create-if-absent, where leases and journals cannot keep two apart:
//! `daemon/presence.json` says who runs one, written again and again. Whoever finds a living one does not begin; of two
//! that write at one time the one whose word is there in the end stays. On any other store this is not needed.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::DaemonError;
use crate::process::{Process, host_of};
use crate::storage::{CreateIfAbsent, SharedStore, StorageError, probe_create_if_absent};

const KEY: &str = "daemon/presence.json";
const CLOCK: &str = "daemon/clock";
const FORMAT_VERSION: u32 = 1;
/// How often it is written again.
const EVERY: Duration = Duration::from_secs(15);
/// One that was not written again for so long is nobody's.
const LASTS: SignedDuration = SignedDuration::from_secs(60);
/// How long whoever begins waits for the word of another that begins too: longer than a store takes to store it.
const SETTLES: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Presence {
    format_version: u32,
    process: String,
    pid: i64,
    username: String,
    nonce: String,
}

/// The word that this process is the daemon, where the store needs one.
#[derive(Debug, Clone)]
pub struct Keeper(Option<(SharedStore, Arc<Presence>, &'static str)>);

/// Finds out what the store is like, and where it needs that, whether this is the only daemon.
///
/// # Errors
/// `SecondDaemon`; `Probe` or `Presence` when the store cannot be asked.
pub async fn claim(store: &SharedStore) -> Result<Keeper, DaemonError> {
    let probed = probe_create_if_absent(store.as_ref()).await.map_err(|source| DaemonError::Probe { source })?;
    let why = match probed {
        CreateIfAbsent::Honoured => return Ok(Keeper(None)),
        CreateIfAbsent::Ignored => "it ignores create-if-absent",
        CreateIfAbsent::Races => "of creations at one time it lets more than one win",
        CreateIfAbsent::Refused => "it knows no create-if-absent",
    };
    tracing::warn!(
        why,
        "the store does not keep two daemons apart; only one may run, which is looked after from now on"
    );
    let failed = |source| DaemonError::Presence { source };
    if let Some(other) = living(store).await.map_err(failed)? {
        return Err(DaemonError::SecondDaemon { holder: other.to_string(), why });
    }
    let presence = Arc::new(Presence::of_this_process());
    write(store, &presence).await.map_err(failed)?;
    tokio::time::sleep(SETTLES).await;
    let keeper = Keeper(Some((store.clone(), presence, why)));
    keeper.look().await.map(|()| keeper)
}

impl Keeper {
    /// Writes it again and again until `gone`, then removes it.
    ///
    /// # Errors
    /// `SecondDaemon` when another process has written its own.
    pub async fn keep(self, gone: &CancellationToken) -> Result<(), DaemonError> {
        let Some((store, presence, _)) = &self.0 else {
            gone.cancelled().await;
            return Ok(());
        };
        loop {
            tokio::select! {
                () = gone.cancelled() => break,
                () = tokio::time::sleep(EVERY) => {}
            }
            match self.look().await {
                Ok(()) => {}
                Err(error @ DaemonError::SecondDaemon { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "whether another daemon has come cannot be asked at present");
                    continue;
                }
            }
            if let Err(error) = write(store, presence).await {
                tracing::warn!(%error, "the word that this daemon runs could not be written again yet");
            }
        }
        if self.look().await.is_ok()
            && let Err(error) = store.delete(KEY).await
        {
            tracing::debug!(%error, "the word that this daemon runs stays; it ages");
        }
        Ok(())
    }

    async fn look(&self) -> Result<(), DaemonError> {
        let Some((store, presence, why)) = &self.0 else { return Ok(()) };
        match read(store).await.map_err(|source| DaemonError::Presence { source })? {
            Some(found) if found.nonce != presence.nonce => {
                Err(DaemonError::SecondDaemon { holder: found.to_string(), why })
            }
            _ => Ok(()),
        }
    }
}

impl Presence {
    fn of_this_process() -> Self {
        let process = Process::this();
        Self {
            format_version: FORMAT_VERSION,
            process: process.name(),
            pid: i64::from(process.pid),
            username: process.username.clone(),
            nonce: format!("{:016x}", rand::random::<u64>()),
        }
    }
}

/// For people.
impl std::fmt::Display for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PID {} on {} by {}", self.pid, host_of(&self.process), self.username)
    }
}

/// Another daemon that lives, as far as can be known: one that wrote lately by the store's clock and is not known dead.
async fn living(store: &SharedStore) -> Result<Option<Presence>, StorageError> {
    let Some(found) = read(store).await? else { return Ok(None) };
    let Some(written) = store.stat(KEY).await? else { return Ok(None) };
    if Process::this().knows_dead(&found.process, found.pid, written.modified) {
        return Ok(None);
    }
    Ok((age(store, written.modified).await? <= LASTS).then_some(found))
}

async fn age(store: &SharedStore, modified: Timestamp) -> Result<SignedDuration, StorageError> {
    let nonce = format!("{:016x}", rand::random::<u64>());
    store.put(CLOCK, vec![nonce.into()]).await?;
    let now = store.stat(CLOCK).await?.map_or(modified, |meta| meta.modified);
    Ok(now.duration_since(modified))
}

/// What cannot be understood was written by another version: whoever wrote it may live.
async fn read(store: &SharedStore) -> Result<Option<Presence>, StorageError> {
    let json = match store.get(KEY).await {
        Ok(json) => json,
        Err(StorageError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let found: Result<Presence, _> = serde_json::from_slice(&json);
    let found = found.ok().filter(|found| found.format_version <= FORMAT_VERSION);
    found
        .map(Some)
        .ok_or_else(|| StorageError::Misconfigured(format!("`{KEY}` cannot be understood: a newer drydock wrote it")))
}

async fn write(store: &SharedStore, presence: &Presence) -> Result<(), StorageError> {
    let json = serde_json::to_vec(presence).expect("names and numbers are JSON");
    store.put(KEY, vec![json.into()]).await
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::storage::{Created, LocalStore, ObjectMeta, Store, Swept};

    /// A store as some are: whoever creates wins, whatever is there.
    #[derive(Debug)]
    struct Careless(LocalStore);

    #[async_trait]
    impl Store for Careless {
        fn location(&self) -> String {
            self.0.location()
        }
        async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
            self.0.get(key).await
        }
        async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
            self.0.get_range(key, range).await
        }
        async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), StorageError> {
            self.0.put(key, parts).await
        }
        async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
            self.0.put(key, vec![bytes]).await.map(|()| Created::New)
        }
        async fn delete(&self, key: &str) -> Result<(), StorageError> {
            self.0.delete(key).await
        }
        async fn stat(&self, key: &str) -> Result<Option<ObjectMeta>, StorageError> {
            self.0.stat(key).await
        }
        async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
            self.0.list(prefix).await
        }
        async fn sweep(&self, older_than: Duration) -> Result<Swept, StorageError> {
            self.0.sweep(older_than).await
        }
    }

    async fn local(folder: &tempfile::TempDir) -> LocalStore {
        LocalStore::create(folder.path().join("s")).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_ignores_create_if_absent_gets_no_second_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(Careless(local(&folder).await));
        let first = claim(&store).await.unwrap();
        let refused = claim(&store).await.unwrap_err();
        let pid = std::process::id();
        let said = refused.to_string();
        assert!(said.starts_with(&format!("PID {pid} on ")), "{said}");
        assert!(said.ends_with("and the store does not keep two apart: it ignores create-if-absent"), "{said}");
        let gone = CancellationToken::new();
        gone.cancel();
        first.keep(&gone).await.unwrap();
        claim(&store).await.expect("the first has left");
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_begin_at_one_time_the_one_whose_word_stays_is_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(Careless(local(&folder).await));
        let (one, other) = tokio::join!(claim(&store), claim(&store));
        let stayed = [one.is_ok(), other.is_ok()].into_iter().filter(|ok| *ok).count();
        assert_eq!(stayed, 1, "{one:?} {other:?}");
    }

    #[tokio::test]
    async fn a_store_that_honours_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(local(&folder).await);
        assert!(claim(&store).await.unwrap().0.is_none() && claim(&store).await.unwrap().0.is_none());
        assert_eq!(store.list("daemon/").await.unwrap(), []);
    }

    #[test]
    fn the_first_version_is_read_for_ever() {
        let fixture = include_str!("../../tests/fixtures/formats/daemon-presence-1.json");
        let read: Presence = serde_json::from_str(fixture).unwrap();
        assert_eq!((read.to_string().as_str(), read.format_version), ("PID 4711 on papg-0 by root", 1));
    }
}
