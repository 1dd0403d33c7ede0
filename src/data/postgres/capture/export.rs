//! One exported snapshot of a database, with every table locked so that it stays what the snapshot saw.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::SharedSession;
use crate::context::Context;
use crate::data::postgres::catalog::{self, Relation, RelationKind};
use crate::data::postgres::connect::{Server, Session};
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::TableName;
use crate::data::postgres::naming::literal;
use crate::data::postgres::session::pinned;
use crate::data::postgres::stop::Stop;
use crate::data::postgres::version::Version;

/// Between the snapshot and the lock a table can be dropped, truncated or rewritten, and would be read as empty. That is
/// noticed and tried again, with a new snapshot; a database that does it every time is being migrated.
const TRIES: u32 = 3;
/// One statement locks this many tables: few round trips, and a statement that the server can parse.
const LOCKED_AT_ONCE: usize = 500;

/// A database that stands still. The session must live as long as anything reads.
#[derive(Debug)]
pub(super) struct Exported {
    pub holder: SharedSession,
    /// What `SET TRANSACTION SNAPSHOT` takes.
    pub id: String,
    pub instant: Timestamp,
    pub began: Instant,
    pub lsn: String,
    pub standby: bool,
    /// The database's own encoding, as the server names it.
    pub encoding: String,
    pub relations: Vec<Relation>,
    pub large_object_bytes: u64,
}

impl Exported {
    /// Whether `relation` has rows that can be read here.
    pub fn reads(&self, relation: &Relation) -> bool {
        relation.kind.has_rows() && !(self.standby && relation.kind == RelationKind::Unlogged)
    }
}

/// Exports a snapshot of `database` and locks its tables.
pub(super) async fn export(
    server: &Server,
    database: &str,
    stop: &Stop,
    cx: &Context,
) -> Result<Exported, PostgresError> {
    let mut unsteady = String::new();
    for _ in 0..TRIES {
        let session = stop.guard(None, server.connect(database)).await?;
        let canceller = session.canceller();
        let tried = stop.guard(Some(&canceller), try_export(session, cx)).await;
        match tried? {
            Tried::Exported(exported) => return Ok(*exported),
            Tried::Unsteady(tables) => unsteady = tables,
        }
    }
    Err(PostgresError::Unsteady { database: database.to_owned(), tries: TRIES, tables: unsteady })
}

enum Tried {
    Exported(Box<Exported>),
    Unsteady(String),
}

