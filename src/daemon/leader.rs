//! Who leads a run, as the scheduler sees it: what it asks for and how it ended. The real one is
//! [`Operations`](super::operations::Operations); tests have their own.

use std::sync::Arc;

use async_trait::async_trait;

use crate::context::Context;
use crate::failure::Category;
use crate::run::{Outcome, RunId, Stop};
use crate::schedule::{Operation, ScheduleName};

/// A scheduled run that is to begin, or to be taken up where it was left.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub run: RunId,
    pub operation: Operation,
    pub schedule: ScheduleName,
}

/// Hears whether a run waits for somebody else.
pub type Waits = Arc<dyn Fn(bool) + Send + Sync>;

/// How a run was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Over(Outcome),
    /// This process leaves; the next one resumes it.
    Parked,
    /// A person has to look at this step.
    NeedsPerson {
        step: String,
    },
    /// Another process has the right to act, or began this run.
    Elsewhere {
        holder: String,
    },
}

/// Why a run could not be led at all, or not on.
#[derive(Debug, Clone)]
pub struct NotLed {
    pub category: Category,
    /// With causes.
    pub message: String,
}

/// Leads runs of one stack.
#[async_trait]
pub trait Leader: Send + Sync {
    /// Leads `wanted` to its end, or until `stop` says otherwise. `waits` hears whether it waits for somebody else, so that
    /// nothing is lost by stopping.
    ///
    /// # Errors
    /// When it never began, or its journal cannot be written: whoever asks again goes on from there.
    async fn lead(&self, wanted: &Wanted, stop: &Stop, cx: &Context, waits: Waits) -> Result<Ending, NotLed>;

    /// Asks whoever leads `run` elsewhere to abandon it.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn cancel(&self, run: &RunId, by: &str) -> Result<(), NotLed>;

    /// Takes up what earlier processes have left open, scheduled or not.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn take_up(&self, stop: &Stop, cx: &Context) -> Result<(), NotLed>;
}
