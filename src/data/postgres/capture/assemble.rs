//! Puts what was read together: files into folders, records into the manifest.

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use super::export::Exported;
use super::large_objects::StoredLargeObjects;
use super::tables::StoredTable;
use super::{OpenSource, StoredGlobals, by_hand};
use crate::data::Captured;
use crate::data::postgres::attributes::{self, Attributes};
use crate::data::postgres::catalog::CatalogRecord;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::manifest::{
    self, Database, Digest, FORMAT_VERSION, FileRecord, LargeObjects, Manifest, NotKept, Objects, Sequence,
};
use crate::data::postgres::naming::database_folder;
use crate::data::postgres::{objects, session};
use crate::repository::{FileContent, Node, NodeKind, Tree, TreeId, Writer};

pub(super) type Catalogs = (CatalogRecord, Vec<Sequence>, Vec<String>, Attributes);

/// All that was read of a database.
pub(super) struct DatabaseParts {
    pub record: CatalogRecord,
    pub tables: Vec<StoredTable>,
    pub large_objects: StoredLargeObjects,
    pub schema_dump: FileContent,
    pub sequences: Vec<Sequence>,
    pub objects: Vec<String>,
    pub attributes: Attributes,
}

/// Stores manifest, instructions and folders; the snapshot's tree is the last thing written.
pub(super) async fn snapshot(
    source: &OpenSource,
    globals: StoredGlobals,
    parts: Vec<DatabaseParts>,
    writer: &Writer,
) -> Result<Captured, PostgresError> {
    let instant = source.exported.iter().map(|e| e.instant).min().unwrap_or_default();
    let mut not_kept: Vec<NotKept> = server_not_kept(source);
    let (mut databases, mut folders) = (Vec::new(), Vec::new());
    for (exported, parts) in source.exported.iter().zip(parts) {
        not_kept.extend(parts.record.not_kept.clone());
        let (database, tree) = store_database(exported, parts, writer, instant).await?;
        folders.push(folder_node(&database_folder(&database.name), tree, instant));
        databases.push(database);
    }
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        written_by: format!("drydock {}", env!("CARGO_PKG_VERSION")),
        server: source.server_record(),
        settings: session::pinned(),
        globals: globals.record,
        databases,
        not_kept,
    };
    let tree = Tree {
        nodes: vec![
            file_node("RESTORE.md", store(writer, by_hand::restore_md(&manifest)).await?, instant),
            folder_node("databases", writer.tree(&sorted(folders)).await?, instant),
            file_node(&manifest.globals.file, globals.content, instant),
            file_node(manifest::FILE, store(writer, manifest.write()).await?, instant),
        ],
    };
    let tree = writer.tree(&sorted(tree.nodes)).await?;
    Ok(captured(source, &manifest, tree, instant))
}

fn captured(source: &OpenSource, manifest: &Manifest, tree: TreeId, instant: Timestamp) -> Captured {
    let tables = || manifest.databases.iter().flat_map(|d| &d.tables);
    let large_objects: u64 = manifest.databases.iter().map(|d| d.large_objects.bytes).sum();
    let mut notes: Vec<String> = manifest.not_kept.iter().map(ToString::to_string).collect();
    notes.extend(manifest.databases.iter().filter_map(embedded_floats));
    Captured {
        tree,
        root: None,
        instant,
        bytes: tables().map(|t| t.bytes).sum::<u64>() + large_objects,
        items: tables().count() as u64,
        warnings: Vec::new(),
        notes,
        digest: Some(digest_of_all(manifest).to_string()),
        source_version: format!("postgresql {}", source.version()),
    }
}

/// Said now, because it is found out too late otherwise: at the restore into a newer server.
fn embedded_floats(database: &Database) -> Option<String> {
    let columns: Vec<String> = database
        .tables
        .iter()
        .flat_map(|t| t.embedded_columns().into_iter().map(move |c| format!("{}.{c}", t.table_name())))
        .collect();
    let first = columns.first()?;
    let name = &database.name;
    Some(format!(
        "database {name}: {} column(s) embed floating-point numbers and cannot be compared after a restore into version \
         12 or later ({first}{})",
        columns.len(),
        if columns.len() > 1 { " …" } else { "" }
    ))
}

/// One digest of all content: tables and large objects, of whatever server. Rows and names, no positions or instants.
fn digest_of_all(manifest: &Manifest) -> Digest {
    let mut lines = String::new();
    for database in &manifest.databases {
        for table in &database.tables {
            lines.push_str(&format!(
                "{}\t{}\t{}\t{}\n",
                database.name,
                table.table_name(),
                table.rows,
                table.digest.value
            ));
        }
        let objects = &database.large_objects;
        lines.push_str(&format!("{}\t{}\t{}\n", database.name, objects.count, objects.digest));
    }
    Digest(xxh3_128(lines.as_bytes()))
}

