//! What a step can do; how is the verb's.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use super::event::Failed;
use super::plan::PlannedStep;
use crate::context::Context;
use crate::failure::{Category, Failure};

/// Whether a step's effect is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It is not, or what there is of it will be used or replaced by the next [`Step::apply`].
    Absent,
    /// It is, and this is what it yielded.
    Done(Value),
}

/// One step of a plan. Each of the four may be called again after a crash at any instant, and must then end the same.
///
/// Their futures stay on one thread: those of the verbs hold what cannot be shown to be safe to move.
#[async_trait(?Send)]
pub trait Step {
    /// Looks whether it has happened. "Could not ask" is an error, never [`Probe::Absent`].
    async fn probe(&self, cx: &Context) -> Result<Probe, StepError>;

    /// Does it; what it yields is written into the journal and must hold no row and no secret.
    async fn apply(&self, cx: &Context) -> Result<Value, StepError>;

    /// Looks whether what it did is so.
    async fn verify(&self, output: &Value, cx: &Context) -> Result<(), StepError>;

    /// Takes back whatever of it happened; `output` is there when it is known to have been applied.
    async fn undo(&self, output: Option<&Value>, cx: &Context) -> Result<(), StepError>;
}

/// The steps of an operation.
pub trait Steps {
    /// The step that `planned` names.
    ///
    /// # Errors
    /// When this program has no such step, or cannot read its parameters.
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError>;
}

/// Why a step did not do as it was told. What the journal may hold of it is its own message; causes stay with whoever
/// asked.
#[derive(Debug)]
pub struct StepError(Box<dyn Failure + Send + Sync>);

impl StepError {
    pub fn new(failure: impl Failure + Send + Sync + 'static) -> Self {
        Self(Box::new(failure))
    }

    #[must_use]
    pub fn failed(&self) -> Failed {
        Failed { category: self.0.category(), message: self.0.to_string(), hint: self.0.hint() }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Failure for StepError {
    fn category(&self) -> Category {
        self.0.category()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}
