//! Reads what the adapters decide by, with the application's own credentials: what its login sees is what its migrations
//! will see. First what is there, then what is in it. The SQL runs on 9.5 and later, in a read-only transaction, and takes
//! no lock that anybody waits for. Tables are looked for along the login's search path, as the applications do; a schema
//! that only an application's own setting names (Kong's KONG_PG_SCHEMA) must be in the role's search path too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{chatwoot, kong, strapi};
use crate::context::Context;
use crate::data::postgres::{PostgresError, ask, literal, tell};
use crate::stack::PostgresSpec;

/// A server that takes longer to read its catalog is one that nobody should migrate now.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

const KONG: &str = "SELECT pg_catalog.json_build_object(\
    'schemaMeta', pg_catalog.to_regclass('schema_meta') IS NOT NULL, \
    'locks', pg_catalog.to_regclass('locks') IS NOT NULL, \
    'beforeOne', EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a \
        WHERE a.attrelid = pg_catalog.to_regclass('schema_migrations') AND a.attname = 'migrations'))";

const KONG_META: &str = "SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(\
    'subsystem', subsystem, 'executed', executed, 'pending', pending)), '[]') \
    FROM schema_meta WHERE key = 'schema_meta'";

/// Kong writes and compares the time as `… AT TIME ZONE 'UTC'` in a column with time zone. In a session in UTC, which this
/// one is and Kong's by default is, that is the instant itself.
const KONG_LOCK: &str = "SELECT pg_catalog.json_build_object('owner', owner, 'until', ttl) FROM locks \
    WHERE key = 'migrations' AND ttl >= pg_catalog.now()";

/// Makes `locks`, as a `bootstrap` would have that was cut off before it; for the owner of `schema_meta`.
/// Source: Kong's `kong/db/strategies/postgres/connector.lua`.
const KONG_LOCKS: &str = "\
    CREATE TABLE IF NOT EXISTS locks (key TEXT PRIMARY KEY, owner TEXT, ttl TIMESTAMP WITH TIME ZONE); \
    CREATE INDEX IF NOT EXISTS locks_ttl_idx ON locks (ttl)";

/// Tables along the search path. Extensions' own are left out: `spatial_ref_sys` makes no database one in use.
macro_rules! tables_but {
    ($names:literal) => {
        concat!(
            "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c \
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY (pg_catalog.current_schemas(false)) \
              AND c.relname NOT IN (",
            $names,
            ") AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d \
              WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))"
        )
    };
}

/// An advisory lock with one key of 64 bits has its halves in `classid` and `objid`, and 1 in `objsubid`.
/// Source: PostgreSQL's documentation, "pg_locks".
const CHATWOOT: &str = concat!(
    "SELECT pg_catalog.json_build_object('tables', ",
    tables_but!("''"),
    ", 'schemaMigrations', pg_catalog.to_regclass('schema_migrations') IS NOT NULL, \
    'internalMetadata', pg_catalog.to_regclass('ar_internal_metadata') IS NOT NULL, \
    'extensions', (SELECT coalesce(pg_catalog.json_agg(name), '[]') FROM pg_catalog.pg_available_extensions), \
    'database', pg_catalog.current_database(), \
    'locks', (SELECT coalesce(pg_catalog.json_agg((l.classid::bigint << 32) | l.objid::bigint), '[]') \
        FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database b ON b.oid = l.database \
        WHERE b.datname = pg_catalog.current_database() \
        AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted))"
);

const CHATWOOT_VERSIONS: &str = "SELECT coalesce(pg_catalog.json_agg(version), '[]') FROM schema_migrations";
const CHATWOOT_ENVIRONMENT: &str =
    "SELECT pg_catalog.to_json(value::text) FROM ar_internal_metadata WHERE key = 'environment'";

const STRAPI: &str = concat!(
    "SELECT pg_catalog.json_build_object('tables', ",
    tables_but!("'strapi_database_schema', 'strapi_migrations', 'strapi_migrations_internal'"),
    ", 'schema', pg_catalog.to_regclass('strapi_database_schema') IS NOT NULL, \
    'migrations', pg_catalog.to_regclass('strapi_migrations') IS NOT NULL, \
    'internal', pg_catalog.to_regclass('strapi_migrations_internal') IS NOT NULL)"
);

const STRAPI_HASHES: &str =
    "SELECT coalesce(pg_catalog.json_agg(coalesce(hash::text, '') ORDER BY id), '[]') FROM strapi_database_schema";
const STRAPI_MIGRATIONS: &str = "SELECT coalesce(pg_catalog.json_agg(name), '[]') FROM strapi_migrations";
const STRAPI_INTERNAL: &str = "SELECT coalesce(pg_catalog.json_agg(name), '[]') FROM strapi_migrations_internal";

/// Where to ask: one database of a server.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub server: &'a PostgresSpec,
    pub database: &'a str,
    pub cx: &'a Context,
}

