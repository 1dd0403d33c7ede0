//! From a request to its end.

use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::take_up::{Found, TakenUp, taken_up};
use super::work::{self, How, Report};
use super::{OperationError, Request, journals};
use crate::context::Context;
use crate::point::Home;
use crate::run::{
    Engine, Entry, Event, Held, Journal, Lease, Left, Outcome, RunError, RunId, State, Stop, Why, cancel,
};
use crate::snapshot::Forecast;

/// What somebody wants.
#[derive(Debug, Clone)]
pub struct Order {
    pub run: RunId,
    /// Who or what asks: `root@papg-0`, `schedule nightly-snapshot`.
    pub by: String,
    pub request: Request,
    /// How long others' rights and locks are waited for.
    pub wait: Duration,
    /// What becomes of runs that were cut off.
    pub found: Found,
}

/// What whoever asked is told before the end.
#[derive(Debug)]
pub enum Said {
    /// Somebody else is at the stack.
    Waiting(Held),
    /// A run that was cut off is brought to its end first.
    TakesUp {
        run: RunId,
        operation: String,
        found: Found,
    },
    TookUp(TakenUp),
    /// How much there is to do.
    Expects(Forecast),
    /// The run as its journal tells it by now: after every entry.
    Moved {
        run: RunId,
        state: Box<State>,
    },
}

/// A run that was led as far as it goes here.
#[derive(Debug)]
pub struct Led {
    pub run: RunId,
    pub left: Left,
    pub state: State,
    /// What this process learned, also where the run failed.
    pub reports: Vec<Report>,
    /// Runs that were cut off, and were taken up before this one began.
    pub former: Vec<TakenUp>,
}

impl Led {
    /// The reports, or what kept it from its end. Reports of a run that failed are lost here: whoever wants them takes
    /// them first.
    ///
    /// # Errors
    /// Why it failed, waits, was ended or left.
    pub fn done(self) -> Result<Vec<Report>, OperationError> {
        let Self { run, left, state, reports, .. } = self;
        let run = run.to_string();
        Err(match left {
            Left::Over { outcome: Outcome::Succeeded, .. } => return Ok(reports),
            Left::Over { error: Some(error), .. } => error.into(),
            Left::Over { outcome, error: None } => {
                match (state.abandoned, state.steps.into_iter().find_map(|s| s.failure)) {
                    (Some(by), _) if outcome == Outcome::Abandoned => OperationError::Abandoned { run, by },
                    (_, Some(failed)) => OperationError::Failed { run, failed },
                    (_, None) => OperationError::Over { run, outcome },
                }
            }
            Left::Waiting { step, .. } => {
                let of = |step: &crate::run::StepState| step.undo_failure.clone().or_else(|| step.failure.clone());
                let failed = state.steps.iter().filter(|found| found.name == step).find_map(of);
                OperationError::Waits { run, step, failed }
            }
            Left::Parked => OperationError::Parked { run },
        })
    }
}

/// Does what is asked, as a run. Waits for whoever is at the stack, brings what was cut off to its end, and goes on until
/// this run is over, waits for a person, or is left.
///
/// The future stays on one thread (see [`Step`](crate::run::Step)): a daemon gives each run a thread of its own, by
/// `spawn_blocking(move || Handle::current().block_on(lead(…)))`.
///
/// # Errors
/// When it could not be begun, or its journal not be written. How a run that was begun has ended is in the answer.
pub async fn lead(
    home: &Home,
    order: Order,
    stop: &Stop,
    cx: &Context,
    say: &dyn Fn(Said),
) -> Result<Led, OperationError> {
    let run = order.run.to_string();
    let scope = order.request.scope();
    let lease =
        Lease::acquire(&home.store, scope, &run, order.wait, cx, |held| say(Said::Waiting(held.clone()))).await?;
    let guarded = guard(&lease, stop);
    let led = under(home, &lease, &order, stop, cx, say).await;
    drop(guarded);
    let lost = matches!(&led, Err(OperationError::Run(RunError::Lost { .. })));
    if let (false, Err(error)) = (lost, lease.release().await) {
        tracing::warn!(%error, "the right to act could not be given back; it ages"); // what was done is done
    }
    led
}

