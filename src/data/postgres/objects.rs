//! The list of a database's schema objects, one line each, in words that all versions share: what a restore must have
//! brought back. Names and shapes, not bodies: the server prints those otherwise in each version, and post-data fails
//! loudly. Not listed: what belongs to an extension, what the server makes by itself (arrays' types, row types,
//! multiranges, not-null constraints of 18), system schemas.

use xxhash_rust::xxh3::xxh3_128;

use super::connect::Session;
use super::error::PostgresError;
use super::manifest::Digest;
use super::version::Version;

/// Objects that users made have oids from here on (`FirstNormalObjectId`).
const FIRST_USER_OID: u32 = 16_384;

/// Every schema object's line, sorted as bytes.
///
/// # Errors
/// What the server says.
pub async fn list(session: &Session) -> Result<Vec<String>, PostgresError> {
    let mut lines = Vec::new();
    for (since, sql) in QUERIES {
        if session.version >= *since {
            let sql = with_versions(sql, session.version);
            for row in session.rows("listing the database's schema objects", &sql, &[]).await? {
                // A line end in a name must not become two lines.
                lines.push(row.get::<_, String>(0).replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r"));
            }
        }
    }
    lines.sort_unstable();
    Ok(lines)
}

/// The list as the file `objects.txt` has it.
#[must_use]
pub fn as_file(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\n").into_bytes();
    if !text.is_empty() {
        text.push(b'\n');
    }
    text
}

/// The digest of [`as_file`].
#[must_use]
pub fn digest(file: &[u8]) -> Digest {
    Digest(xxh3_128(file))
}

/// Catalog columns that only some versions have.
fn with_versions(sql: &str, version: Version) -> String {
    let since = |first: Version, then: &str, before: &str| {
        if version >= first { then.to_owned() } else { before.to_owned() }
    };
    let mut sql = format!("WITH s AS ({SCHEMAS}) {sql}");
    for (mark, text) in [
        ("{mine}", "NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = x.tableoid AND m.objid = x.oid AND m.deptype IN ('e', 'i'))".to_owned()),
        ("{user_oid}", FIRST_USER_OID.to_string()),
        ("{partition}", since(Version::V10, "c.relispartition", "false")),
        ("{identity}", since(Version::V10, "CASE a.attidentity WHEN 'a' THEN ' identity always' WHEN 'd' THEN ' identity by default' ELSE '' END", "''")),
        ("{generated}", since(Version::V12, "CASE a.attgenerated WHEN 's' THEN ' generated stored' WHEN 'v' THEN ' generated virtual' ELSE '' END", "''")),
        ("{child_constraint}", since(Version::V11, "x.conparentid <> 0", "false")),
        ("{child_trigger}", since(Version::V13, "x.tgparentid <> 0", "false")),
        ("{function_kind}", since(
            Version::V11,
            "CASE x.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END",
            "CASE WHEN x.proisagg THEN 'aggregate' ELSE 'function' END",
        )),
    ] {
        sql = sql.replace(mark, &text);
    }
    sql
}

/// Schemas that are not the system's.
const SCHEMAS: &str = "SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Since which version, and the query of one text column. `x` is the catalog's row, so that `{mine}` can tell what belongs
/// to an extension or to another object.
const QUERIES: &[(Version, &str)] = &[
    (Version::OLDEST, "SELECT 'schema ' || s.name FROM pg_namespace x JOIN s ON s.oid = x.oid WHERE {mine}"),
    (Version::OLDEST, "SELECT CASE x.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
            WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type'
            WHEN 'i' THEN 'index' WHEN 'I' THEN 'partitioned index' END || ' ' || s.name || '.' || quote_ident(x.relname)
            || CASE WHEN x.relpersistence = 'u' AND x.relkind IN ('r', 'p') THEN ' unlogged' ELSE '' END
            || CASE WHEN x.relrowsecurity THEN ' row security' ELSE '' END
            || CASE WHEN x.relforcerowsecurity THEN ' forced' ELSE '' END
            || CASE WHEN x.relkind = 'm' AND NOT x.relispopulated THEN ' not filled' ELSE '' END
            || CASE WHEN x.relkind IN ('i', 'I') THEN coalesce((SELECT ' on ' || quote_ident(t.relname)
                 || CASE WHEN i.indisunique THEN ' unique' ELSE '' END || CASE WHEN i.indisvalid THEN '' ELSE ' not valid' END
                 FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid WHERE i.indexrelid = x.oid), '') ELSE '' END
         FROM pg_class x JOIN s ON s.oid = x.relnamespace
         WHERE x.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c', 'i', 'I') AND x.relpersistence <> 't'
           AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = x.tableoid AND m.objid = x.oid AND m.deptype = 'e')
           AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_depend m ON m.objid = i.indrelid AND m.deptype = 'e'
                           WHERE i.indexrelid = x.oid AND m.classid = x.tableoid)"),
    (Version::OLDEST, "SELECT 'column ' || s.name || '.' || quote_ident(c.relname) || '.' || quote_ident(a.attname) || ' '
            || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
            || CASE WHEN a.atthasdef THEN ' default' ELSE '' END || {identity} || {generated}
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN s ON s.oid = c.relnamespace
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't'
           AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = c.tableoid AND m.objid = c.oid AND m.deptype = 'e')"),
    (Version::OLDEST, "SELECT CASE WHEN {partition} THEN 'partition ' ELSE 'child ' END || s.name || '.' || quote_ident(c.relname)
            || ' of ' || quote_ident(pn.nspname) || '.' || quote_ident(p.relname)
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN s ON s.oid = c.relnamespace
         JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace"),
    // 18 has not-null constraints there (n); those of partitions follow their parents'.
    (Version::OLDEST, "SELECT 'constraint ' || s.name || '.' || coalesce(quote_ident(c.relname), quote_ident(t.typname)) || '.'
            || quote_ident(x.conname) || ' ' || CASE x.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key'
            WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclude' ELSE 'trigger' END
            || CASE WHEN x.condeferrable THEN ' deferrable' ELSE '' END || CASE WHEN x.condeferred THEN ' deferred' ELSE '' END
            || CASE WHEN x.convalidated THEN '' ELSE ' not valid' END
         FROM pg_constraint x JOIN s ON s.oid = x.connamespace
         LEFT JOIN pg_class c ON c.oid = x.conrelid LEFT JOIN pg_type t ON t.oid = x.contypid
         WHERE x.contype IN ('c', 'f', 'p', 'u', 'x', 't') AND NOT {child_constraint}
           AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.objid = coalesce(c.oid, t.oid) AND m.deptype = 'e'
                           AND m.classid IN ('pg_class'::regclass, 'pg_type'::regclass))"),
    (Version::OLDEST, "SELECT 'trigger ' || s.name || '.' || quote_ident(c.relname) || '.' || quote_ident(x.tgname)
            || CASE x.tgenabled WHEN 'D' THEN ' disabled' WHEN 'R' THEN ' replica' WHEN 'A' THEN ' always' ELSE '' END
         FROM pg_trigger x JOIN pg_class c ON c.oid = x.tgrelid JOIN s ON s.oid = c.relnamespace
         WHERE NOT x.tgisinternal AND NOT {child_trigger} AND {mine}"),
    (Version::OLDEST, "SELECT 'rule ' || s.name || '.' || quote_ident(c.relname) || '.' || quote_ident(x.rulename)
         FROM pg_rewrite x JOIN pg_class c ON c.oid = x.ev_class JOIN s ON s.oid = c.relnamespace
         WHERE x.rulename <> '_RETURN' AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = x.tableoid AND m.objid = x.oid AND m.deptype = 'e')"),
    (Version::OLDEST, "SELECT 'policy ' || s.name || '.' || quote_ident(c.relname) || '.' || quote_ident(x.polname)
            || CASE x.polcmd WHEN 'r' THEN ' select' WHEN 'a' THEN ' insert' WHEN 'w' THEN ' update' WHEN 'd' THEN ' delete' ELSE ' all' END
         FROM pg_policy x JOIN pg_class c ON c.oid = x.polrelid JOIN s ON s.oid = c.relnamespace"),
    (Version::OLDEST, "SELECT {function_kind} || ' ' || s.name || '.' || quote_ident(x.proname) || '('
            || pg_get_function_identity_arguments(x.oid) || ')' || CASE WHEN x.prosecdef THEN ' security definer' ELSE '' END
         FROM pg_proc x JOIN s ON s.oid = x.pronamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT CASE x.typtype WHEN 'd' THEN 'domain ' WHEN 'e' THEN 'enum ' WHEN 'r' THEN 'range ' ELSE 'type ' END
            || s.name || '.' || quote_ident(x.typname)
            || CASE x.typtype WHEN 'd' THEN ' ' || format_type(x.typbasetype, x.typtypmod) || CASE WHEN x.typnotnull THEN ' not null' ELSE '' END
               WHEN 'e' THEN ' ' || coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                                   FROM pg_enum e WHERE e.enumtypid = x.oid), '') ELSE '' END
         FROM pg_type x JOIN s ON s.oid = x.typnamespace
         WHERE x.typtype IN ('b', 'd', 'e', 'r', 'p') AND NOT (x.typelem <> 0 AND x.typcategory = 'A') AND {mine}"),
    (Version::OLDEST, "SELECT 'operator ' || s.name || '.' || x.oprname || ' (' || coalesce(format_type(nullif(x.oprleft, 0), NULL), 'NONE') || ', '
            || coalesce(format_type(nullif(x.oprright, 0), NULL), 'NONE') || ')'
         FROM pg_operator x JOIN s ON s.oid = x.oprnamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT 'operator class ' || s.name || '.' || quote_ident(x.opcname) || ' using ' || quote_ident(a.amname)
         FROM pg_opclass x JOIN s ON s.oid = x.opcnamespace JOIN pg_am a ON a.oid = x.opcmethod WHERE {mine}"),
    (Version::OLDEST, "SELECT 'operator family ' || s.name || '.' || quote_ident(x.opfname) || ' using ' || quote_ident(a.amname)
         FROM pg_opfamily x JOIN s ON s.oid = x.opfnamespace JOIN pg_am a ON a.oid = x.opfmethod WHERE {mine}"),
    (Version::OLDEST, "SELECT 'cast (' || format_type(x.castsource, NULL) || ' as ' || format_type(x.casttarget, NULL) || ')'
         FROM pg_cast x WHERE x.oid >= {user_oid} AND {mine}"),
    (Version::OLDEST, "SELECT 'conversion ' || s.name || '.' || quote_ident(x.conname) FROM pg_conversion x JOIN s ON s.oid = x.connamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT 'collation ' || s.name || '.' || quote_ident(x.collname) FROM pg_collation x JOIN s ON s.oid = x.collnamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT 'text search configuration ' || s.name || '.' || quote_ident(x.cfgname) FROM pg_ts_config x JOIN s ON s.oid = x.cfgnamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT 'text search dictionary ' || s.name || '.' || quote_ident(x.dictname) FROM pg_ts_dict x JOIN s ON s.oid = x.dictnamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT 'text search parser ' || s.name || '.' || quote_ident(x.prsname) FROM pg_ts_parser x JOIN s ON s.oid = x.prsnamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT 'text search template ' || s.name || '.' || quote_ident(x.tmplname) FROM pg_ts_template x JOIN s ON s.oid = x.tmplnamespace WHERE {mine}"),
    (Version::OLDEST, "SELECT 'language ' || quote_ident(x.lanname) FROM pg_language x WHERE x.oid >= {user_oid} AND {mine}"),
    (Version::OLDEST, "SELECT 'foreign data wrapper ' || quote_ident(x.fdwname) FROM pg_foreign_data_wrapper x WHERE {mine}"),
    (Version::OLDEST, "SELECT 'server ' || quote_ident(x.srvname) FROM pg_foreign_server x WHERE {mine}"),
    (Version::OLDEST, "SELECT 'user mapping for ' || quote_ident(x.usename) || ' on ' || quote_ident(x.srvname) FROM pg_user_mappings x"),
    (Version::OLDEST, "SELECT 'event trigger ' || quote_ident(x.evtname) || CASE x.evtenabled WHEN 'D' THEN ' disabled' ELSE '' END FROM pg_event_trigger x WHERE {mine}"),
    (Version::OLDEST, "SELECT 'extension ' || quote_ident(x.extname) FROM pg_extension x"),
    (Version::OLDEST, "SELECT 'default privileges of ' || quote_ident(pg_get_userbyid(x.defaclrole)) || coalesce(' in ' || s.name, '') || ' on ' || x.defaclobjtype::text
         FROM pg_default_acl x LEFT JOIN s ON s.oid = x.defaclnamespace"),
    (Version::OLDEST, "SELECT 'transform for ' || format_type(x.trftype, NULL) || ' language ' || quote_ident(l.lanname)
         FROM pg_transform x JOIN pg_language l ON l.oid = x.trflang WHERE x.oid >= {user_oid} AND {mine}"),
    (Version::V9_6, "SELECT 'access method ' || quote_ident(x.amname) FROM pg_am x WHERE x.oid >= {user_oid} AND {mine}"),
    (Version::V10, "SELECT 'publication ' || quote_ident(x.pubname) FROM pg_publication x"),
    (Version::V10, "SELECT 'statistics ' || s.name || '.' || quote_ident(x.stxname) FROM pg_statistic_ext x JOIN s ON s.oid = x.stxnamespace"),
];
