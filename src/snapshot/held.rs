//! What is done while databases are held open: given up, with the reason, when one of them must be let go because
//! production comes first (somebody waits behind its locks, or it is held longer than it may).

use std::pin::pin;

use futures_util::future::select_all;

use super::SnapshotError;
use crate::context::Context;
use crate::data::DataError;
use crate::data::postgres::PostgresError;
use crate::data::postgres::stop::Stop;
use crate::stack::Name;

/// The databases that are held, without owning them.
#[derive(Debug, Default)]
pub(super) struct Held(pub(super) Vec<(Name, Stop)>);

impl Held {
    /// Runs `work`, which stops with `cx`. When a database must be let go, `cx` and all of them are stopped, `work` comes to
    /// its end, and the reason is the error.
    pub async fn during<T>(
        &self,
        cx: &Context,
        work: impl Future<Output = Result<T, SnapshotError>>,
    ) -> Result<T, SnapshotError> {
        let mut work = pin!(work);
        let result = tokio::select! {
            biased;
            result = &mut work => result,
            () = self.one_is_stopped() => {
                cx.cancel.cancel();
                self.0.iter().for_each(|(_, stop)| stop.because(PostgresError::Cancelled));
                work.await
            }
        };
        result.map_err(|error| self.reason().unwrap_or(error))
    }

    async fn one_is_stopped(&self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.0.iter().map(|(_, stop)| Box::pin(stop.stopped()))).await;
    }

    /// Why one was let go, unless an error says so already.
    fn reason(&self) -> Option<SnapshotError> {
        self.0.iter().find_map(|(data, stop)| match stop.reason() {
            PostgresError::Cancelled => None,
            reason => Some(SnapshotError::Data { data: data.clone(), source: Box::new(DataError::Postgres(reason)) }),
        })
    }
}
