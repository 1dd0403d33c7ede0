//! COPY … TO STDOUT as batches of whole rows.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;

/// Few rows at a time, as they come from a server that is slower than we are or over a unix socket, are put together
/// first: what comes after works on batches. Fits the second-level cache.
const BATCH: usize = 128 << 10;
/// What is handed on as it came.
const LARGE: usize = 8 << 10;

/// Rows on their way.
pub(super) struct CopyOut<'a> {
    session: &'a Session,
    what: &'a str,
    stream: Pin<Box<CopyOutStream>>,
    batch: Vec<u8>,
    rows: Bytes,
    next: Next,
}

/// What is handed on after the batch that is being filled.
enum Next {
    Batch,
    /// Many rows, or a large one, which is then in memory once.
    Rows(Bytes),
    /// The rows before it come first: their number tells which row it was.
    Failure(PostgresError),
    /// The stream must not be asked again.
    End,
}

impl<'a> CopyOut<'a> {
    /// Starts `sql`, which says in which encoding the rows come.
    pub async fn start(session: &'a Session, what: &'a str, sql: &str) -> Result<Self, PostgresError> {
        let stream = session.client().copy_out(sql).await.map_err(|e| session.explain(what, &e))?;
        let batch = Vec::with_capacity(BATCH + (16 << 10));
        Ok(Self { session, what, stream: Box::pin(stream), batch, rows: Bytes::new(), next: Next::Batch })
    }

    /// The next whole rows, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, PostgresError> {
        self.batch.clear();
        self.rows.clear();
        while matches!(self.next, Next::Batch) && self.batch.len() < BATCH {
            match self.stream.next().await {
                Some(Ok(rows)) if rows.len() >= LARGE => self.next = Next::Rows(rows),
                Some(Ok(rows)) => self.batch.extend_from_slice(&rows),
                Some(Err(error)) => self.next = Next::Failure(self.session.explain(self.what, &error)),
                None => self.next = Next::End,
            }
        }
        if !self.batch.is_empty() {
            return Ok(Some(&self.batch));
        }
        match std::mem::replace(&mut self.next, Next::End) {
            Next::Rows(rows) => {
                self.next = Next::Batch;
                self.rows = rows;
                Ok(Some(&self.rows))
            }
            Next::Failure(error) => Err(error),
            Next::Batch | Next::End => Ok(None),
        }
    }
}
