//! Answers questions inside the exported snapshot, for what compares rows with files.

use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio_postgres::SimpleQueryMessage;

use super::tables::Readable;
use super::{OpenSource, Reads, session_in};
use crate::data::postgres::error::PostgresError;

impl OpenSource {
    /// The rows of `sql` as the snapshot has them, values as text, streamed: memory does not grow with their number. The
    /// session lives as long as the stream. `database` may be left out where there is only one.
    ///
    /// # Errors
    /// `Spec` where the database is none of this data set; then, and between rows, what the server says.
    pub async fn rows(
        &self,
        database: Option<&str>,
        sql: &str,
    ) -> Result<impl Stream<Item = Result<Vec<Option<String>>, PostgresError>> + Send + use<>, PostgresError> {
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
        let session = self.stop.guard(None, session_in(&self.server, &readable, Reads::Queries)).await?;
        let what = "asking inside the exported snapshot";
        let canceller = session.canceller();
        let answer = async { session.client().simple_query_raw(sql).await.map_err(|e| session.explain(what, &e)) };
        let messages = self.stop.guard(Some(&canceller), answer).await?;
        let rows = messages.map(move |message| match message {
            Ok(SimpleQueryMessage::Row(row)) => {
                Ok(Some((0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect::<Vec<_>>()))
            }
            Ok(_) => Ok(None),
            Err(error) => Err(session.explain(what, &error)),
        });
        Ok(rows.try_filter_map(|row| async move { Ok(row) }))
    }
}
