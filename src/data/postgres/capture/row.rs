//! Names the row that a server cannot send: a bytea of half a gigabyte, a damaged TOAST value, an enum label that is
//! gone.

use super::plan::{self, Piece};
use super::tables::Readable;
use super::{Reads, session_in};
use crate::data::postgres::catalog::Relation;
use crate::data::postgres::connect::{Server, Session};
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::naming::identifier;

/// `error`, with the row where it lies in one. The rows before it have come, in the heap's order; the next in that order
/// is the one, and can be found without touching its columns.
pub(super) async fn name_it(
    server: &Server,
    exported: &Readable,
    piece: &Piece,
    rows_before: u64,
    error: PostgresError,
) -> PostgresError {
    let PostgresError::Query { message, .. } = &error else { return error };
    // Undefined tables and columns, syntax: nothing of a row.
    if message.sqlstate.starts_with("42") {
        return error;
    }
    let relation = &exported.relations[piece.relation];
    let table = relation.table_name().to_string();
    // That the row could not be found must not hide why it could not be sent.
    let row = find(server, exported, piece, rows_before).await.ok().flatten();
    let row = row.unwrap_or_else(|| format!("after the first {rows_before}"));
    PostgresError::Row { table, row, message: message.clone() }
}

async fn find(
    server: &Server,
    exported: &Readable,
    piece: &Piece,
    rows_before: u64,
) -> Result<Option<String>, PostgresError> {
    let what = "looking for the row that cannot be sent";
    let relation = &exported.relations[piece.relation];
    let session = session_in(server, exported, Reads::Tables).await?;
    let key = key_columns(&session, relation).await?;
    let columns: Vec<String> = std::iter::once("ctid".to_owned()).chain(key.iter().map(|c| identifier(c))).collect();
    let sql = format!(
        "SELECT {} FROM ONLY {} {} OFFSET {rows_before} LIMIT 1",
        columns.join(", "),
        relation.sql(),
        plan::condition(relation, piece)
    );
    let rows = session.texts(what, &sql).await?;
    Ok(rows.first().map(|values| {
        let named = std::iter::once("ctid").chain(key.iter().map(String::as_str)).zip(values);
        named
            .map(|(name, value)| format!("{name} {}", value.as_deref().unwrap_or("NULL")))
            .collect::<Vec<_>>()
            .join(", ")
    }))
}

/// The primary key's columns.
async fn key_columns(session: &Session, relation: &Relation) -> Result<Vec<String>, PostgresError> {
    let sql =
        "SELECT a.attname::text FROM pg_catalog.pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (n, place),
                      pg_catalog.pg_attribute a
               WHERE i.indrelid = $1 AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY place";
    let rows = session.rows("reading the table's key", sql, &[&relation.oid]).await?;
    Ok(rows.iter().map(|r| r.get(0)).collect())
}
