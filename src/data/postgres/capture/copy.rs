//! COPY … TO STDOUT as batches of whole rows.

use std::borrow::Cow;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;

/// The server sends one message a row; what comes after works on batches. Fits the second-level cache.
const BATCH: usize = 256 << 10;

/// Rows on their way.
pub(super) struct CopyOut<'a> {
    session: &'a Session,
    what: &'a str,
    stream: Pin<Box<CopyOutStream>>,
    batch: Vec<u8>,
    next: Next,
}

/// What is handed on after the batch that is being filled.
enum Next {
    Batch,
    /// A row that is larger than a batch: handed on as it came, so that it is in memory once.
    Row(Bytes),
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
        Ok(Self { session, what, stream: Box::pin(stream), batch, next: Next::Batch })
    }

    /// The next whole rows, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Cow<'_, [u8]>>, PostgresError> {
        self.batch.clear();
        while matches!(self.next, Next::Batch) && self.batch.len() < BATCH {
            match self.stream.next().await {
                Some(Ok(row)) if row.len() >= BATCH => self.next = Next::Row(row),
                Some(Ok(row)) => self.batch.extend_from_slice(&row),
                Some(Err(error)) => self.next = Next::Failure(self.session.explain(self.what, &error)),
                None => self.next = Next::End,
            }
        }
        if !self.batch.is_empty() {
            return Ok(Some(Cow::Borrowed(&self.batch)));
        }
        match std::mem::replace(&mut self.next, Next::End) {
            Next::Row(row) => {
                self.next = Next::Batch;
                Ok(Some(Cow::Owned(row.into())))
            }
            Next::Failure(error) => Err(error),
            Next::Batch | Next::End => Ok(None),
        }
    }
}
