//! After the promotion: what the target holds must also lie on its own disk, as far as it keeps anything there, or a
//! crash would bring the former data back.

use std::time::{Duration, Instant};

use super::super::connection::Connection;
use super::super::error::RedisError;

const LOOK: Duration = Duration::from_millis(100);
/// A server that has not written its data in this time may be stuck; 15 minutes are 90 GB at 100 MB/s.
const WITHIN: Duration = Duration::from_secs(15 * 60);

/// Waits until the append-only file is rewritten, or the RDB of a server that saves is saved. Returns what to warn of.
pub(super) async fn on_disk(connection: &mut Connection) -> Result<Vec<String>, RedisError> {
    let info = connection.info().await?;
    if info.is_on("aof_enabled") {
        return append_only_file(connection).await;
    }
    match connection.setting("save").await?.as_deref() {
        Some("") => Ok(Vec::new()), // it is set to keep nothing on its disk
        _ => snapshot_file(connection).await,
    }
}

/// The server rewrites it by itself after a full sync.
async fn append_only_file(connection: &mut Connection) -> Result<Vec<String>, RedisError> {
    let failed = |why: &str| {
        Ok(vec![format!(
            "the server could not rewrite its append-only file ({why}): a restart would bring the former data back; \
             `BGREWRITEAOF`"
        )])
    };
    let begun = Instant::now();
    loop {
        let info = connection.info().await?;
        if !info.is_on("aof_rewrite_in_progress") && !info.is_on("aof_rewrite_scheduled") {
            return match info.get("aof_last_bgrewrite_status") {
                Some("ok") | None => Ok(Vec::new()),
                Some(status) => failed(status),
            };
        }
        if begun.elapsed() > WITHIN {
            return failed("it is at it still");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A full sync counts as no change, so no `save` point would ever fire.
async fn snapshot_file(connection: &mut Connection) -> Result<Vec<String>, RedisError> {
    let failed = |why: &str| {
        Ok(vec![format!(
            "the server did not save its RDB ({why}): a restart would bring the former data back; `BGSAVE`"
        )])
    };
    let begun = Instant::now();
    loop {
        match connection.command(&["BGSAVE"]).await {
            Ok(_) => break,
            // Another fork is at work still. Not `SCHEDULE`: nothing tells when what was scheduled begins.
            Err(RedisError::Refused { said, .. }) if said.contains("in progress") || said.contains("right now") => {
                if begun.elapsed() > WITHIN {
                    return failed(&said);
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(RedisError::Permission { .. }) => return failed("we may not use BGSAVE"),
            Err(RedisError::Refused { said, .. }) => return failed(&said),
            Err(error) => return Err(error),
        }
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let info = connection.info().await?;
        if !info.is_on("rdb_bgsave_in_progress") {
            return match info.get("rdb_last_bgsave_status") {
                Some("ok") | None => Ok(Vec::new()),
                Some(status) => failed(status),
            };
        }
        if begun.elapsed() > WITHIN {
            return failed("it is at it still");
        }
    }
}
