//! COPY … TO STDOUT as batches of whole rows.

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
    /// A row that is larger than a batch: handed on as it came, so that it is in memory once.
    large: Option<Bytes>,
    /// The stream must not be asked again after its end.
    ended: bool,
}

impl<'a> CopyOut<'a> {
    /// Starts `sql`, which says in which encoding the rows come.
    pub async fn start(session: &'a Session, what: &'a str, sql: &str) -> Result<Self, PostgresError> {
        let stream = session.client().copy_out(sql).await.map_err(|e| session.explain(what, &e))?;
        let stream = Box::pin(stream);
        Ok(Self { session, what, stream, batch: Vec::with_capacity(BATCH + (16 << 10)), large: None, ended: false })
    }

    /// The next whole rows, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, PostgresError> {
        self.batch.clear();
        if let Some(row) = self.large.take() {
            self.batch = row.into();
            return Ok(Some(&self.batch));
        }
        while self.batch.len() < BATCH && !self.ended {
            match self.stream.next().await {
                Some(Ok(row)) if row.len() >= BATCH => {
                    self.large = Some(row);
                    break;
                }
                Some(Ok(row)) => self.batch.extend_from_slice(&row),
                Some(Err(error)) => return Err(self.session.explain(self.what, &error)),
                None => self.ended = true,
            }
        }
        if !self.batch.is_empty() {
            return Ok(Some(&self.batch));
        }
        if let Some(row) = self.large.take() {
            self.batch = row.into();
            return Ok(Some(&self.batch));
        }
        Ok(None)
    }
}
