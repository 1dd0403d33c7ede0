//! Owner, privileges and comment of each schema object, a line each: what a restore must have given back besides the
//! objects themselves. In words of the source's own major version: another one knows other privileges.
//!
//! Not listed: extensions and what belongs to them; the schema `public` that the server itself made, whose owner is the
//! server's; operator families, whose owner pg_dump does not tell; large objects, which have a list of their own.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

use super::connect::Session;
use super::error::PostgresError;
use super::manifest::Digest;
use super::version::Version;

/// The name of the file in a database's folder.
pub const FILE: &str = "attributes.txt";

/// `owner of table public.t` → `app`.
pub type Attributes = BTreeMap<String, String>;

/// What of a missing line is said: no comment, no privilege on a column.
const NOTHING: &str = "none";

/// Every attribute of the database that `session` is on.
///
/// # Errors
/// What the server says.
pub async fn list(session: &Session) -> Result<Attributes, PostgresError> {
    let mut all = Attributes::new();
    let newer = if session.version >= Version::V10 { SINCE_10 } else { "" };
    for sql in [OWNERS, PRIVILEGES, COLUMNS, COMMENTS] {
        let sql = format!("WITH s AS ({SCHEMAS}), o (class, oid, kind, owner, acl) AS ({OBJECTS} {newer}) {sql}");
        for row in session.rows("listing owners, privileges and comments", &sql, &[]).await? {
            // A comment may be long, and of no encoding that we know.
            let content: Option<Vec<u8>> = row.get(2);
            let value = content.map_or_else(|| escaped(row.get(1)), |text| Digest(xxh3_128(&text)).to_string());
            all.insert(escaped(row.get(0)), value);
        }
    }
    Ok(all)
}

/// The file: `what⇥value`, sorted as bytes.
#[must_use]
pub fn as_file(attributes: &Attributes) -> Vec<u8> {
    attributes.iter().flat_map(|(what, value)| format!("{what}\t{value}\n").into_bytes()).collect()
}

/// Reads [`as_file`]; a line without a tab is passed over.
#[must_use]
pub fn read(file: &str) -> Attributes {
    let pairs = file.lines().filter_map(|line| line.split_once('\t'));
    pairs.map(|(what, value)| (what.to_owned(), value.to_owned())).collect()
}

/// What was recorded and is otherwise now: what, as recorded, as found. Of an object that is there on one side alone only
/// comments are told: the list of objects tells the object. `holds_more` forgives what was not recorded.
#[must_use]
pub fn differences(recorded: &Attributes, found: &Attributes, holds_more: bool) -> Vec<(String, String, String)> {
    let mut different = Vec::new();
    for (what, value) in recorded {
        match found.get(what) {
            Some(now) if now != value => different.push((what.clone(), value.clone(), now.clone())),
            None if stands_alone(what) => different.push((what.clone(), value.clone(), NOTHING.to_owned())),
            _ => {}
        }
    }
    if !holds_more {
        let more = found.iter().filter(|(what, _)| stands_alone(what) && !recorded.contains_key(*what));
        different.extend(more.map(|(what, value)| (what.clone(), NOTHING.to_owned(), value.clone())));
    }
    different
}

/// Every object has an owner and privileges, be they the default ones; not every one has these.
fn stands_alone(what: &str) -> bool {
    what.starts_with("comment on ") || what.starts_with("privileges on column ")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

const SCHEMAS: &str =
    "SELECT n.oid FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Everything with an owner; `kind` is `acldefault`'s letter, null where there are no privileges. From 16384 on are the
/// oids that users made (`FirstNormalObjectId`).
const OBJECTS: &str =
    "SELECT x.tableoid, x.oid, 'n'::\"char\", x.nspowner, x.nspacl FROM pg_namespace x JOIN s ON s.oid = x.oid
         WHERE x.oid >= 16384
    UNION ALL SELECT x.tableoid, x.oid, CASE x.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", x.relowner, x.relacl
         FROM pg_class x JOIN s ON s.oid = x.relnamespace
         WHERE x.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND x.relpersistence <> 't'
    UNION ALL SELECT x.tableoid, x.oid, 'f', x.proowner, x.proacl FROM pg_proc x JOIN s ON s.oid = x.pronamespace
    UNION ALL SELECT x.tableoid, x.oid, 'T', x.typowner, x.typacl FROM pg_type x JOIN s ON s.oid = x.typnamespace
         WHERE x.typtype IN ('b', 'c', 'd', 'e', 'r') AND NOT (x.typelem <> 0 AND x.typcategory = 'A')
           AND (x.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = x.typrelid AND c.relkind = 'c'))
    UNION ALL SELECT x.tableoid, x.oid, 'l', x.lanowner, x.lanacl FROM pg_language x WHERE x.oid >= 16384
    UNION ALL SELECT x.tableoid, x.oid, 'F', x.fdwowner, x.fdwacl FROM pg_foreign_data_wrapper x
    UNION ALL SELECT x.tableoid, x.oid, 'S', x.srvowner, x.srvacl FROM pg_foreign_server x
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.oprowner, NULL FROM pg_operator x JOIN s ON s.oid = x.oprnamespace
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.opcowner, NULL FROM pg_opclass x JOIN s ON s.oid = x.opcnamespace
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.collowner, NULL FROM pg_collation x JOIN s ON s.oid = x.collnamespace
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.conowner, NULL FROM pg_conversion x JOIN s ON s.oid = x.connamespace
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.cfgowner, NULL FROM pg_ts_config x JOIN s ON s.oid = x.cfgnamespace
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.dictowner, NULL FROM pg_ts_dict x JOIN s ON s.oid = x.dictnamespace
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.evtowner, NULL FROM pg_event_trigger x";

