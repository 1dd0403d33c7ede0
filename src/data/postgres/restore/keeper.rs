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
    ///
    /// An advisory lock is of the database that the session is on, and two keepers may be on different ones: each is
    /// beside its own targets. So the lock is taken first, and then looked for on all databases: of two at least one sees
    /// the other.
    pub async fn lock(&self, database: &str) -> Result<bool, RestoreError> {
        // Of the name as it is cut off in the names beside it, so that a leftover without a marker tells its lock.
        let key = xxh3_64(format!("drydock restore {}", marker::stem(database)).as_bytes()).cast_signed();
        let what = format!("locking restores into `{database}`");
        if !self.session.row(&what, "SELECT pg_catalog.pg_try_advisory_lock($1)", &[&key]).await?.get::<_, bool>(0) {
            return Ok(false);
        }
        let elsewhere = "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
                         AND (classid::bigint << 32) | objid::bigint = $1 AND pid <> pg_catalog.pg_backend_pid()";
        Ok(self.session.row(&what, elsewhere, &[&key]).await?.get::<_, i64>(0) == 0)
    }
}
