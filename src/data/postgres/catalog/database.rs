//! What a database and its server are, beside their tables.

use super::relations::Relation;
use super::relations::RelationKind;
use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::{Collation, DatabaseSetting, Extension, Grant, NotKept, Properties, Tablespace};
use crate::data::postgres::restore::own_comment;
use crate::data::postgres::version::Version;

/// The parts of a database's record that come from catalogs alone.
#[derive(Debug, Clone)]
pub struct CatalogRecord {
    pub properties: Properties,
    pub extensions: Vec<Extension>,
    pub collations: Vec<Collation>,
    pub publications: Vec<String>,
    pub subscriptions: Vec<String>,
    pub logical_slots: Vec<String>,
    pub event_triggers: Vec<String>,
    pub not_kept: Vec<NotKept>,
}

/// Reads what is not in tables: properties, extensions, what hangs on the database from outside, and what of all that
/// no snapshot can keep.
///
/// # Errors
/// What the server says.
pub async fn database_record(
    session: &Session,
    relations: &[Relation],
    standby: bool,
) -> Result<CatalogRecord, PostgresError> {
    let from_10 = |sql: &'static str| if session.version >= Version::V10 { sql } else { NOTHING };
    let record = CatalogRecord {
        properties: properties(session).await?,
        extensions: extensions(session).await?,
        collations: collations(session).await?,
        publications: names(session, from_10("SELECT pubname::text FROM pg_catalog.pg_publication ORDER BY 1")).await?,
        subscriptions: names(
            session,
            from_10(
                "SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d \
                     ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database() ORDER BY 1",
            ),
        )
        .await?,
        logical_slots: names(
            session,
            "SELECT slot_name::text FROM pg_catalog.pg_replication_slots \
             WHERE slot_type = 'logical' AND database = pg_catalog.current_database() ORDER BY 1",
        )
        .await?,
        event_triggers: names(session, "SELECT evtname::text FROM pg_catalog.pg_event_trigger ORDER BY 1").await?,
        not_kept: Vec::new(),
    };
    let prepared = names(
        session,
        "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() ORDER BY 1",
    )
    .await?;
    let not_kept = not_kept(&session.database, relations, &record, prepared, standby);
    Ok(CatalogRecord { not_kept, ..record })
}

const NOTHING: &str = "SELECT NULL::text WHERE false";

async fn names(session: &Session, sql: &str) -> Result<Vec<String>, PostgresError> {
    let rows = session.rows("reading the database's catalogs", sql, &[]).await?;
    Ok(rows.iter().map(|r| r.get(0)).collect())
}

fn not_kept(
    database: &str,
    relations: &[Relation],
    record: &CatalogRecord,
    prepared: Vec<String>,
    standby: bool,
) -> Vec<NotKept> {
    let named = |wanted: &dyn Fn(&Relation) -> bool| -> Vec<String> {
        relations.iter().filter(|r| wanted(r)).map(|r| r.table_name().to_string()).collect()
    };
    let entry = |what: &str, names: Vec<String>, reason: &str| NotKept {
        database: Some(database.to_owned()),
        what: what.to_owned(),
        names,
        reason: reason.to_owned(),
    };
    let mut all = vec![
        entry(
            "rows of foreign tables",
            named(&|r| r.kind == RelationKind::Foreign),
            "they are another server's; the definitions are kept",
        ),
        entry(
            "rows of materialized views",
            named(&|r| r.kind == RelationKind::MaterializedView && r.filled),
            "the definitions are kept and a restore computes them again, from the restored tables",
        ),
        entry("hidden oid columns", named(&|r| r.with_oids), "no server since 12 has them; the other columns are kept"),
        entry(
            "logical replication slots",
            record.logical_slots.clone(),
            "a slot is a position in this server's log; create it again after a restore",
        ),
        entry("prepared transactions", prepared, "they were not committed when the snapshot was taken"),
    ];
    if standby {
        let unlogged = named(&|r| r.kind == RelationKind::Unlogged);
        all.push(entry("rows of unlogged tables", unlogged, "a standby does not have them; the definitions are kept"));
    }
    all.retain(|n| !n.names.is_empty());
    all
}

