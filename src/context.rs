//! What every long operation is handed: clock, progress, and the word to stop.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::progress::Progress;

/// Cheap to clone; all clones share one cancellation.
#[derive(Debug, Clone)]
pub struct Context {
    pub clock: Arc<dyn Clock>,
    pub progress: Progress,
    /// Fired by Ctrl-C, SIGTERM and `--timeout`: finish or drop the step, release locks, leave with `Interrupted`.
    pub cancel: CancellationToken,
}

impl Context {
    /// The same for a part of the work, which can be stopped alone and stops with the whole.
    #[must_use]
    pub fn stoppable(&self) -> Self {
        Self { cancel: self.cancel.child_token(), ..self.clone() }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), progress: Progress::default(), cancel: CancellationToken::new() }
    }
}