const SINCE_10: &str = "UNION ALL SELECT x.tableoid, x.oid, NULL, x.pubowner, NULL FROM pg_publication x
    UNION ALL SELECT x.tableoid, x.oid, NULL, x.stxowner, NULL FROM pg_statistic_ext x JOIN s ON s.oid = x.stxnamespace";

const OWNERS: &str = "SELECT 'owner of ' || i.type || ' ' || i.identity, quote_ident(pg_get_userbyid(o.owner)), NULL::bytea
    FROM o CROSS JOIN LATERAL pg_identify_object(o.class, o.oid, 0) i
    WHERE NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = o.class AND m.objid = o.oid AND m.deptype IN ('e', 'i'))";

/// `app=SELECT*/boss, PUBLIC=SELECT/boss`: who may what by whose grant, with an asterisk where he may hand it on.
const PRIVILEGES: &str = "SELECT 'privileges on ' || i.type || ' ' || i.identity,
        coalesce((SELECT string_agg(g.line, ', ' ORDER BY g.line COLLATE \"C\") FROM (
            SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END || '=' || a.privilege_type
                   || CASE WHEN a.is_grantable THEN '*' ELSE '' END || '/' || quote_ident(pg_get_userbyid(a.grantor)) AS line
            FROM aclexplode(coalesce(o.acl, acldefault(o.kind, o.owner))) a) g), 'none'), NULL::bytea
    FROM o CROSS JOIN LATERAL pg_identify_object(o.class, o.oid, 0) i
    WHERE o.kind IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = o.class AND m.objid = o.oid AND m.deptype IN ('e', 'i'))";

const COLUMNS: &str = "SELECT 'privileges on column ' || i.identity,
        string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END || '=' || a.privilege_type
                   || CASE WHEN a.is_grantable THEN '*' ELSE '' END || '/' || quote_ident(pg_get_userbyid(a.grantor)), ', '
                   ORDER BY pg_get_userbyid(a.grantee)::text COLLATE \"C\", a.privilege_type COLLATE \"C\",
                            pg_get_userbyid(a.grantor)::text COLLATE \"C\"), NULL::bytea
    FROM pg_attribute c JOIN o ON o.class = 'pg_class'::regclass AND o.oid = c.attrelid
         CROSS JOIN LATERAL aclexplode(c.attacl) a
         CROSS JOIN LATERAL pg_identify_object('pg_class'::regclass, c.attrelid, c.attnum) i
    WHERE c.attacl IS NOT NULL AND NOT c.attisdropped
      AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = o.class AND m.objid = o.oid AND m.deptype = 'e')
    GROUP BY i.identity";

/// Subscriptions are not restored; an extension's own comment is its author's.
const COMMENTS: &str =
    "SELECT 'comment on ' || i.type || ' ' || i.identity, '', convert_to(d.description, getdatabaseencoding())
    FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
    WHERE d.objoid >= 16384 AND i.identity IS NOT NULL
      AND d.classoid NOT IN ('pg_extension'::regclass, 'pg_largeobject'::regclass)
      AND d.classoid::regclass::text NOT IN ('pg_subscription', 'pg_catalog.pg_subscription')
      AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = d.classoid AND m.objid = d.objoid AND m.deptype = 'e')";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&str, &str)]) -> Attributes {
        lines.iter().map(|(what, value)| ((*what).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_differs_is_told_once_and_objects_that_are_gone_are_the_other_lists() {
        let recorded = of(&[
            ("owner of table public.t", "app"),
            ("owner of table public.gone", "app"),
            ("comment on table public.t", "12"),
            ("privileges on table public.t", "app=SELECT/app"),
        ]);
        let found = of(&[
            ("owner of table public.t", "boss"),
            ("owner of table public.more", "boss"),
            ("privileges on table public.t", "app=SELECT/app"),
            ("privileges on column public.t.a", "x=SELECT/app"),
        ]);
        let told = |holds_more| {
            let all = differences(&recorded, &found, holds_more);
            all.into_iter().map(|(what, was, is)| format!("{what}: {was} → {is}")).collect::<Vec<_>>()
        };
        let lost = ["comment on table public.t: 12 → none", "owner of table public.t: app → boss"];
        assert_eq!(told(true), lost);
        assert_eq!(told(false), [&lost[..], &["privileges on column public.t.a: none → x=SELECT/app"]].concat());
    }

    #[test]
    fn the_file_is_read_back() {
        let all = of(&[("comment on table public.\"a\\nb\"", "1f"), ("owner of table public.t", "\"My\\tApp\"")]);
        assert_eq!(read(&String::from_utf8(as_file(&all)).unwrap()), all);
        assert_eq!(escaped("a\tb\\c\nd"), "a\\tb\\\\c\\nd");
    }
}
