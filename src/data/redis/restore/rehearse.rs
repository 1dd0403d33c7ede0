//! The RDB in a scratch server: loaded the same way as by the target, read back and compared, and weighed.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::context::Context;
use crate::repository::Repository;

use super::super::error::RedisError;
use super::super::info::ServerVersion;
use super::super::stored::{Record, Stored, compare};
use super::super::{receive, transfer};
use super::link::{self, Route};
use super::scratch::{Scratch, find};
use super::target::known_version;

/// What the scratch server showed.
#[derive(Debug)]
pub(super) struct Rehearsal {
    /// Memory that the data takes once loaded.
    pub(super) data_bytes: u64,
    pub(super) version: ServerVersion,
}

/// # Errors
/// [`RedisError::ScratchDiffers`] and [`RedisError::Scratch`]: the target has not been touched.
pub(super) async fn rehearse(
    stored: &Stored,
    repository: &Repository,
    configured: Option<&Path>,
    cx: &Context,
) -> Result<Rehearsal, RedisError> {
    can_load(stored, configured)?;
    has_memory(stored)?;
    let highest = stored.manifest.databases.iter().map(|database| database.number).max().unwrap_or(0);
    let scratch = Scratch::start(configured, (highest + 1).max(16)).await?;
    match load(&scratch, stored, repository, cx).await {
        Ok(data_bytes) => Ok(Rehearsal { data_bytes, version: scratch.version.clone() }),
        Err(RedisError::Sync { .. } | RedisError::Lost { .. }) => {
            // It gives up the connection a moment before it is gone.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            let what = format!("load the RDB: {}", scratch.last_words());
            let next =
                "the target was not touched; take an older recovery point, or a `scratchServer` with what it lacks";
            Err(RedisError::Scratch { what, next: next.into() })
        }
        Err(error) => Err(error),
    }
}

/// Before anything is started: an old server dies of a newer file.
pub(super) fn can_load(stored: &Stored, configured: Option<&Path>) -> Result<ServerVersion, RedisError> {
    let (program, version) = find(configured)?;
    let (file, loads) = (stored.manifest.rdb.version, known_version(&version));
    if loads.loads(file) {
        return Ok(version);
    }
    let what = format!("load {file}: {} is {version} and loads up to {loads}", program.display());
    let next = format!("set `scratchServer` to a redis-server of {} or later", stored.manifest.server);
    Err(RedisError::Scratch { what, next })
}

/// The scratch server holds all of the data in this machine's memory.
fn has_memory(stored: &Stored) -> Result<(), RedisError> {
    let Some(available) = crate::data::available_memory() else { return Ok(()) };
    let needed = stored.manifest.used_memory_bytes;
    if needed <= available {
        return Ok(());
    }
    let what = format!("hold the data: it took {needed} bytes of memory, and {available} are free here");
    Err(RedisError::Scratch { what, next: "run the restore on a machine with more memory".into() })
}

async fn load(scratch: &Scratch, stored: &Stored, repository: &Repository, cx: &Context) -> Result<u64, RedisError> {
    let mut connection = scratch.endpoint.connect().await?;
    let before = connection.info().await?.number("used_memory").unwrap_or(0);
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let route = Route { listen: local, peers: vec![local], tls: None };
    let task = cx.progress.task(format!("rehearse in Redis {}", scratch.version.text), stored.rdb_bytes, 0);
    let linked = link::hand_over(&mut connection, route, stored, repository, task.clone()).await?;
    let after = connection.info().await?.number("used_memory").unwrap_or(0);
    let transfer = transfer::begin(&scratch.endpoint).await?;
    let settings = stored.manifest.settings(None);
    let (found, _) = receive::from_server(transfer, None, settings, "the scratch server", &task).await?;
    drop(linked);
    task.finish();
    let comparison = compare(&Record::of(&stored.manifest), &Record::found(&found));
    match comparison.differences.first() {
        None => Ok(after.saturating_sub(before)),
        Some(first) => {
            let difference = format!("{}: {} where {} was recorded", first.what, first.found, first.expected);
            Err(RedisError::ScratchDiffers(difference))
        }
    }
}
