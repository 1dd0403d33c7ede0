//! The one session that makes, renames and drops databases, and holds the right to do so: an advisory lock for each
//! database that it may put something in the place of. When the session is lost, so is the right.

use xxhash_rust::xxh3::xxh3_64;

use super::super::connect::{Server, Session};
use super::error::{Refusal, RestoreError};
use super::{marker, server};

#[derive(Debug)]
pub struct Keeper {
    pub session: Session,
}

impl Keeper {
    /// Logs in beside `targets` and takes their locks.
    ///
    /// # Errors
    /// `UnderWay` when another restore holds one.
    pub async fn take(server: &Server, targets: &[String]) -> Result<Self, RestoreError> {
        let keeper = Self { session: server::maintenance(server, targets).await? };
        let mut busy = Vec::new();
        for target in targets {
            if !keeper.lock(target).await? {
                busy.push(Refusal::UnderWay { database: target.clone() });
            }
        }
        if busy.is_empty() { Ok(keeper) } else { Err(RestoreError::Refused(busy)) }
    }

    /// Whether nobody else restores into `database`; the lock is held until the session ends.
    pub async fn lock(&self, database: &str) -> Result<bool, RestoreError> {
        // Of the name as it is cut off in the names beside it, so that a leftover without a marker tells its lock.
        let key = xxh3_64(format!("drydock restore {}", marker::stem(database)).as_bytes()).cast_signed();
        let sql = "SELECT pg_catalog.pg_try_advisory_lock($1)";
        let what = format!("locking restores into `{database}`");
        Ok(self.session.row(&what, sql, &[&key]).await?.get(0))
    }
}
