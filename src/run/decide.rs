//! What to do next; the only place that knows the order of a run. No clock, no I/O: everything comes in.

use super::event::Outcome;
use super::plan::StepKind;
use super::state::{Stage, State, StepState};
use crate::failure::Category;

/// How often a step after the point of no return is tried before a person is asked.
const FORWARD_ATTEMPTS: u32 = 5;
/// How often an undoing is tried before a person is asked.
const UNDO_ATTEMPTS: u32 = 3;

/// The next move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Do these steps, together where there are several; positions in the plan's order.
    Do(Vec<usize>),
    Undo(usize),
    /// Nothing is left to do.
    Finish(Outcome),
    /// A person has to look: this step neither goes forward nor back.
    Ask(usize),
    /// The journal says that it is over.
    Over(Outcome),
}

/// Decides by the journal alone.
#[must_use]
pub fn decide(state: &State) -> Decision {
    if let Some(outcome) = state.outcome {
        return Decision::Over(outcome);
    }
    if state.is_undoing() { back(state) } else { forward(state) }
}

fn forward(state: &State) -> Decision {
    if let Some(stuck) = state.steps.iter().position(is_stuck) {
        return Decision::Ask(stuck);
    }
    let mut first = 0;
    for phase in &state.plan.phases {
        let steps = first..first + phase.steps.len();
        first = steps.end;
        let open: Vec<usize> = steps.filter(|at| state.steps[*at].stage != Stage::Verified).collect();
        if !open.is_empty() {
            return Decision::Do(open);
        }
    }
    Decision::Finish(Outcome::Succeeded)
}

/// A step that cannot be undone and has failed: only what may pass by itself is tried again.
fn is_stuck(step: &StepState) -> bool {
    let Some(failure) = step.failure.as_ref().filter(|_| step.stage == Stage::Failed) else { return false };
    let may_pass = matches!(failure.category, Category::Unavailable | Category::Locked | Category::Interrupted);
    step.kind != StepKind::Reversible && !(may_pass && step.attempts < FORWARD_ATTEMPTS)
}

fn back(state: &State) -> Decision {
    let done = |step: &StepState| matches!(step.stage, Stage::Pending | Stage::Undone);
    let Some(last) = state.steps.iter().rposition(|step| !done(step)) else {
        return Decision::Finish(if state.failure().is_some() { Outcome::Failed } else { Outcome::Abandoned });
    };
    if state.steps[last].stage == Stage::UndoFailed && state.steps[last].undo_failures >= UNDO_ATTEMPTS {
        return Decision::Ask(last);
    }
    Decision::Undo(last)
}