/// What `CREATE DATABASE` and `ALTER DATABASE` have set of the session's database.
///
/// # Errors
/// What the server says.
pub async fn properties(session: &Session) -> Result<Properties, PostgresError> {
    let what = "reading the database's properties";
    let v = session.version;
    let provider = match v {
        v if v >= Version::V15 => "CASE d.datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END",
        _ => "'libc'",
    };
    let locale = match v {
        v if v >= Version::V17 => "d.datlocale",
        v if v >= Version::V15 => "d.daticulocale",
        _ => "NULL",
    };
    let rules = if v >= Version::V16 { "d.daticurules" } else { "NULL" };
    let collation = if v >= Version::V15 { "d.datcollversion" } else { "NULL" };
    let sql = format!(
        "SELECT pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_encoding_to_char(d.encoding)::text,
                d.datcollate::text, d.datctype::text, {provider}, {locale}::text, {rules}::text, {collation}::text,
                t.spcname::text, d.datconnlimit, d.datistemplate,
                pg_catalog.shobj_description(d.oid, 'pg_database'), d.datacl IS NULL
         FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
         WHERE d.datname = pg_catalog.current_database()"
    );
    let row = session.row(what, &sql, &[]).await?;
    let default_privileges: bool = row.get(12);
    Ok(Properties {
        owner: row.get(0),
        encoding: row.get(1),
        collate: row.get(2),
        ctype: row.get(3),
        locale_provider: row.get(4),
        locale: row.get(5),
        icu_rules: row.get(6),
        collation_version: row.get(7),
        tablespace: row.get(8),
        connection_limit: row.get(9),
        template: row.get(10),
        comment: own_comment(row.get(11)),
        settings: settings(session).await?,
        grants: if default_privileges { None } else { Some(grants(session).await?) },
    })
}

async fn settings(session: &Session) -> Result<Vec<DatabaseSetting>, PostgresError> {
    let sql = "SELECT CASE WHEN s.setrole <> 0 THEN pg_catalog.pg_get_userbyid(s.setrole)::text END, c
               FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase,
                    unnest(s.setconfig) WITH ORDINALITY AS u (c, n)
               WHERE d.datname = pg_catalog.current_database() ORDER BY 1 NULLS FIRST, n";
    let rows = session.rows("reading the database's settings", sql, &[]).await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let (name, value) = row.get::<_, &str>(1).split_once('=')?;
            Some(DatabaseSetting { role: row.get(0), name: name.to_owned(), value: value.to_owned() })
        })
        .collect())
}

async fn grants(session: &Session) -> Result<Vec<Grant>, PostgresError> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(a.grantor)::text,
                      CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee)::text END,
                      a.privilege_type, a.is_grantable
               FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
               WHERE d.datname = pg_catalog.current_database()";
    let rows = session.rows("reading the database's privileges", sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|r| Grant { grantor: r.get(0), grantee: r.get(1), privilege: r.get(2), grantable: r.get(3) })
        .collect())
}

async fn extensions(session: &Session) -> Result<Vec<Extension>, PostgresError> {
    let sql = "SELECT e.extname::text, n.nspname::text, e.extversion FROM pg_catalog.pg_extension e
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY 1";
    let rows = session.rows("reading the database's extensions", sql, &[]).await?;
    Ok(rows.iter().map(|r| Extension { name: r.get(0), schema: r.get(1), version: r.get(2) }).collect())
}

async fn collations(session: &Session) -> Result<Vec<Collation>, PostgresError> {
    if session.version < Version::V10 {
        return Ok(Vec::new());
    }
    // Those that a column, index or domain can have chosen; the system's hundreds are the library's.
    let sql = "SELECT n.nspname::text, c.collname::text, c.collversion FROM pg_catalog.pg_collation c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
               WHERE c.collversion IS NOT NULL AND (c.oid >= 16384 OR EXISTS (
                 SELECT FROM pg_catalog.pg_depend d
                 WHERE d.refclassid = 'pg_catalog.pg_collation'::regclass AND d.refobjid = c.oid))
               ORDER BY 1, 2";
    let rows = session.rows("reading the database's collations", sql, &[]).await?;
    Ok(rows.iter().map(|r| Collation { schema: r.get(0), name: r.get(1), version: r.get(2) }).collect())
}

/// Roles and tablespaces of the server, without the built-in ones.
///
/// # Errors
/// What the server says.
pub async fn roles_and_tablespaces(session: &Session) -> Result<(Vec<String>, Vec<Tablespace>), PostgresError> {
    let roles =
        names(session, "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1").await?;
    let sql = "SELECT spcname::text, pg_catalog.pg_get_userbyid(spcowner)::text, pg_catalog.pg_tablespace_location(oid)
               FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_' ORDER BY 1";
    let rows = session.rows("reading the server's tablespaces", sql, &[]).await?;
    let spaces = rows.iter().map(|r| Tablespace { name: r.get(0), owner: r.get(1), location: r.get(2) });
    Ok((roles, spaces.collect()))
}

/// Where the server's log is (on a standby: what it has replayed).
///
/// # Errors
/// What the server says.
pub async fn server_position(session: &Session, standby: bool) -> Result<String, PostgresError> {
    let function = match (standby, session.version >= Version::V10) {
        (false, true) => "pg_current_wal_lsn",
        (false, false) => "pg_current_xlog_location",
        (true, true) => "pg_last_wal_replay_lsn",
        (true, false) => "pg_last_xlog_replay_location",
    };
    session.text("reading the server's log position", &format!("SELECT pg_catalog.{function}()::text")).await
}
