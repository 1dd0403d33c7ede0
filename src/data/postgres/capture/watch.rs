//! Looks, while a snapshot is held, whether production suffers: somebody who waits behind our locks, a snapshot that gets
//! too old. Either stops everything, with the reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::SharedSession;
use super::export::Exported;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::stop::Stop;

/// A statement that waits for ACCESS EXCLUSIVE blocks everybody who comes after it: production stands still until we
/// let go. A second is what people call a hiccup; the question costs the server some 0.2 ms.
const EVERY: Duration = Duration::from_secs(1);

/// Stops looking when dropped.
#[derive(Debug)]
pub(super) struct Watch(JoinHandle<()>);

impl Watch {
    /// Watches from the session that holds the snapshot: it has the locks, and is idle otherwise.
    pub fn over(exported: &Exported, max_duration: Option<Duration>, stop: Stop) -> Self {
        let holder = Arc::clone(&exported.holder);
        let began = exported.began;
        Self(tokio::spawn(async move {
            tokio::select! {
                () = stop.stopped() => {}
                error = look(&holder, began, max_duration) => {
                    stop.because(error);
                    let_go(&holder).await;
                }
            }
        }))
    }
}

impl Watch {
    /// Stops looking, and lets go of the session.
    pub async fn end(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await; // aborted, or over already
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns when there is a reason to stop.
async fn look(holder: &SharedSession, began: Instant, max_duration: Option<Duration>) -> PostgresError {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = too_old(began, max_duration) => {
                let limit = max_duration.unwrap_or_default();
                return PostgresError::TooLong { database: holder.database.clone(), limit };
            }
        }
        match waiter(holder).await {
            Ok(None) => {}
            Ok(Some((table, waiter))) => return PostgresError::InTheWay { table, waiter, age: began.elapsed() },
            Err(error) => return error,
        }
    }
}

/// Gives the locks and the snapshot back now: what else goes on meanwhile may take a while to end. A session that is lost
/// has given them back.
async fn let_go(holder: &SharedSession) {
    holder.cancel_running().await;
    if let Err(error) = holder.batch("letting go of the exported snapshot", "ROLLBACK").await {
        tracing::debug!(%error, "the exported snapshot could not be ended; its connection is closed next");
    }
}

async fn too_old(began: Instant, max_duration: Option<Duration>) {
    match max_duration {
        Some(limit) => tokio::time::sleep_until(began + limit).await,
        None => std::future::pending().await,
    }
}

/// Only ACCESS EXCLUSIVE conflicts with the ACCESS SHARE that reading takes. `pg_locks` alone tells, on every version;
/// what the other wants to run is not told: it may hold rows' values.
const WAITER: &str = "SELECT pg_catalog.pg_stat_clear_snapshot();
     SELECT w.relation::regclass, w.pid, a.usename, a.application_name
     FROM pg_catalog.pg_locks w
     JOIN pg_catalog.pg_locks h ON h.locktype = 'relation' AND h.granted AND h.pid = pg_catalog.pg_backend_pid()
          AND h.database = w.database AND h.relation = w.relation
     LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid
     WHERE w.locktype = 'relation' AND NOT w.granted AND w.mode = 'AccessExclusiveLock' LIMIT 1";

async fn waiter(holder: &SharedSession) -> Result<Option<(String, String)>, PostgresError> {
    let rows = holder.texts("looking who waits for this snapshot's locks", WAITER).await?;
    let waiter = rows.iter().find_map(|row| match row.as_slice() {
        [Some(table), Some(pid), user, application] => {
            let (user, application) = (user.as_deref().unwrap_or("unknown"), application.as_deref().unwrap_or(""));
            Some((table.clone(), format!("process {pid} (user {user}, application `{application}`)")))
        }
        _ => None,
    });
    Ok(waiter)
}
