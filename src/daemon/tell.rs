//! Hands what the lookout saw to the notifier: runs that ended, whoever led them, and objectives as they stand.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::documents::told;
use super::view::{Shared, View};
use crate::clock::Clock;
use crate::notify::{Ending, Notifier, Objective, ObjectiveSeen, Patience, RunEnded};
use crate::point::Home;
use crate::run::{Outcome, RunId, State};
use crate::stack::Stack;
use crate::status::{Goal, Measure, Status, status};

/// Tells outside what is new in each view.
pub struct Teller {
    pub view: Shared,
    pub home: watch::Receiver<Arc<Home>>,
    pub board: Arc<Board>,
    pub clock: Arc<dyn Clock>,
}

impl Teller {
    /// Tells until `gone`.
    pub async fn run(mut self, gone: &CancellationToken) {
        let mut notifier: Option<(Stack, Notifier)> = None;
        let mut seen: Option<HashSet<RunId>> = None;
        loop {
            tokio::select! {
                () = gone.cancelled() => return,
                changed = self.view.changed() => if changed.is_err() { return },
            }
            let Some(view) = self.view.borrow_and_update().clone() else { continue };
            let home = self.home.borrow().clone();
            if notifier.as_ref().is_none_or(|(stack, _)| *stack != home.stack) {
                notifier = self.notifier(&home).map(|made| (home.stack.clone(), made));
            }
            let ended = ended(&view);
            if let Some((_, notifier)) = &notifier {
                let work = tell(notifier, &view, &ended, seen.as_ref(), &*self.clock);
                tokio::select! {
                    () = gone.cancelled() => return, // the next daemon catches up
                    () = work => {}
                }
            }
            seen = Some(ended.into_iter().map(|(run, _)| run).collect());
        }
    }

    /// None where the document's URLs cannot be used, which is told like any other trouble.
    fn notifier(&self, home: &Home) -> Option<Notifier> {
        let made = Notifier::new(&home.stack, home.store.clone(), self.clock.clone(), Patience::default());
        let trouble = made.as_ref().err().map(told);
        if self.board.set_trouble("notifications", trouble.clone())
            && let Some(why) = trouble
        {
            tracing::error!(why, "nobody can be notified");
        }
        made.ok()
    }
}

/// The known runs that are over, the oldest first.
fn ended(view: &View) -> Vec<(RunId, RunEnded)> {
    let over = |state: &State| state.outcome.map(|outcome| (outcome, state.clone()));
    let runs = view.known.runs.iter().filter_map(|known| Some((known.run.clone(), over(known.state.as_ref().ok()?)?)));
    let mut ended: Vec<(RunId, RunEnded)> = runs
        .map(|(run, (outcome, state))| {
            let ending = match (outcome, state.failure()) {
                (Outcome::Succeeded, _) => Ending::Succeeded,
                (Outcome::Failed, Some(failed)) => Ending::Failed {
                    category: failed.category,
                    message: failed.message.clone(),
                    hint: failed.hint.clone(),
                },
                (Outcome::Failed | Outcome::Abandoned, _) => Ending::Stopped,
            };
            let operation = state.plan.operation.clone();
            let ended = RunEnded { operation, run: run.to_string(), time: state.changed, ending };
            (run, ended)
        })
        .collect();
    ended.sort_by_key(|(_, ended)| ended.time);
    ended
}

/// `seen` are those of the view before; without one this process has just begun, and of what came before it only the
/// newest of each operation counts.
async fn tell(
    notifier: &Notifier,
    view: &View,
    ended: &[(RunId, RunEnded)],
    seen: Option<&HashSet<RunId>>,
    clock: &dyn Clock,
) {
    for (run, one) in ended {
        let newest = || !ended.iter().any(|(_, other)| other.operation == one.operation && other.time > one.time);
        let undelivered = match seen {
            Some(seen) if !seen.contains(run) => notifier.run_ended(one).await,
            None if newest() => notifier.catch_up(one).await,
            _ => continue,
        };
        log(undelivered);
    }
    log(notifier.objectives(&objectives(&status(&view.known, clock.now()))).await);
}

fn log(undelivered: Vec<crate::notify::Undelivered>) {
    for one in undelivered {
        tracing::warn!(field = one.field, why = one.why, "somebody could not be notified");
    }
}

/// Those that are met or missed: what could not have been achieved yet is no news.
fn objectives(judged: &Status) -> Vec<ObjectiveSeen> {
    let achieved = &judged.achieved;
    let all: [(Objective, &Measure); 3] =
        [(Objective::Rpo, &achieved.rpo), (Objective::Rto, &achieved.rto), (Objective::Proven, &achieved.proven)];
    let judged = all.into_iter().filter(|(_, measure)| matches!(measure.goal, Goal::Met | Goal::Missed));
    let duration = std::time::Duration::from_millis;
    judged
        .filter_map(|(objective, measure)| {
            let (goal, achieved) = (duration(measure.objective_ms?), measure.achieved_ms.map(duration));
            Some(ObjectiveSeen { objective, goal, achieved })
        })
        .collect()
}
