//! Tables and sequences, with columns, extension configuration and sizes.

use std::collections::HashMap;

use super::types::Types;
use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::{Column, Floats, TableName};
use crate::data::postgres::naming::qualified;
use crate::data::postgres::version::Version;

/// What of a relation matters to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// Has rows of its own: plain, partition, inherited.
    Table,
    Unlogged,
    /// Its rows are its partitions'.
    PartitionedParent,
    /// Its rows are another server's.
    Foreign,
    MaterializedView,
    Sequence,
}

impl RelationKind {
    /// Whether the snapshot brings its rows.
    #[must_use]
    pub fn has_rows(self) -> bool {
        matches!(self, Self::Table | Self::Unlogged)
    }

    /// Whether `LOCK TABLE` takes it.
    #[must_use]
    pub fn is_lockable(self) -> bool {
        matches!(self, Self::Table | Self::Unlogged | Self::PartitionedParent)
    }
}

#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
    /// Columns of the table's file: none that is generated.
    pub columns: Vec<Column>,
    /// The extension whose configuration it is.
    pub extension: Option<String>,
    /// `WHERE …` of an extension's configuration.
    pub condition: Option<String>,
    /// Hidden oid columns (before 12) are lost.
    pub with_oids: bool,
    pub filled: bool,
    /// Ranges of ctids can be read by themselves: a heap, on 14 and later. Before, each range would read all pages:
    /// on 9.6 two halves took 1.3 times the server's time of the whole, four would take 1.6 times.
    pub has_ctids: bool,
    pub load_through: Option<TableName>,
    /// With its TOAST table; 0 until [`measure`].
    pub bytes: u64,
    /// Of the main fork; 0 until [`measure`].
    pub pages: u64,
}

impl Relation {
    #[must_use]
    pub fn sql(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    #[must_use]
    pub fn table_name(&self) -> TableName {
        TableName { schema: self.schema.clone(), name: self.name.clone() }
    }
}

/// Every relation that a snapshot keeps or must speak of, sorted by schema and name.
///
/// # Errors
/// What the server says.
pub async fn relations(session: &Session) -> Result<Vec<Relation>, PostgresError> {
    let what = "reading the database's tables";
    let rows = session.rows(what, &relations_sql(session.version), &[]).await?;
    let mut columns = columns(session).await?;
    let mut roots = roots_of_hashed_enums(session).await?;
    let relations = rows.iter().map(|row| {
        let oid: u32 = row.get(0);
        let (kind, persistence): (&str, &str) = (row.get(3), row.get(4));
        Relation {
            oid,
            schema: row.get(1),
            name: row.get(2),
            kind: match (kind, persistence) {
                ("p", _) => RelationKind::PartitionedParent,
                ("f", _) => RelationKind::Foreign,
                ("m", _) => RelationKind::MaterializedView,
                ("S", _) => RelationKind::Sequence,
                (_, "u") => RelationKind::Unlogged,
                _ => RelationKind::Table,
            },
            columns: columns.remove(&oid).unwrap_or_default(),
            extension: row.get(5),
            condition: row.get::<_, Option<String>>(6).filter(|c| !c.trim().is_empty()),
            with_oids: row.get(7),
            filled: row.get(8),
            has_ctids: row.get(9),
            load_through: roots.remove(&oid),
            bytes: 0,
            pages: 0,
        }
    });
    Ok(relations.collect())
}

/// User relations, and those of an extension's that it names as its configuration. Schemas that begin with `pg_` are
/// the system's, by the server's own rule.
fn relations_sql(version: Version) -> String {
    let with_oids = if version < Version::V12 { "c.relhasoids" } else { "false" };
    let has_ctids = if version >= Version::V14 {
        "(SELECT a.amname = 'heap' FROM pg_catalog.pg_am a WHERE a.oid = c.relam)"
    } else {
        "false"
    };
    format!(
        "WITH configuration AS (
           SELECT e.extname, c.oid, c.condition FROM pg_catalog.pg_extension e,
                  unnest(e.extconfig, e.extcondition) AS c (oid, condition)),
         member AS (
           SELECT objid FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::regclass AND deptype = 'e')
         SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
                g.extname::text, g.condition, {with_oids}, c.relispopulated, coalesce({has_ctids}, false)
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              LEFT JOIN configuration g ON g.oid = c.oid
         WHERE c.relkind IN ('r', 'p', 'f', 'm', 'S') AND c.relpersistence <> 't'
           AND (g.oid IS NOT NULL
                OR n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.oid NOT IN (SELECT objid FROM member))
         ORDER BY n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\""
    )
}

