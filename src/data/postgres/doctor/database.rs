//! One database: what may be read, how large it is, how well it bears a long snapshot.

use super::{Report, superuser};
use crate::data::postgres::catalog::{self, Relation};
use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::version::Version;

/// Names in a sentence.
const NAMED: usize = 5;
/// Transaction ids that are left before the server refuses to write, of 2.1 thousand million: at a quarter somebody
/// must look, and every snapshot holds vacuum back while it lasts.
const ALARMING_AGE: i64 = 1_500_000_000;

pub(super) async fn look(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    session.batch("pinning the search path", "SET search_path = ''").await?;
    let relations = catalog::relations(session).await?;
    let tables: Vec<&Relation> = relations.iter().filter(|r| r.kind.has_rows()).collect();
    let size = session.text(
        "reading the database's size",
        "SELECT pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(pg_catalog.current_database()))",
    );
    let name = &session.database;
    report.good(format!("database {name}: {} tables, {} on disk with indexes", tables.len(), size.await?));
    if !superuser(session).await? {
        privileges(report, session, &relations).await?;
        large_objects(report, session).await?;
    }
    row_security(report, session).await?;
    locks(report, session, tables.len()).await?;
    wraparound(report, session).await?;
    collation(report, session).await
}

fn named(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{shown} and {} more", names.len() - NAMED) } else { shown }
}

/// Tables and sequences whose rows the role may not read.
async fn privileges(report: &mut Report, session: &Session, relations: &[Relation]) -> Result<(), PostgresError> {
    let oids: Vec<u32> = relations
        .iter()
        .filter(|r| r.kind.has_rows() || r.kind == catalog::RelationKind::Sequence)
        .map(|r| r.oid)
        .collect();
    let sql = "SELECT o::regclass::text FROM unnest($1::oid[]) o JOIN pg_catalog.pg_class c ON c.oid = o
               WHERE NOT pg_catalog.has_table_privilege(o, 'SELECT')
                  OR NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') ORDER BY 1";
    let rows = session.rows("reading the role's privileges", sql, &[&oids]).await?;
    let missing: Vec<String> = rows.iter().map(|r| r.get(0)).collect();
    let (database, user) = (&session.database, &session.server.user);
    if missing.is_empty() {
        report.good(format!("database {database}: `{user}` may read every table and sequence"));
        return Ok(());
    }
    let fix = if session.version >= Version::V14 {
        format!("GRANT pg_read_all_data TO \"{user}\"")
    } else {
        format!(
            "for each schema: GRANT USAGE ON SCHEMA … TO \"{user}\"; GRANT SELECT ON ALL TABLES IN SCHEMA … TO \"{user}\"; \
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA … TO \"{user}\"; and ALTER DEFAULT PRIVILEGES for what is made later"
        )
    };
    report.problem(format!("database {database}: `{user}` may not read {}", named(&missing)), fix);
    Ok(())
}

/// Large objects are readable by their owner, and by grant; `pg_read_all_data` does not cover them before 19.
async fn large_objects(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    let sql = "SELECT m.oid::text FROM pg_catalog.pg_largeobject_metadata m
               WHERE pg_catalog.current_setting('lo_compat_privileges') = 'off'
                 AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
                 AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a
                                 WHERE a.privilege_type = 'SELECT'
                                   AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
               ORDER BY m.oid";
    let rows = session.rows("reading the privileges on large objects", sql, &[]).await?;
    let missing: Vec<String> = rows.iter().map(|r| r.get(0)).collect();
    if !missing.is_empty() {
        let (database, user) = (&session.database, &session.server.user);
        report.problem(
            format!("database {database}: `{user}` may not read the large objects {}", named(&missing)),
            format!("GRANT SELECT ON LARGE OBJECT … TO \"{user}\" for each, or make the role a member of their owner"),
        );
    }
    Ok(())
}

async fn row_security(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    let sql = "SELECT c.oid::regclass::text FROM pg_catalog.pg_class c
               WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid) ORDER BY 1";
    let rows = session.rows("reading row-level security", sql, &[]).await?;
    let hidden: Vec<String> = rows.iter().map(|r| r.get(0)).collect();
    if !hidden.is_empty() {
        let (database, user) = (&session.database, &session.server.user);
        report.problem(
            format!("database {database}: row-level security hides rows from `{user}` in {}", named(&hidden)),
            format!("ALTER ROLE \"{user}\" BYPASSRLS, or read as the tables' owner or a superuser"),
        );
    }
    Ok(())
}

/// A snapshot locks every table twice: once itself, once by pg_dump.
async fn locks(report: &mut Report, session: &Session, tables: usize) -> Result<(), PostgresError> {
    let sql = "SELECT pg_catalog.current_setting('max_locks_per_transaction')::bigint
                 * (pg_catalog.current_setting('max_connections')::bigint
                    + pg_catalog.current_setting('max_prepared_transactions')::bigint)";
    let slots: i64 = session.row("reading the server's lock slots", sql, &[]).await?.get(0);
    let needed = i64::try_from(tables).unwrap_or(i64::MAX).saturating_mul(2);
    if needed > slots / 10 * 8 {
        let database = &session.database;
        report.problem(
            format!("database {database}: a snapshot takes {needed} of the server's {slots} lock slots"),
            "raise `max_locks_per_transaction` and restart the server",
        );
    }
    Ok(())
}

async fn wraparound(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    let sql = "SELECT pg_catalog.age(datfrozenxid)::bigint FROM pg_catalog.pg_database
               WHERE datname = pg_catalog.current_database()";
    let age: i64 = session.row("reading the database's age", sql, &[]).await?.get(0);
    if age > ALARMING_AGE {
        let database = &session.database;
        report.warning(
            format!("database {database}: its oldest rows are {age} transactions old; at 2.1 thousand million the server stops"),
            "find what holds vacuum back (old transactions, prepared transactions, slots) and run VACUUM FREEZE first",
        );
    }
    Ok(())
}

/// The library under text indexes has changed since they were built.
async fn collation(report: &mut Report, session: &Session) -> Result<(), PostgresError> {
    if session.version < Version::V15 {
        return Ok(());
    }
    let sql = "SELECT datcollversion, pg_catalog.pg_database_collation_actual_version(oid) FROM pg_catalog.pg_database
               WHERE datname = pg_catalog.current_database()
                 AND datcollversion <> pg_catalog.pg_database_collation_actual_version(oid)";
    if let Some(row) = session.rows("reading the collation's version", sql, &[]).await?.first() {
        let (then, now): (&str, &str) = (row.get(0), row.get(1));
        let database = &session.database;
        report.warning(
            format!(
                "database {database}: text indexes were built with collation version {then}, the library has {now}"
            ),
            "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION",
        );
    }
    Ok(())
}
