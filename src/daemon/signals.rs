//! SIGTERM and SIGINT: leave; once more: without the rest of the grace; a third time: at once. SIGHUP: read the documents
//! again.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::DaemonError;
use crate::failure::Category;

/// The signals that the daemon listens to, from now on.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// # Errors
    /// When the process cannot be told of signals.
    pub fn listen() -> Result<Self, DaemonError> {
        let of = |kind| signal(kind).map_err(|source| DaemonError::Signals { source });
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hangup: of(SignalKind::hangup())?,
        })
    }

    /// Passes them on until `gone`.
    pub async fn pass_on(
        mut self,
        leave: &CancellationToken,
        at_once: &CancellationToken,
        reload: &Arc<Notify>,
        gone: &CancellationToken,
    ) {
        loop {
            let word = tokio::select! {
                Some(()) = self.terminate.recv() => "SIGTERM",
                Some(()) = self.interrupt.recv() => "SIGINT",
                Some(()) = self.hangup.recv() => {
                    tracing::info!("SIGHUP: the documents are read again");
                    reload.notify_one();
                    continue;
                }
                () = gone.cancelled() => return,
            };
            if at_once.is_cancelled() {
                tracing::warn!(signal = word, "ended at once; the next daemon takes up what was cut off");
                std::process::exit(i32::from(Category::Interrupted.exit_code()));
            } else if leave.is_cancelled() {
                tracing::info!(signal = word, "the grace is over");
                at_once.cancel();
            } else {
                tracing::info!(signal = word, "leaving: nothing begins any more");
                leave.cancel();
            }
        }
    }
}
