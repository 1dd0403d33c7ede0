//! Rows, sequences and large objects into an empty schema.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};

use super::super::connect::Session;
use super::super::manifest::{Sequence, Table};
use super::super::naming::{identifier, literal, qualified};
use super::error::RestoreError;
use super::files::Files;
use crate::progress::Task;

/// COPYs a table's rows in, under the settings by which they were printed, and returns how many the server took.
///
/// In the transaction that truncates it, so that rows are frozen as they come: no later pass sets hint bits or rewrites
/// the pages, and reading them again is faster (measured). The table was made empty a moment before, by us.
pub async fn table(
    session: &Session,
    files: &Files,
    encoding: &str,
    table: &Table,
    settings: &BTreeMap<String, String>,
    progress: &Task,
) -> Result<(), RestoreError> {
    let what = format!("loading table {}", table.table_name());
    let local = |(name, value): (&String, &String)| format!("SET LOCAL {} = {};\n", identifier(name), literal(value));
    let settings: String = settings.iter().map(local).collect();
    session.batch(&what, &format!("BEGIN;\n{settings}{}", emptying(table))).await?;
    let loaded = copy_in(session, files, &copy_statement(table, encoding), &table.file, &what, progress).await?;
    session.batch(&what, "COMMIT").await?;
    progress.add_items(1);
    if loaded == table.rows {
        return Ok(());
    }
    Err(RestoreError::Rows { table: table.table_name().to_string(), recorded: table.rows, loaded })
}

/// Of an extension's table only the user's rows were recorded: those take the place of what the extension's script has
/// put there for them. Rows that are loaded through their root find an empty table.
fn emptying(table: &Table) -> String {
    let name = qualified(&table.schema, &table.name);
    match (&table.extension, &table.condition) {
        (Some(_), condition) => format!("DELETE FROM ONLY {name} {};", condition.as_deref().unwrap_or_default()),
        (None, _) if is_frozen(table) => format!("TRUNCATE ONLY {name};"),
        (None, _) => String::new(),
    }
}

/// FREEZE is for tables that the same transaction has emptied, and for none with partitions.
fn is_frozen(table: &Table) -> bool {
    table.extension.is_none() && table.load_through.is_none()
}

/// `encoding` is the source database's own: the server converts where the target's is another.
fn copy_statement(table: &Table, encoding: &str) -> String {
    let target = table.load_through.clone().unwrap_or_else(|| table.table_name());
    let columns = columns(table);
    let freeze = if is_frozen(table) { "FREEZE, " } else { "" };
    let name = qualified(&target.schema, &target.name);
    format!("COPY {name}{columns} FROM STDIN WITH ({freeze}ENCODING {})", literal(encoding))
}

/// ` ("a", "b")`, or nothing for a table without columns, for which COPY has no list.
pub fn columns(table: &Table) -> String {
    let names: Vec<String> = table.columns.iter().map(|column| identifier(&column.name)).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

async fn copy_in(
    session: &Session,
    files: &Files,
    statement: &str,
    file: &str,
    what: &str,
    progress: &Task,
) -> Result<u64, RestoreError> {
    let mut pieces = Box::pin(files.stream(file).await?);
    let explain = |error: tokio_postgres::Error| session.explain(what, &error);
    let sink = session.client().copy_in::<_, Bytes>(statement).await.map_err(explain)?;
    let mut sink = Box::pin(sink);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        progress.add_bytes(piece.len() as u64);
        sink.send(piece).await.map_err(explain)?;
    }
    Ok(sink.as_mut().finish().await.map_err(explain)?)
}

/// Sets every sequence to where it was.
pub async fn sequences(session: &Session, sequences: &[Sequence]) -> Result<(), RestoreError> {
    for some in sequences.chunks(500) {
        let set = |sequence: &Sequence| {
            let name = literal(&qualified(&sequence.schema, &sequence.name));
            format!("SELECT pg_catalog.setval({name}, {}, {});\n", sequence.last_value, sequence.is_called)
        };
        session.batch("setting the sequences", &some.iter().map(set).collect::<String>()).await?;
    }
    Ok(())
}