fn server_not_kept(source: &OpenSource) -> Vec<NotKept> {
    if source.keeps_role_passwords() {
        return Vec::new();
    }
    let reason = if source.spec.role_passwords {
        "only a superuser may read them; set the passwords again after a restore that makes the roles"
    } else {
        "`rolePasswords` is false"
    };
    vec![NotKept { database: None, what: "role passwords".into(), names: Vec::new(), reason: reason.into() }]
}

async fn store_database(
    exported: &Exported,
    parts: DatabaseParts,
    writer: &Writer,
    instant: Timestamp,
) -> Result<(Database, TreeId), PostgresError> {
    let folder = format!("databases/{}", database_folder(&exported.holder.database));
    let objects_file = objects::as_file(&parts.objects);
    let large = &parts.large_objects;
    let record = |name: &str, bytes: u64| FileRecord { file: format!("{folder}/{name}"), bytes };
    let database = Database {
        name: exported.holder.database.clone(),
        instant: exported.instant,
        lsn: exported.lsn.clone(),
        properties: parts.record.properties,
        extensions: parts.record.extensions,
        collations: parts.record.collations,
        schema_dump: record("schema.dump", parts.schema_dump.bytes),
        tables: parts.tables.iter().map(|t| t.record.clone()).collect(),
        sequences: parts.sequences,
        large_objects: LargeObjects {
            count: large.files.len() as u64,
            bytes: large.bytes,
            digest: Digest(large.digest),
            list: large.list.as_ref().map(|(list, _)| record("large-objects.jsonl", list.bytes)),
            owners: large.owners.clone(),
        },
        objects: Objects {
            file: format!("{folder}/objects.txt"),
            count: parts.objects.len() as u64,
            digest: objects::digest(&objects_file),
        },
        publications: parts.record.publications,
        subscriptions: parts.record.subscriptions,
        logical_slots: parts.record.logical_slots,
        event_triggers: parts.record.event_triggers,
        folder,
    };
    let restore_sql = by_hand::restore_sql(&database, &session::set_statements(&session::pinned()));
    let mut nodes = vec![
        file_node("schema.dump", parts.schema_dump, instant),
        file_node(attributes::FILE, store(writer, attributes::as_file(&parts.attributes)).await?, instant),
        file_node("objects.txt", store(writer, objects_file).await?, instant),
        file_node("restore.sql", store(writer, restore_sql).await?, instant),
        folder_node("tables", store_tables(parts.tables, writer, instant).await?, instant),
    ];
    nodes.extend(store_large_objects(parts.large_objects, writer, instant).await?);
    Ok((database, writer.tree(&sorted(nodes)).await?))
}

async fn store_tables(tables: Vec<StoredTable>, writer: &Writer, instant: Timestamp) -> Result<TreeId, PostgresError> {
    let nodes = tables.into_iter().map(|table| {
        let name = table.record.file.rsplit('/').next().unwrap_or_default().to_owned();
        file_node(&name, table.content, instant)
    });
    Ok(writer.tree(&sorted(nodes.collect())).await?)
}

async fn store_large_objects(
    stored: StoredLargeObjects,
    writer: &Writer,
    instant: Timestamp,
) -> Result<Vec<Node>, PostgresError> {
    let Some((list, sql)) = stored.list else { return Ok(Vec::new()) };
    let nodes = stored.files.into_iter().map(|(oid, content)| file_node(&oid.to_string(), content, instant));
    let tree = writer.tree(&sorted(nodes.collect())).await?;
    Ok(vec![
        folder_node("large-objects", tree, instant),
        file_node("large-objects.jsonl", list, instant),
        file_node("large-objects.sql", sql, instant),
    ])
}

async fn store(writer: &Writer, content: impl Into<Vec<u8>>) -> Result<FileContent, PostgresError> {
    Ok(writer.bytes(content.into().into()).await?)
}

fn file_node(name: &str, content: FileContent, instant: Timestamp) -> Node {
    node(name, NodeKind::File { content: content.blobs, bytes: content.bytes }, 0o600, instant)
}

fn folder_node(name: &str, subtree: TreeId, instant: Timestamp) -> Node {
    node(name, NodeKind::Dir { subtree }, 0o700, instant)
}

fn node(name: &str, kind: NodeKind, mode: u32, instant: Timestamp) -> Node {
    let time = instant.as_nanosecond();
    Node {
        name: name.as_bytes().to_vec(),
        kind,
        mode,
        mtime_ns: time,
        atime_ns: time,
        ctime_ns: time,
        uid: 0,
        gid: 0,
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 1,
        extended_attributes: Vec::new(),
    }
}

fn sorted(mut nodes: Vec<Node>) -> Tree {
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Tree { nodes }
}
