//! One question by somebody who is not trusted to change anything: a single statement in a read-only transaction, with
//! a time limit, of whose answer the first value counts.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_postgres::SimpleQueryMessage;

use super::connect::{Server, Session};
use super::error::PostgresError;
use super::naming::literal;
use crate::context::Context;
use crate::stack::PostgresSpec;

/// What we say we were doing when a question fails.
const ASKING: &str = "asking the query";

/// What a query yielded, as text under `DateStyle ISO` and `TimeZone UTC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The first value of the first row; `None` where it is NULL or there is no row.
    pub value: Option<String>,
    /// Of the value: `boolean`, `timestamp with time zone`.
    pub kind: String,
    /// How many columns there are.
    pub columns: usize,
    /// Rows that came, at most 2: whoever expects one value need not know how many more there are.
    pub rows: usize,
}

/// Asks `sql` of `database`.
///
/// # Errors
/// What the server says of it, more than one statement included; `Stopped` when it takes longer than `limit`.
pub async fn ask(
    spec: &PostgresSpec,
    database: &str,
    sql: &str,
    limit: Duration,
    cx: &Context,
) -> Result<Answer, PostgresError> {
    let asked = async {
        let session = begin(spec, database, limit).await?;
        let answer = first(&session, sql).await;
        session.close().await; // rows that nobody reads end with the connection
        answer
    };
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(PostgresError::Cancelled),
        answer = asked => answer,
    }
}

/// Changes something in `database`: all of `sql` or nothing of it.
///
/// # Errors
/// What the server says of it; `Stopped` when it takes longer than `limit`.
pub async fn tell(
    spec: &PostgresSpec,
    database: &str,
    sql: &str,
    limit: Duration,
    cx: &Context,
) -> Result<(), PostgresError> {
    let told = async {
        let session = Server::new(spec)?.connect(database).await?;
        let limit = limit.as_millis().max(1);
        let done =
            session.batch("changing it", &format!("SET statement_timeout = {limit}; BEGIN; {sql}; COMMIT")).await;
        session.close().await;
        done
    };
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(PostgresError::Cancelled),
        done = told => done,
    }
}

/// How many rows `table` has; its name as SQL would have it (`messages`, `audit."Events"`).
///
/// # Errors
/// As [`ask`]; also when there is no such table.
pub async fn count_rows(
    spec: &PostgresSpec,
    database: &str,
    table: &str,
    limit: Duration,
    cx: &Context,
) -> Result<u64, PostgresError> {
    let name = format!(
        "SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = {}::pg_catalog.regclass",
        literal(table)
    );
    let unexpected = |how: &str| PostgresError::Unexpected { what: format!("counting {table}"), how: how.to_owned() };
    let name =
        ask(spec, database, &name, limit, cx).await?.value.ok_or_else(|| unexpected("there is no such table"))?;
    let answer = ask(spec, database, &format!("SELECT pg_catalog.count(*) FROM {name}"), limit, cx).await?;
    answer.value.and_then(|value| value.parse().ok()).ok_or_else(|| unexpected("count(*) is no number"))
}

async fn begin(spec: &PostgresSpec, database: &str, limit: Duration) -> Result<Session, PostgresError> {
    let session = Server::new(spec)?.connect(database).await?;
    let limit = limit.as_millis().max(1);
    let sql = format!(
        "SET statement_timeout = {limit}; SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET row_security = off; \
         BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    );
    session.batch("preparing a read-only transaction", &sql).await?;
    Ok(session)
}

async fn first(session: &Session, sql: &str) -> Result<Answer, PostgresError> {
    let failed = |error: tokio_postgres::Error| session.explain(ASKING, &error);
    // Preparing it shows the columns' types and refuses a second statement, which could leave the transaction.
    let prepared = session.client().prepare(sql).await.map_err(failed)?;
    let kind = prepared.columns().first().map(|column| column.type_().name().to_owned()).unwrap_or_default();
    let mut answer = Answer { value: None, kind: kind_of(&kind), columns: prepared.columns().len(), rows: 0 };
    let mut messages = Box::pin(session.client().simple_query_raw(sql).await.map_err(failed)?);
    while let Some(message) = messages.next().await {
        let SimpleQueryMessage::Row(row) = message.map_err(failed)? else { continue };
        if answer.rows == 0 && !row.is_empty() {
            answer.value = row.get(0).map(str::to_owned);
        }
        answer.rows += 1;
        if answer.rows == 2 {
            break;
        }
    }
    Ok(answer)
}

/// As people write it.
fn kind_of(name: &str) -> String {
    match name {
        "bool" => "boolean",
        "timestamptz" => "timestamp with time zone",
        "timestamp" => "timestamp without time zone",
        name => name,
    }
    .to_owned()
}