async fn columns(session: &Session) -> Result<HashMap<u32, Vec<Column>>, PostgresError> {
    let what = "reading the tables' columns";
    let identity = if session.version >= Version::V10 { "a.attidentity <> ''" } else { "false" };
    let generated = if session.version >= Version::V12 { "AND a.attgenerated = ''" } else { "" };
    let sql = format!(
        "SELECT a.attrelid, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, {identity}
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND c.relnamespace <> 11 {generated}
         ORDER BY a.attrelid, a.attnum"
    );
    // Later servers print floats as all later servers do: nothing to know.
    let mut types = if session.version < Version::V12 { Some(Types::read(session).await?) } else { None };
    let mut columns: HashMap<u32, Vec<Column>> = HashMap::new();
    for row in session.rows(what, &sql, &[]).await? {
        let column = Column {
            name: row.get(1),
            type_name: row.get(2),
            floats: types.as_mut().map_or(Floats::None, |t| t.floats(row.get(3))),
            identity: row.get(4),
        };
        columns.entry(row.get(0)).or_default().push(column);
    }
    Ok(columns)
}

/// Leaf partitions below a hash-partitioned table with an enum in its key, and the topmost table above each. pg_dump
/// 16's rule (`load-via-partition-root` is then forced): the class of the key's operators is `enum_ops`.
async fn roots_of_hashed_enums(session: &Session) -> Result<HashMap<u32, TableName>, PostgresError> {
    if session.version < Version::V11 {
        return Ok(HashMap::new());
    }
    let sql = "WITH RECURSIVE up AS (
           SELECT i.inhrelid AS leaf, i.inhparent AS above FROM pg_catalog.pg_inherits i
           JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relispartition
         UNION ALL
           SELECT up.leaf, i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.above
           JOIN pg_catalog.pg_class c ON c.oid = up.above WHERE c.relispartition),
         unsafe AS (
           SELECT DISTINCT up.leaf FROM up JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = up.above
           WHERE p.partstrat = 'h' AND EXISTS (
             SELECT FROM pg_catalog.pg_opclass o WHERE o.oid = ANY (p.partclass::oid[]) AND o.opcname = 'enum_ops'))
         SELECT up.leaf, n.nspname::text, c.relname::text FROM up JOIN unsafe USING (leaf)
         JOIN pg_catalog.pg_class c ON c.oid = up.above JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT c.relispartition";
    let rows = session.rows("reading how tables are partitioned", sql, &[]).await?;
    Ok(rows.iter().map(|r| (r.get(0), TableName { schema: r.get(1), name: r.get(2) })).collect())
}

/// Fills in the sizes of the relations that have rows. Each must be locked already: the server waits for its lock.
///
/// # Errors
/// What the server says.
pub async fn measure(session: &Session, relations: &mut [Relation]) -> Result<(), PostgresError> {
    let oids: Vec<u32> = relations.iter().filter(|r| r.kind.has_rows()).map(|r| r.oid).collect();
    let sql = "SELECT o, coalesce(pg_catalog.pg_table_size(o::regclass), 0),
                      coalesce(pg_catalog.pg_relation_size(o::regclass), 0)
                        / pg_catalog.current_setting('block_size')::bigint
               FROM unnest($1::oid[]) AS o";
    let sizes: HashMap<u32, (i64, i64)> = session
        .rows("reading the tables' sizes", sql, &[&oids])
        .await?
        .iter()
        .map(|r| (r.get(0), (r.get(1), r.get(2))))
        .collect();
    for relation in relations {
        if let Some((bytes, pages)) = sizes.get(&relation.oid) {
            relation.bytes = u64::try_from(*bytes).unwrap_or(0);
            relation.pages = u64::try_from(*pages).unwrap_or(0);
        }
    }
    Ok(())
}
