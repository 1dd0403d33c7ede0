//! What the target server is and has, asked once before anything is decided.

use std::collections::{BTreeMap, BTreeSet};

use super::super::connect::{Server, Session};
use super::super::error::PostgresError;
use super::error::RestoreError;

/// Databases that every server has and that a restore may lean on while it renames others.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// A database that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    pub oid: u32,
    pub owner: String,
    pub accepts_connections: bool,
    pub comment: Option<String>,
    pub tablespace: String,
    pub sessions: u64,
}

/// The server as it was found.
#[derive(Debug)]
pub struct Facts {
    pub superuser: bool,
    pub may_create_databases: bool,
    pub may_create_roles: bool,
    /// May end other roles' sessions.
    pub may_signal: bool,
    pub standby: bool,
    pub roles: BTreeSet<String>,
    pub tablespaces: BTreeSet<String>,
    pub databases: BTreeMap<String, Existing>,
    /// The names in `pg_settings`.
    pub settings: BTreeSet<String>,
}

/// A session that is on none of the databases `not_on`, so that they can be renamed.
pub async fn maintenance(server: &Server, not_on: &[String]) -> Result<Session, RestoreError> {
    let mut refused = None;
    for database in MAINTENANCE.into_iter().filter(|name| !not_on.iter().any(|other| other == name)) {
        match server.connect(database).await {
            Ok(session) => {
                // A role's or database's default may say otherwise.
                session.batch("preparing the session", "SET default_transaction_read_only = off").await?;
                return Ok(session);
            }
            Err(error @ PostgresError::UnknownDatabase { .. }) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let none = || PostgresError::Spec(format!("a restore into {not_on:?} needs a database beside it to log in to"));
    Err(refused.unwrap_or_else(none).into())
}

impl Facts {
    pub async fn ask(session: &Session) -> Result<Self, RestoreError> {
        let me = session
            .row(
                "reading one's own rights",
                "SELECT rolsuper, rolcreatedb, rolcreaterole, pg_catalog.pg_is_in_recovery() \
                 FROM pg_catalog.pg_roles WHERE rolname = current_user",
                &[],
            )
            .await?;
        let roles = names(session, "SELECT rolname::text FROM pg_catalog.pg_roles").await?;
        let superuser: bool = me.get(0);
        Ok(Self {
            superuser,
            may_create_databases: superuser || me.get(1),
            may_create_roles: superuser || me.get(2),
            may_signal: superuser || may_signal(session, &roles).await?,
            standby: me.get(3),
            roles,
            tablespaces: names(session, "SELECT spcname::text FROM pg_catalog.pg_tablespace").await?,
            databases: databases(session).await?,
            settings: names(session, "SELECT name FROM pg_catalog.pg_settings").await?,
        })
    }
}

/// `pg_signal_backend` is there since 9.6.
async fn may_signal(session: &Session, roles: &BTreeSet<String>) -> Result<bool, RestoreError> {
    if !roles.contains("pg_signal_backend") {
        return Ok(false);
    }
    let sql = "SELECT pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')";
    Ok(session.row("reading one's own rights", sql, &[]).await?.get(0))
}

async fn names(session: &Session, sql: &str) -> Result<BTreeSet<String>, RestoreError> {
    let rows = session.rows("reading what the server has", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

pub async fn databases(session: &Session) -> Result<BTreeMap<String, Existing>, RestoreError> {
    let sql = "SELECT d.datname::text, d.oid, pg_catalog.pg_get_userbyid(d.datdba)::text, d.datallowconn, \
                 pg_catalog.shobj_description(d.oid, 'pg_database'), t.spcname::text, \
                 (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) \
               FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace";
    let rows = session.rows("listing the server's databases", sql, &[]).await?;
    let existing = |row: &tokio_postgres::Row| Existing {
        oid: row.get(1),
        owner: row.get(2),
        accepts_connections: row.get(3),
        comment: row.get(4),
        tablespace: row.get(5),
        sessions: u64::try_from(row.get::<_, i64>(6)).unwrap_or(0),
    };
    Ok(rows.iter().map(|row| (row.get(0), existing(row))).collect())
}
