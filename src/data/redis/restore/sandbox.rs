//! A server of our own that a drill fills and looks at: on a unix socket, with nothing on disk, gone with the drill.
//! Filled the same way as a live one, and verified by taking its data again.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::context::Context;
use crate::data::Comparison;
use crate::data::process::Priority;
use crate::repository::{Repository, TreeId};

use super::super::connection::Endpoint;
use super::super::error::RedisError;
use super::super::resp::Reply;
use super::super::stored::{Record, Stored, compare};
use super::super::{receive, transfer};
use super::link::{self, Route, until_cancelled};
use super::rehearse::can_load;
use super::scratch::{Life, Scratch};

/// A scratch server in a sandbox.
#[derive(Debug)]
pub struct Sandbox {
    scratch: Scratch,
    configured: Option<PathBuf>,
}

/// What a snapshot asks of the machine that a drill runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxNeeds {
    /// What the data took in the server that it was taken from.
    pub memory_bytes: u64,
    /// The server that would hold it: `redis 7.0.15`.
    pub server: String,
}

/// What the snapshot `tree` needs, and whether a server here can load it.
///
/// # Errors
/// [`RedisError::Scratch`] where there is no server, or an older one than the file needs.
pub async fn sandbox_needs(
    repository: &Repository,
    tree: &TreeId,
    configured: Option<&Path>,
) -> Result<SandboxNeeds, RedisError> {
    let stored = Stored::open(repository, tree).await?;
    let server = can_load(&stored, configured)?.to_string();
    Ok(SandboxNeeds { memory_bytes: stored.manifest.used_memory_bytes, server })
}

impl Sandbox {
    /// Starts an empty server in `folder`, which is there and empty; `keep` lets it outlive us.
    ///
    /// # Errors
    /// [`RedisError::Scratch`] with its last words.
    pub async fn start(
        repository: &Repository,
        tree: &TreeId,
        folder: &Path,
        configured: Option<&Path>,
        keep: bool,
    ) -> Result<Self, RedisError> {
        let stored = Stored::open(repository, tree).await?;
        let highest = stored.manifest.databases.iter().map(|database| database.number).max().unwrap_or(0);
        let life = if keep { Life::OfItsOwn } else { Life::WithUs };
        let scratch = Scratch::start_in(folder, configured, (highest + 1).max(16), life, Priority::Low).await?;
        Ok(Self { scratch, configured: configured.map(Path::to_owned) })
    }

    /// The unix socket, for `redis-cli -s`.
    #[must_use]
    pub fn socket(&self) -> String {
        self.scratch.endpoint.address()
    }

    /// `redis 7.0.15`.
    #[must_use]
    pub fn version(&self) -> String {
        self.scratch.version.to_string()
    }

    /// Loads the snapshot `tree`, whatever the server holds; it takes writes afterwards.
    ///
    /// # Errors
    /// [`RedisError::Scratch`] with what the server said when it could not.
    pub async fn fill(&self, repository: &Repository, tree: &TreeId, cx: &Context) -> Result<(), RedisError> {
        until_cancelled(cx, async {
            let stored = Stored::open(repository, tree).await?;
            can_load(&stored, self.configured.as_deref())?;
            let mut connection = self.scratch.endpoint.connect().await?;
            connection.command(&["FLUSHALL"]).await?; // `on-empty-db` would take the disk otherwise
            if self.scratch.version.at_least(7, 0) {
                connection.command(&["FUNCTION", "FLUSH"]).await?;
            }
            let local = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
            let route = Route { listen: local, peers: vec![local], tls: None };
            let task = cx.progress.task(format!("load into Redis {}", self.scratch.version.text), stored.rdb_bytes, 0);
            let handed = link::hand_over(&mut connection, route, &stored, repository, task.clone()).await;
            let linked = handed.map_err(|error| self.explain(error))?;
            link::release(&self.scratch.endpoint).await?;
            drop(linked);
            task.finish();
            Ok(())
        })
        .await
    }

    fn explain(&self, error: RedisError) -> RedisError {
        match error {
            RedisError::Sync { .. } | RedisError::Lost { .. } => RedisError::Scratch {
                what: format!("load the RDB: {}", self.scratch.last_words()),
                next: "drill an older recovery point, or set `scratchServer` to one with what it lacks".into(),
            },
            other => other,
        }
    }

    /// Takes what the server holds now and compares it with what was recorded. Keys whose time to live has passed by now
    /// are left out on both sides and counted.
    ///
    /// # Errors
    /// When the server cannot be asked or the snapshot not be read; what differs is in the comparison.
    pub async fn verify(&self, repository: &Repository, tree: &TreeId, cx: &Context) -> Result<Comparison, RedisError> {
        until_cancelled(cx, async {
            let stored = Stored::open(repository, tree).await?;
            let task = cx.progress.task(format!("verify Redis {}", self.scratch.version.text), stored.rdb_bytes, 0);
            let transfer = transfer::begin(&self.scratch.endpoint).await?;
            // After the fork: what is alive now was alive then.
            let now_ms = self.scratch.endpoint.connect().await?.now_ms().await?;
            let settings = stored.manifest.settings(Some(now_ms));
            let (found, _) = receive::from_server(transfer, None, settings, "the scratch server", &task).await?;
            let (expected, expired) = if stored.manifest.expires() {
                let contents = stored.read(repository, Some(now_ms), &task).await?;
                (Record::found(&contents), contents.passed_keys)
            } else {
                (Record::of(&stored.manifest), 0)
            };
            task.finish();
            let mut comparison = compare(&expected, &Record::found(&found));
            comparison.count("expiredKeys", expired);
            Ok(comparison)
        })
        .await
    }

    /// How many keys of `database` match `pattern` (as `KEYS` understands it), by `SCAN`: the server is not held up, and
    /// a key that it names twice counts once. Costs 16 bytes a key that matches.
    ///
    /// # Errors
    /// When the server refuses, such as a database that it does not have.
    pub async fn count(&self, database: u64, pattern: &str, cx: &Context) -> Result<u64, RedisError> {
        until_cancelled(cx, count(&self.scratch.endpoint, database, pattern)).await
    }

    /// Lets the server go on without us; it was started to be kept.
    pub fn leave(self) {
        self.scratch.leave();
    }
}

async fn count(endpoint: &Endpoint, database: u64, pattern: &str) -> Result<u64, RedisError> {
    let mut connection = endpoint.connect().await?;
    connection.command(&["SELECT", &database.to_string()]).await?;
    let mut seen = std::collections::HashSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = connection.command(&["SCAN", &cursor, "MATCH", pattern, "COUNT", "1000"]).await?;
        let strange = || RedisError::Protocol {
            address: connection.address.clone(),
            what: "SCAN was not answered with a cursor and keys".into(),
        };
        let Reply::Array(Some(parts)) = reply else { return Err(strange()) };
        let Ok([next, Reply::Array(Some(keys))]) = <[Reply; 2]>::try_from(parts) else { return Err(strange()) };
        for key in keys {
            let Reply::Bulk(Some(key)) = key else { return Err(strange()) };
            seen.insert(xxh3_128(&key));
        }
        cursor = next.text().ok_or_else(strange)?;
        if cursor == "0" {
            return Ok(seen.len() as u64);
        }
    }
}
