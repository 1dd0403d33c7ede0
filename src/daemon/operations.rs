//! The real [`Leader`]: runs are operations of the stack, by the same door as the command line's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::documents::told;
use super::leader::{Ending, Leader, NotLed, Waits, Wanted};
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::operation::{self, Found, OperationError, Order, Request, Said};
use crate::point::Home;
use crate::run::{self, Left, RunError, RunId, Stop, Why};

/// How long a run waits for who is at the stack and for locks, which a check beside it may hold; then it is tried again.
const WAIT: Duration = Duration::from_secs(600);

/// Operations on a stack, which may be opened anew by a reload.
pub struct Operations {
    pub home: watch::Receiver<Arc<Home>>,
}

#[async_trait]
impl Leader for Operations {
    async fn lead(&self, wanted: &Wanted, stop: &Stop, cx: &Context, waits: Waits) -> Result<Ending, NotLed> {
        let home = self.home.borrow().afresh();
        let request = Request::scheduled(&wanted.operation, &home).map_err(|error| not_led(&error))?;
        let by = format!("the schedule {}", wanted.schedule);
        let order = Order { run: wanted.run.clone(), by, request, wait: WAIT, found: Found::Resume };
        let (stop, cx, run) = (stop.clone(), cx.clone(), wanted.run.clone());
        let parked = stop.clone();
        let say = move |said: Said| match said {
            Said::Waiting(held) if held.run == run.as_str() => {
                // Another process is at this very run: it is followed, not waited for.
                parked.stop(Why::Parked);
            }
            Said::Waiting(held) => {
                tracing::info!(%run, holder = held.holder, at = held.run, "a run waits for who is at the stack");
                waits(true);
            }
            Said::TakesUp { run, operation, .. } => {
                tracing::info!(%run, operation, "a run that was cut off is taken up first");
                waits(false);
            }
            Said::TookUp(_) | Said::Expects(_) => waits(false),
            Said::Moved { .. } => {}
        };
        let led = apart(move || async move { operation::lead(&home, order, &stop, &cx, &say).await }).await?;
        ending(led, &wanted.run)
    }

    async fn cancel(&self, run: &RunId, by: &str) -> Result<(), NotLed> {
        let home = self.home.borrow().clone();
        operation::cancel(&home.store, run, by).await.map_err(|error| not_led(&error))
    }

    async fn take_up(&self, stop: &Stop, cx: &Context) -> Result<(), NotLed> {
        let home = self.home.borrow().afresh();
        let leaders = run::leaders(&home.store, cx.clock.now()).await.map_err(|error| not_led(&error))?;
        let left = leaders.iter().filter(|leader| !leader.is_live).flat_map(|leader| &leader.runs);
        for run in left.filter_map(|run| run.parse::<RunId>().ok()) {
            if stop.why().is_some() {
                return Ok(());
            }
            let (home, id, stop, cx) = (home.clone(), run.clone(), stop.clone(), cx.clone());
            let work =
                move || async move { operation::take_up(&home, &id, Found::Resume, WAIT, &stop, &cx, &|_| ()).await };
            match apart(work).await? {
                Ok(led) => tracing::info!(%run, left = word(&led.left), "a run that was cut off was taken up"),
                Err(OperationError::Over { .. } | OperationError::NoRun { .. }) => {}
                Err(OperationError::Run(RunError::Held { holder, .. })) => {
                    tracing::info!(%run, holder, "somebody else is at the stack and takes it up");
                }
                Err(error) => tracing::warn!(%run, why = told(&error), "a run that was cut off could not be taken up"),
            }
        }
        Ok(())
    }
}

/// Does `work` on a thread of its own: an operation stays on the thread that it began on.
async fn apart<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, NotLed>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work())).await;
    // A panic in a run is that run's end, not the daemon's: its journal says how far it came.
    done.map_err(|panic| NotLed { category: Category::Bug, message: format!("a defect of drydock: {panic}") })
}

fn ending(led: Result<operation::Led, OperationError>, run: &RunId) -> Result<Ending, NotLed> {
    match led {
        Ok(led) => Ok(match led.left {
            Left::Over { outcome, error } => {
                if let Some(error) = error {
                    tracing::warn!(%run, why = told(&error), hint = error.hint(), "a run failed");
                }
                Ending::Over(outcome)
            }
            Left::Waiting { step, .. } => Ending::NeedsPerson { step },
            Left::Parked => Ending::Parked,
        }),
        Err(OperationError::Run(RunError::Held { holder, run: held })) if held == run.as_str() => {
            Ok(Ending::Elsewhere { holder })
        }
        Err(OperationError::Run(RunError::Contended { .. })) => {
            Ok(Ending::Elsewhere { holder: "another process".into() })
        }
        Err(error) => Err(not_led(&error)),
    }
}

fn word(left: &Left) -> &'static str {
    match left {
        Left::Over { outcome, .. } => outcome.word(),
        Left::Waiting { .. } => "waits for a person",
        Left::Parked => "parked",
    }
}

fn not_led(error: &impl Failure) -> NotLed {
    NotLed { category: error.category(), message: told(error) }
}
