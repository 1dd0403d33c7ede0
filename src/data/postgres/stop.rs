//! One word to stop for everything that reads at once: Ctrl-C, a failure beside, or production in the way. The first
//! reason is the one that is told.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::connect::Canceller;
use super::error::PostgresError;
use crate::context::Context;

/// Cheap to clone; all clones stop together.
#[derive(Debug, Clone)]
pub struct Stop {
    token: CancellationToken,
    why: Arc<Mutex<Option<PostgresError>>>,
}

impl Stop {
    /// Stops with `cx`, not the other way round.
    #[must_use]
    pub fn new(cx: &Context) -> Self {
        Self { token: cx.cancel.child_token(), why: Arc::default() }
    }

    /// Stops everything; `error` is the reason unless there is one already.
    pub fn because(&self, error: PostgresError) {
        if !matches!(error, PostgresError::Cancelled) {
            self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        self.token.cancel();
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// Why it was stopped, once; afterwards, and without a reason, `Cancelled`.
    #[must_use]
    pub fn reason(&self) -> PostgresError {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(PostgresError::Cancelled)
    }

    /// `error`, or why it was stopped where that is all that `error` says.
    #[must_use]
    pub fn explain(&self, error: PostgresError) -> PostgresError {
        if matches!(error, PostgresError::Cancelled) { self.reason() } else { error }
    }

    /// Runs `work` unless it is stopped; then the server is asked to end what `canceller`'s session runs, so that it
    /// does not work on for nobody.
    ///
    /// # Errors
    /// `work`'s, or `Cancelled`.
    pub async fn guard<T>(
        &self,
        canceller: Option<&Canceller>,
        work: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => {
                if let Some(canceller) = canceller {
                    canceller.cancel().await;
                }
                Err(PostgresError::Cancelled)
            }
            result = work => result,
        }
    }
}
