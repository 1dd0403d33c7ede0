//! Answers questions inside the exported snapshot, for what compares rows with files.

use std::pin::Pin;

use futures_util::stream::{self, Stream};
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryStream};

use super::tables::Readable;
use super::{OpenSource, Reads, session_in};
use crate::data::postgres::connect::Session;
use crate::data::postgres::error::PostgresError;
use crate::data::postgres::stop::Stop;

/// What we say we were doing when a question fails.
const ASKING: &str = "asking inside the exported snapshot";

/// A row's values as text; `None` is NULL.
pub type TextRow = Vec<Option<String>>;

impl OpenSource {
    /// The rows of `sql` as the snapshot has them, streamed: memory does not grow with their number. The session lives
    /// as long as the stream. `database` may be left out where there is only one.
    ///
    /// # Errors
    /// `Spec` where the database is none of this data set; then, and between rows, what the server says, or why production
    /// came first.
    pub async fn rows(
        &self,
        database: Option<&str>,
        sql: &str,
    ) -> Result<impl Stream<Item = Result<TextRow, PostgresError>> + Send + use<>, PostgresError> {
        let exported = match database {
            None if self.exported.len() == 1 => &self.exported[0],
            None => return Err(PostgresError::Spec("the data set has several databases: say which one".into())),
            Some(name) => self
                .exported
                .iter()
                .find(|e| e.holder.database == name)
                .ok_or_else(|| PostgresError::Spec(format!("the data set has no database `{name}`")))?,
        };
        let readable = Readable::of(exported);
        let session = self.stop.guard(None, session_in(&self.server, &readable, Reads::Queries)).await;
        let session = session.map_err(|e| self.stop.explain(e))?;
        let asked = async { session.client().simple_query_raw(sql).await.map_err(|e| session.explain(ASKING, &e)) };
        let messages = self.stop.guard(Some(&session.canceller()), asked).await;
        let messages = Box::pin(messages.map_err(|e| self.stop.explain(e))?);
        let answer = Answer { session, messages, stop: self.stop.clone(), ended: false };
        Ok(stream::try_unfold(
            answer,
            |mut answer| async move { Ok(answer.next().await?.map(|message| (message, answer))) },
        )
        .try_filter_map(|row| async move { Ok(row) }))
    }
}

struct Answer {
    session: Session,
    messages: Pin<Box<SimpleQueryStream>>,
    stop: Stop,
    ended: bool,
}

impl Answer {
    /// The next message, a row where it is one; `None` at the end.
    async fn next(&mut self) -> Result<Option<Option<TextRow>>, PostgresError> {
        let canceller = self.session.canceller();
        let message = async { self.messages.next().await.transpose().map_err(|e| self.session.explain(ASKING, &e)) };
        let message = self.stop.guard(Some(&canceller), message).await.map_err(|e| self.stop.explain(e));
        self.ended = !matches!(message, Ok(Some(_)));
        Ok(message?.map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect()),
            _ => None,
        }))
    }
}

impl Drop for Answer {
    /// Nobody waits for the rest: the server must not work on it.
    fn drop(&mut self) {
        if let Some(runtime) = tokio::runtime::Handle::try_current().ok().filter(|_| !self.ended) {
            let canceller = self.session.canceller();
            runtime.spawn(async move { canceller.cancel().await });
        }
    }
}