impl Asked<'_> {
    /// The JSON that `sql` yields; none without a row, or where it is NULL.
    async fn json<T: DeserializeOwned>(&self, what: &str, sql: &str) -> Result<Option<T>, PostgresError> {
        let answer = ask(self.server, self.database, sql, LIMIT, self.cx).await?;
        let read = |text: String| {
            serde_json::from_str(&text)
                .map_err(|error| PostgresError::Unexpected { what: what.to_owned(), how: error.to_string() })
        };
        answer.value.map(read).transpose()
    }

    async fn there<T: DeserializeOwned>(&self, what: &str, sql: &str) -> Result<T, PostgresError> {
        let found = self.json(what, sql).await?;
        found.ok_or_else(|| PostgresError::Unexpected { what: what.to_owned(), how: "no row".into() })
    }
}

/// How far Kong's database is.
///
/// # Errors
/// It cannot be asked; a database that is not there is one that cannot be asked, for Kong does not make it.
pub async fn kong(asked: Asked<'_>) -> Result<kong::Database, PostgresError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct There {
        schema_meta: bool,
        locks: bool,
        before_one: bool,
    }
    #[derive(Deserialize)]
    struct Row {
        subsystem: String,
        executed: Option<BTreeSet<String>>,
        pending: Option<BTreeSet<String>>,
    }
    #[derive(Deserialize)]
    struct Lock {
        owner: Option<String>,
        until: Timestamp,
    }
    let what = "reading Kong's schema_meta and locks";
    let there: There = asked.there(what, KONG).await?;
    let schema_meta = if there.schema_meta {
        let rows: Vec<Row> = asked.there(what, KONG_META).await?;
        let recorded = |row: Row| {
            let (executed, pending) = (row.executed.unwrap_or_default(), row.pending.unwrap_or_default());
            (row.subsystem, kong::Recorded { executed, pending })
        };
        Some(rows.into_iter().map(recorded).collect())
    } else {
        None
    };
    let lock: Option<Lock> = if there.locks { asked.json(what, KONG_LOCK).await? } else { None };
    let lock = lock.map(|lock| kong::Lock { owner: lock.owner.unwrap_or_default(), until: lock.until });
    Ok(kong::Database { schema_meta, has_locks: there.locks, lock, is_before_one: there.before_one })
}

/// Does in Kong's database what none of its commands does.
///
/// # Errors
/// What the server says of it.
pub async fn mend(asked: Asked<'_>, mend: &kong::Mend) -> Result<(), PostgresError> {
    let sql = match mend {
        kong::Mend::CreateLocks => KONG_LOCKS.to_owned(),
        // No later lock than that of the owner who is gone.
        kong::Mend::Unlock(lock) => format!(
            "DELETE FROM locks WHERE key = 'migrations' AND owner = {} AND ttl = {}::timestamptz",
            literal(&lock.owner),
            literal(&lock.until.to_string())
        ),
    };
    tell(asked.server, asked.database, &sql, LIMIT, asked.cx).await
}

/// How far Chatwoot's database is. One that the server does not have is said to be so, not an error.
///
/// # Errors
/// It cannot be asked.
pub async fn chatwoot(asked: Asked<'_>) -> Result<chatwoot::Database, PostgresError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct There {
        tables: u64,
        schema_migrations: bool,
        internal_metadata: bool,
        extensions: BTreeSet<String>,
        database: String,
        locks: Vec<i64>,
    }
    let what = "reading Rails' schema_migrations and ar_internal_metadata";
    let there: There = match asked.there(what, CHATWOOT).await {
        Err(PostgresError::UnknownDatabase { .. }) => return Ok(chatwoot::Database::default()),
        found => found?,
    };
    let schema_migrations =
        if there.schema_migrations { Some(asked.there(what, CHATWOOT_VERSIONS).await?) } else { None };
    let environment = if there.internal_metadata { asked.json(what, CHATWOOT_ENVIRONMENT).await? } else { None };
    Ok(chatwoot::Database {
        exists: true,
        tables: there.tables,
        schema_migrations,
        has_internal_metadata: there.internal_metadata,
        environment,
        extensions: there.extensions,
        is_locked: there.locks.contains(&chatwoot::advisory_lock(&there.database)),
    })
}

/// How far Strapi's database is.
///
/// # Errors
/// It cannot be asked; a database that is not there is one that cannot be asked, for Strapi does not make it.
pub async fn strapi(asked: Asked<'_>) -> Result<strapi::Database, PostgresError> {
    #[derive(Deserialize)]
    struct There {
        tables: u64,
        schema: bool,
        migrations: bool,
        internal: bool,
    }
    let what = "reading Strapi's schema and migrations";
    let there: There = asked.there(what, STRAPI).await?;
    let schema_hashes = if there.schema { Some(asked.there(what, STRAPI_HASHES).await?) } else { None };
    let mut migrations = BTreeMap::new();
    for (is_there, sql) in [(there.migrations, STRAPI_MIGRATIONS), (there.internal, STRAPI_INTERNAL)] {
        let names: Vec<String> = if is_there { asked.there(what, sql).await? } else { Vec::new() };
        for name in names {
            *migrations.entry(name).or_default() += 1;
        }
    }
    Ok(strapi::Database { tables: there.tables, schema_hashes, migrations })
}
