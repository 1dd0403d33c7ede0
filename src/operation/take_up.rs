//! Runs that were cut off: by a crash, a lost store, a process that had to leave.

use std::time::Duration;

use super::lead::{Led, Said, go_on, guard};
use super::request::scope;
use super::work::{self, How};
use super::{OperationError, journals};
use crate::context::Context;
use crate::point::Home;
use crate::run::{ENGINE_VERSION, Lease, Left, Outcome, RunId, State, Stop, cancel, restores};

/// What becomes of a run that was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It goes on: a daemon's way.
    Resume,
    /// What has all happened is finished, anything else is taken back: nobody who types `forget` expects a snapshot of
    /// half an hour first.
    Undo,
}

/// What came of one.
#[derive(Debug, Clone)]
pub struct TakenUp {
    pub run: RunId,
    /// `None` while it waits for a person, or is left again.
    pub outcome: Option<Outcome>,
}

impl TakenUp {
    pub(super) fn of(led: &Led) -> Self {
        let outcome = match &led.left {
            Left::Over { outcome, .. } => Some(*outcome),
            Left::Waiting { .. } | Left::Parked => None,
        };
        Self { run: led.run.clone(), outcome }
    }
}

/// Brings one run to its end, because a person says so: past its point of no return it can only go on.
///
/// # Errors
/// `NoRun`, `Over`, or that another process is at it.
pub async fn take_up(
    home: &Home,
    run: &RunId,
    found: Found,
    wait: Duration,
    stop: &Stop,
    cx: &Context,
    say: &dyn Fn(Said),
) -> Result<Led, OperationError> {
    let no_run = || OperationError::NoRun { run: run.to_string() };
    let entries = journals(home).read(run).await?.ok_or_else(no_run)?;
    let state = State::of(&entries).map_err(|reason| damaged(run.as_str(), reason))?;
    if let Some(outcome) = state.outcome {
        return Err(OperationError::Over { run: run.to_string(), outcome });
    }
    let scope = scope(&state.plan.operation);
    let told = |held: &crate::run::Held| say(Said::Waiting(held.clone()));
    let lease = Lease::acquire(&home.store, scope, run.as_str(), wait, cx, told).await?;
    let guarded = guard(&lease, stop);
    let how = How { wait, fresh: false, say };
    let led = taken_up(home, &lease, run.as_str(), found, stop, cx, &how).await;
    drop(guarded);
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "the right to act could not be given back; it ages");
    }
    led?.ok_or_else(no_run)
}

/// Under the right to act; `None` when there is nothing of it any more.
pub(super) async fn taken_up(
    home: &Home,
    lease: &Lease,
    run: &str,
    found: Found,
    stop: &Stop,
    cx: &Context,
    how: &How<'_>,
) -> Result<Option<Led>, OperationError> {
    let id: RunId = run.parse().map_err(|reason| damaged(run, reason))?;
    let Some((entries, journal)) = journals(home).open(&id).await? else {
        lease.over(run).await?; // the process was gone before it began
        return Ok(None);
    };
    let state = State::of(&entries).map_err(|reason| damaged(run, reason))?;
    if let Some(outcome) = state.outcome {
        lease.over(run).await?; // the process was gone before it said so
        return Ok(Some(Led {
            run: id,
            left: Left::Over { outcome, error: None },
            state,
            reports: Vec::new(),
            former: Vec::new(),
        }));
    }
    if let Some(host) = crate::restore::elsewhere(&state.plan).filter(|_| state.plan.operation == restores::COPY) {
        return Err(OperationError::Elsewhere { run: run.to_owned(), host });
    }
    let found = if is_ours(&state) { found } else { Found::Undo };
    tracing::warn!(run, operation = state.plan.operation, "a run that was cut off is taken up");
    (how.say)(Said::TakesUp { run: id.clone(), operation: state.plan.operation.clone(), found });
    let work = work::of(home, &id, &state.plan, *how)?;
    let _heard = cancel::watch(&home.store, &id, stop);
    let led = go_on(home, lease, journal, state, work, stop, cx, (found, how.say)).await?;
    (how.say)(Said::TookUp(TakenUp::of(&led)));
    Ok(Some(led))
}

/// Whether a program like this one began it: of the same minor version, by the same rules.
fn is_ours(state: &State) -> bool {
    let minor = |tool: &str| tool.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    state.plan.engine_version == ENGINE_VERSION && minor(&state.tool) == minor(crate::TOOL)
}

fn damaged(run: &str, reason: String) -> OperationError {
    crate::run::RunError::Damaged { run: run.to_owned(), reason }.into()
}
