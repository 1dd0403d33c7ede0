//! The steps of a plan, ready to be done by this process, and what it learned by doing them.

use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::lead::Said;
use super::prune::Pruned;
use super::{OperationError, check, deploy, drill, forget, prune, restore, snapshot};
use crate::context::Context;
use crate::maintain::check::Checked;
use crate::maintain::forget::ForgetPlan;
use crate::point::Home;
use crate::restore::AfterWork;
use crate::run::{Plan, PlannedStep, RunError, RunId, Step, StepError, Steps};
use crate::snapshot::Taken;

/// What an operation has shown in all detail; the journal holds the gist.
#[derive(Debug)]
pub enum Report {
    Snapshot(Box<Taken>),
    Check(Box<Checked>),
    Forget(ForgetPlan),
    Prune(Pruned),
    Drill(Box<crate::drill::Report>),
    /// Also of one that failed: how far it came, and what is not healthy.
    Deploy(Box<crate::deploy::Deployed>),
    /// Also of one that failed: what it fell over.
    Restore(Box<crate::restore::Learned>),
}

/// How steps are done, beside what the plan says.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// How long another's lock of the repository is waited for.
    pub wait: Duration,
    /// Begun by this process a moment ago: nothing of it can have happened.
    pub fresh: bool,
    /// Whoever asked is told meanwhile.
    pub say: &'a dyn Fn(Said),
}

/// The steps of one plan.
#[async_trait(?Send)]
pub trait Work: Steps {
    /// What this process learned by doing them, in their order.
    fn reports(self: Box<Self>) -> Vec<Report>;

    /// The journal cannot be written any more, and nobody else leads the run: brings in order what cannot wait until
    /// somebody takes the run up. What whoever asked is told.
    async fn cut_off(&self, error: RunError, _: &Context) -> OperationError {
        error.into()
    }
}

/// The steps of the run's plan.
///
/// # Errors
/// `UnknownOperation` for a plan of another program.
pub fn of<'a>(home: &'a Home, run: &'a RunId, plan: &Plan, how: How<'a>) -> Result<Box<dyn Work + 'a>, OperationError> {
    Ok(match plan.operation.as_str() {
        snapshot::WORD => Box::new(snapshot::Work::new(home, run, how)),
        check::WORD => Box::new(check::Work::new(home, how)),
        forget::WORD | prune::WORD => Box::new(forget::Work::new(home, how)),
        drill::WORD => Box::new(drill::Work::new(home, run, how)),
        deploy::WORD => Box::new(deploy::Work::new(home, run, how)),
        restore::WORD => Box::new(crate::restore::Work::new(home, run, plan, how.wait, how.fresh)?),
        restore::COPY => Box::new(crate::restore::CopyWork::new(home, run, plan, how.wait)?),
        restore::BRING_BACK | restore::DISCARD => Box::new(AfterWork::of(home, run, plan)?),
        word => return Err(OperationError::UnknownOperation { run: run.to_string(), operation: word.to_owned() }),
    })
}

/// What the plan tells a step.
pub fn told<T: DeserializeOwned>(planned: &PlannedStep) -> Result<T, StepError> {
    serde_json::from_value(planned.parameters.clone()).map_err(|source| {
        let step = planned.name.clone();
        StepError::new(OperationError::Parameters { step, source })
    })
}

/// A plan's step that this program does not have.
pub fn unknown<'a>(planned: &PlannedStep) -> Result<Box<dyn Step + 'a>, StepError> {
    Err(StepError::new(OperationError::UnknownStep { step: planned.name.clone() }))
}
