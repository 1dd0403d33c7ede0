//! Questions to the target about one database or the way to it. Each is a reason to refuse, or a figure for the preview.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::catalog;
use super::super::connect::{Server, Session};
use super::super::error::PostgresError;
use super::super::manifest::Properties;
use super::error::{Refusal, RestoreError};

/// A server ends a session's process at once when its client is gone (measured: within 5 ms); a pooler keeps it.
const PROCESS_ENDS_WITHIN: Duration = Duration::from_millis(1_500);
/// How many things that are in the way are named.
const NAMED: usize = 5;

/// What shows that a connection pooler stands between, also one in session mode: it holds server sessions on databases
/// that are about to be renamed, and hands them to whoever logs in next.
pub async fn pooler(server: &Server, session: &Session) -> Result<Option<String>, RestoreError> {
    let other = server.connect(&session.database).await?;
    if let Err(PostgresError::Pooler { evidence, .. }) = session.refuse_pooler(&other).await {
        return Ok(Some(evidence));
    }
    let pid: i32 = other.row(LOOKING, "SELECT pg_catalog.pg_backend_pid()", &[]).await?.get(0);
    drop(other);
    let start = std::time::Instant::now();
    while start.elapsed() < PROCESS_ENDS_WITHIN {
        let sql = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE pid = $1";
        if session.row(LOOKING, sql, &[&pid]).await?.get::<_, i64>(0) == 0 {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Some("a server process outlived its connection".to_owned()))
}

const LOOKING: &str = "looking for a connection pooler";

/// What is in the database that `session` is on: the first few things that somebody has made.
pub async fn contents(session: &Session) -> Result<Vec<String>, RestoreError> {
    // Objects from initdb have oids below 16384; members of extensions are the extension's.
    let member = "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')";
    let in_schema = "JOIN pg_catalog.pg_namespace n ON n.oid = o.@namespace WHERE o.oid >= 16384 \
                     AND n.nspname !~ '^pg_(toast|temp)'";
    let of = |kind: &str, name: &str, catalog: &str, namespace: &str| {
        let from = in_schema.replace('@', namespace);
        format!("SELECT {kind} || n.nspname || '.' || o.{name} FROM pg_catalog.{catalog} o {from} AND {member}")
    };
    let sql = [
        of(
            "CASE o.relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' ELSE 'relation ' END",
            "relname",
            "pg_class",
            "rel",
        ) + " AND o.relkind NOT IN ('i', 'I', 'c', 't')",
        of("'function '", "proname", "pg_proc", "pro"),
        of("'type '", "typname", "pg_type", "typ") + " AND o.typtype IN ('d', 'e', 'r')",
        format!(
            "SELECT 'schema ' || o.nspname FROM pg_catalog.pg_namespace o WHERE o.oid >= 16384 \
                 AND o.nspname !~ '^pg_(toast|temp)' AND {member}"
        ),
        "SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE oid >= 16384".to_owned(),
        "SELECT 'large object ' || oid FROM pg_catalog.pg_largeobject_metadata".to_owned(),
    ];
    let sql = format!("SELECT * FROM ({}) AS found (what) LIMIT {NAMED}", sql.join(" UNION ALL "));
    let rows = session.texts("looking whether the database is empty", &sql).await?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// What keeps `database` from being renamed, or would be misled by it.
pub async fn what_hangs_on(session: &Session, database: &str) -> Result<Vec<Refusal>, RestoreError> {
    let names = async |sql: &str| -> Result<Option<String>, RestoreError> {
        let sql = format!("SELECT pg_catalog.string_agg(name, ', ') FROM ({sql}) AS found (name)");
        Ok(session.row("looking what hangs on the live database", &sql, &[&database]).await?.get(0))
    };
    let database = database.to_owned();
    let mut refusals = Vec::new();
    let slots =
        "SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' AND database = $1";
    if let Some(slots) = names(slots).await? {
        refusals.push(Refusal::LogicalSlots { database: database.clone(), slots });
    }
    if session.version >= super::super::version::Version::V10 {
        let subscriptions = "SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d \
                             ON d.oid = s.subdbid WHERE d.datname = $1";
        if let Some(subscriptions) = names(subscriptions).await? {
            refusals.push(Refusal::Subscriptions { database: database.clone(), subscriptions });
        }
    }
    let prepared = "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1";
    if let Some(transactions) = names(prepared).await? {
        refusals.push(Refusal::PreparedTransactions { database, transactions });
    }
    Ok(refusals)
}

/// Whether one may rename it: a superuser, its owner, or a member of its owner's role.
pub async fn is_owned(session: &Session, database: &str) -> Result<bool, RestoreError> {
    let sql = "SELECT pg_catalog.pg_has_role(datdba, 'USAGE') FROM pg_catalog.pg_database WHERE datname = $1";
    Ok(session.row("reading one's own rights", sql, &[&database]).await?.get(0))
}

/// What the live database is like.
pub async fn properties(server: &Server, database: &str) -> Result<Properties, RestoreError> {
    Ok(catalog::properties(&server.connect(database).await?).await?)
}

/// `None` where one may not know.
pub async fn bytes(session: &Session, database: &str) -> Result<Option<u64>, RestoreError> {
    let sql = "SELECT CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') THEN pg_catalog.pg_database_size(oid) END \
               FROM pg_catalog.pg_database WHERE datname = $1";
    let size: Option<i64> = session.row("reading the live database's size", sql, &[&database]).await?.get(0);
    Ok(size.and_then(|bytes| u64::try_from(bytes).ok()))
}

/// What the server's machine has, with the version that would be installed.
pub async fn available_extensions(session: &Session) -> Result<BTreeMap<String, String>, RestoreError> {
    let sql = "SELECT name::text, coalesce(default_version, '') FROM pg_catalog.pg_available_extensions";
    let rows = session.rows("listing the extensions that the server has", sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The server's data folder and what is free there, where both can be seen: the server is on this machine, and tells
/// its folder.
pub async fn free_space(server: &Server, session: &Session) -> Result<Option<(String, u64)>, RestoreError> {
    if !is_here(&server.host) {
        return Ok(None);
    }
    let folder = match session.text("asking for the server's data folder", "SHOW data_directory").await {
        Ok(folder) => folder,
        Err(PostgresError::Privilege { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // A forwarded port leads to a server whose folder is not here, or not to be looked into.
    Ok(rustix::fs::statvfs(Path::new(&folder)).ok().map(|found| (folder, found.f_bavail * found.f_frsize)))
}

fn is_here(host: &str) -> bool {
    host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