/// Stops the work when the lease is lost, while what it returns lives.
pub(super) fn guard(lease: &Lease, stop: &Stop) -> AbortOnDropHandle<()> {
    let (lost, stop) = (lease.lost.clone(), stop.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        lost.cancelled().await;
        stop.stop(Why::Lost);
    }))
}

async fn under(
    home: &Home,
    lease: &Lease,
    order: &Order,
    stop: &Stop,
    cx: &Context,
    say: &dyn Fn(Said),
) -> Result<Led, OperationError> {
    let how = How { wait: order.wait, fresh: true, say };
    let mut taken = Vec::new();
    for former in lease.former().to_vec() {
        let led = match taken_up(home, lease, &former, order.found, stop, cx, &How { fresh: false, ..how }).await {
            Err(error @ OperationError::Elsewhere { .. }) => {
                tracing::warn!(%error, "a run that was cut off stays so"); // nothing here stands in its way
                continue;
            }
            led => led?,
        };
        taken.extend(led.as_ref().map(TakenUp::of));
    }
    let plan = match order.request.plan(home, &order.run, cx).await {
        Ok(plan) => plan,
        // Nothing can be planned now. If its instant has come before, there is a plan, and what was begun by it is to be
        // brought to its end; if not, it was never begun.
        Err(error) => {
            let how = How { fresh: false, ..how };
            let again = taken_up(home, lease, order.run.as_str(), order.found, stop, cx, &how).await?;
            return again.ok_or(error);
        }
    };
    let (digest, by, tool) = (plan.digest(), order.by.clone(), crate::TOOL.to_owned());
    let accepted = Entry::new(0, cx.clock.now(), Event::Accepted { plan, digest, by, tool });
    let Some(journal) = journals(home).begin(&order.run, &accepted).await? else {
        // Its instant has come before: what was begun then is brought to its end.
        let again =
            taken_up(home, lease, order.run.as_str(), order.found, stop, cx, &How { fresh: false, ..how }).await?;
        return again.ok_or_else(|| OperationError::NoRun { run: order.run.to_string() });
    };
    let state = State::begin(&accepted).map_err(|reason| RunError::Damaged { run: order.run.to_string(), reason })?;
    let work = work::of(home, &order.run, &state.plan, how)?;
    let _heard = cancel::watch(&home.store, &order.run, stop);
    let led = go_on(home, lease, journal, state, work, stop, cx, (Found::Resume, say)).await?;
    Ok(Led { former: taken, ..led })
}

/// Leads a run that has a journal as far as it goes, and writes down when it is over.
#[expect(clippy::too_many_arguments, reason = "all that a run stands on, put together in two places")]
pub(super) async fn go_on(
    home: &Home,
    lease: &Lease,
    journal: Box<dyn Journal>,
    state: State,
    work: Box<dyn work::Work + '_>,
    stop: &Stop,
    cx: &Context,
    (found, say): (Found, &dyn Fn(Said)),
) -> Result<Led, OperationError> {
    let run = journal.run().clone();
    let hears = |state: &State| say(Said::Moved { run: run.clone(), state: Box::new(state.clone()) });
    let span = tracing::info_span!("run", %run, stack = %home.stack.name);
    let led = async {
        let engine = Engine::new(journal, state, work.as_ref(), stop, cx).heard_by(&hears);
        engine.adopt(lease.holder(), lease.token()).await?;
        match found {
            Found::Resume => engine.finish().await,
            Found::Undo => engine.settle(&super::asker()).await,
        }
    };
    let (left, state) = match tracing::Instrument::instrument(led, span).await {
        Ok(left) => left,
        // Another process leads it.
        Err(error @ (RunError::Lost { .. } | RunError::Contended { .. })) => return Err(error.into()),
        Err(error) => return Err(work.cut_off(error, cx).await),
    };
    if matches!(left, Left::Over { .. }) {
        cancel::heard(&home.store, &run).await;
        lease.over(run.as_str()).await?;
    }
    Ok(Led { run, left, state, reports: work.reports(), former: Vec::new() })
}
