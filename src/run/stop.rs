//! Why a run's work is told to stop, where it is not simply to end: the engine leaves a different journal for each.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// What was said to whoever works; the first word counts. Without any, work that is cancelled fails as interrupted and is
/// undone.
#[derive(Debug, Clone)]
pub enum Why {
    /// This process leaves; the next one resumes the run where it is.
    Parked,
    /// Somebody wants the run to end and what it did to be taken back.
    Abandoned { by: String },
    /// Another process has the right to act, or may soon: nothing more is done here.
    Lost,
}

/// The word to stop, with the reason. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Stop {
    why: Arc<OnceLock<Why>>,
    /// The context's own token: steps listen to it.
    cancel: CancellationToken,
    /// Undoing stops by this alone.
    lost: CancellationToken,
}

impl Stop {
    /// Of the work that listens to `cancel`.
    #[must_use]
    pub fn of(cancel: &CancellationToken) -> Self {
        Self { why: Arc::default(), cancel: cancel.clone(), lost: CancellationToken::new() }
    }

    /// Stops the work.
    pub fn stop(&self, why: Why) {
        if matches!(why, Why::Lost) {
            self.lost.cancel();
        }
        self.why.get_or_init(|| why);
        self.cancel.cancel();
    }

    /// Asks for the run to be ended, by whoever `by` is, at the next step's end.
    pub fn abandon(&self, by: String) {
        self.why.get_or_init(|| Why::Abandoned { by });
    }

    /// Asks for the run to be left at the next step's end, without stopping the step that is under way.
    pub fn park_after_step(&self) {
        self.why.get_or_init(|| Why::Parked);
    }

    #[must_use]
    pub fn why(&self) -> Option<&Why> {
        if self.lost.is_cancelled() { Some(&Why::Lost) } else { self.why.get() }
    }

    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}