async fn try_export(session: Session, cx: &Context) -> Result<Tried, PostgresError> {
    session.pin(&pinned()).await?;
    let what = "exporting a snapshot";
    let standby = session.text(what, "SELECT pg_catalog.pg_is_in_recovery()").await? == "t";
    if standby && session.version < Version::V10 {
        let message =
            "the server is a standby, and snapshots can be exported there since version 10: read from the primary";
        return Err(PostgresError::Spec(message.into()));
    }
    let encoding = session.text(what, "SHOW server_encoding").await?;
    let (instant, began) = (cx.clock.now(), Instant::now());
    session.batch(what, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let id = session.text(what, "SELECT pg_catalog.pg_export_snapshot()").await?;
    let lsn = catalog::server_position(&session, standby).await?;
    let mut relations = catalog::relations(&session).await?;
    if let Some(unsteady) = lock(&session, &relations).await? {
        return Ok(Tried::Unsteady(unsteady));
    }
    if !standby || relations.iter().all(|r| r.kind != RelationKind::Unlogged) {
        catalog::measure(&session, &mut relations).await?;
    } else {
        measure_without_unlogged(&session, &mut relations).await?;
    }
    let size = "SELECT pg_catalog.pg_relation_size('pg_catalog.pg_largeobject')";
    let large_object_bytes = session.text(what, size).await?.parse().unwrap_or(0);
    let holder = Arc::new(session);
    let exported = Exported { holder, id, instant, began, lsn, standby, encoding, relations, large_object_bytes };
    Ok(Tried::Exported(Box::new(exported)))
}

/// A standby may lack the files of unlogged tables.
async fn measure_without_unlogged(session: &Session, relations: &mut [Relation]) -> Result<(), PostgresError> {
    for relation in relations.iter_mut().filter(|r| r.kind == RelationKind::Table) {
        catalog::measure(session, std::slice::from_mut(relation)).await?;
    }
    Ok(())
}

/// Locks every table in ACCESS SHARE mode; returns what changed before the lock was there.
async fn lock(session: &Session, relations: &[Relation]) -> Result<Option<String>, PostgresError> {
    let lockable: Vec<&Relation> = relations.iter().filter(|r| r.kind.is_lockable()).collect();
    for some in lockable.chunks(LOCKED_AT_ONCE) {
        let list: Vec<String> = some.iter().map(|r| format!("ONLY {}", r.sql())).collect();
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", list.join(", "));
        match session.batch("locking the tables against being dropped", &sql).await {
            Ok(()) => {}
            // Undefined table, undefined schema, no longer a table.
            Err(PostgresError::Query { message, .. })
                if ["42P01", "3F000", "42809", "XX000"].contains(&message.sqlstate.as_str()) =>
            {
                return Ok(Some(message.message));
            }
            Err(PostgresError::LockTimeout { waited, .. }) => {
                return Err(PostgresError::LockTimeout { what: who_holds(session, some).await, waited });
            }
            Err(error) => return Err(error),
        }
    }
    rewritten(session, &lockable).await
}

/// Tables whose file is not the one that the snapshot's catalog names: TRUNCATE, VACUUM FULL, a rewriting ALTER TABLE.
async fn rewritten(session: &Session, locked: &[&Relation]) -> Result<Option<String>, PostgresError> {
    let oids: Vec<u32> = locked.iter().filter(|r| r.kind.has_rows()).map(|r| r.oid).collect();
    let sql = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE c.oid = ANY ($1) AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode LIMIT 5";
    let rows = session.rows("looking for tables that were rewritten", sql, &[&oids]).await?;
    let names: Vec<String> = rows.iter().map(|r| TableName { schema: r.get(0), name: r.get(1) }.to_string()).collect();
    Ok((!names.is_empty()).then(|| names.join(", ")))
}

/// For the message of a lock that was not to be had: which table, and whose it is.
async fn who_holds(session: &Session, wanted: &[&Relation]) -> String {
    let general = "locking the tables against being dropped".to_owned();
    let oids: Vec<String> = wanted.iter().map(|r| literal(&r.oid.to_string())).collect();
    let sql = format!(
        "SELECT l.relation, l.pid, a.usename, a.application_name FROM pg_catalog.pg_locks l
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'
           AND l.pid <> pg_catalog.pg_backend_pid() AND l.relation IN ({}) LIMIT 1",
        oids.join(", ")
    );
    // The transaction is over by the failed statement; the question needs a new one.
    let _ = session.batch("ending the transaction", "ROLLBACK").await;
    let Ok(rows) = session.texts("reading the server's locks", &sql).await else { return general };
    let Some([Some(oid), Some(pid), user, application]) = rows.first().map(Vec::as_slice) else { return general };
    let table = wanted.iter().find(|r| r.oid.to_string() == *oid).map(|r| r.table_name().to_string());
    format!(
        "locking table {} (held by process {pid}, user {}, application `{}`)",
        table.unwrap_or_default(),
        user.as_deref().unwrap_or("unknown"),
        application.as_deref().unwrap_or("")
    )
}

impl Session {
    /// Begins a transaction that sees what the exported snapshot `id` sees.
    ///
    /// # Errors
    /// What the server says: the exporting session must still be in its transaction.
    pub async fn import_snapshot(&self, id: &str) -> Result<(), PostgresError> {
        let sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}", literal(id));
        self.batch("entering the exported snapshot", &sql).await
    }
}
