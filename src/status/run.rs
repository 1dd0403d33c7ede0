//! One run as people see it: its plan as phases and steps, how far each is, and what to type where a person is needed.

use jiff::Timestamp;
use serde::Serialize;

use super::age;
use crate::run::{Decision, Failed, Leader, Outcome, RunId, Stage, State, StepKind, StepState, decide};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// A process is at it.
    Running,
    /// Nobody is: whoever acts on the stack next ends it first.
    CutOff,
    /// Nobody is: whoever led it has left, and the next daemon goes on.
    Parked,
    /// A step goes neither forward nor back by itself.
    Waiting,
    Succeeded,
    Failed,
    Abandoned,
}

impl Standing {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::CutOff => "cut off",
            Self::Parked => "parked",
            Self::Waiting => "waits for a person",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Abandoned)
    }
}

/// A run in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunLine {
    pub run: RunId,
    /// What it does: `snapshot`, `drill`.
    pub kind: String,
    pub stack: crate::stack::Name,
    /// Who or what asked for it.
    pub by: String,
    pub started: Timestamp,
    /// `None` while it is not over.
    pub ended: Option<Timestamp>,
    /// Until its end, or until now.
    pub took_ms: u64,
    pub standing: Standing,
    /// What was done is being, or was, taken back.
    pub undoing: bool,
    /// What made it fail.
    pub failure: Option<Failed>,
}

/// A run with its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    #[serde(flatten)]
    pub line: RunLine,
    /// The program that accepted it.
    pub tool: String,
    pub digest: String,
    /// Who is, or was last, at it, and by which fencing token.
    pub holder: Option<String>,
    pub token: Option<u64>,
    /// When its journal was last written.
    pub changed: Timestamp,
    /// Something was begun that is never undone: from there on it goes forward only.
    pub past_return: bool,
    /// The step that a person has to look at.
    pub waits_for: Option<String>,
    /// Who has asked for its end; whoever is at it hears of that within seconds.
    pub end_asked_by: Option<String>,
    pub progress: Progress,
    pub phases: Vec<PhaseView>,
    /// What a person may type to end it, with `-f FILE` for the Stack document; empty when nobody needs to.
    pub commands: Vec<String>,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Steps that are verified.
    pub done: usize,
    pub steps: usize,
    /// The phase of the first step that is not.
    pub phase: Option<String>,
    /// Steps that are under way, or would be if somebody were at it.
    pub at: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseView {
    pub name: String,
    pub steps: Vec<StepView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    pub name: String,
    pub kind: StepKind,
    pub stage: Stage,
    pub attempts: u32,
    pub begun: Option<Timestamp>,
    /// When its stage last changed.
    pub changed: Option<Timestamp>,
    /// From when it was first begun to its last change, or until now while it is under way.
    pub took_ms: Option<u64>,
    pub failure: Option<Failed>,
    pub undo_failure: Option<Failed>,
}

impl RunLine {
    /// The run as its journal tells it; who is at it is told by the leases.
    #[must_use]
    pub fn of(run: &RunId, state: &State, leaders: &[Leader], now: Timestamp) -> Self {
        let ended = state.outcome.is_some().then_some(state.changed);
        Self {
            run: run.clone(),
            kind: state.plan.operation.clone(),
            stack: state.plan.stack.clone(),
            by: state.by.clone(),
            started: state.accepted,
            ended,
            took_ms: age(state.accepted, ended.unwrap_or(now)),
            standing: standing(run, state, leaders),
            undoing: state.is_undoing(),
            failure: state.failure().cloned(),
        }
    }
}

fn standing(run: &RunId, state: &State, leaders: &[Leader]) -> Standing {
    match (decide(state), state.outcome) {
        (_, Some(Outcome::Succeeded)) => Standing::Succeeded,
        (_, Some(Outcome::Failed)) => Standing::Failed,
        (_, Some(Outcome::Abandoned)) => Standing::Abandoned,
        (Decision::Ask(_), None) => Standing::Waiting,
        (_, None) if leaders.iter().any(|leader| leader.leads(run)) => Standing::Running,
        (_, None)
            if state.holder.as_ref().is_some_and(|(_, token)| leaders.iter().any(|one| one.parked(run, *token))) =>
        {
            Standing::Parked
        }
        (_, None) => Standing::CutOff,
    }
}

impl RunView {
    #[must_use]
    pub fn of(run: &RunId, state: &State, leaders: &[Leader], now: Timestamp) -> Self {
        let line = RunLine::of(run, state, leaders, now);
        let until = line.ended.unwrap_or(now);
        let waits_for = match decide(state) {
            Decision::Ask(step) => Some(state.steps[step].name.clone()),
            _ => None,
        };
        let commands = if line.standing == Standing::Running { Vec::new() } else { commands(run, state) };
        let mut steps = state.steps.iter();
        let phases = state.plan.phases.iter().map(|phase| PhaseView {
            name: phase.name.clone(),
            steps: steps.by_ref().take(phase.steps.len()).map(|step| StepView::of(step, until)).collect(),
        });
        Self {
            tool: state.tool.clone(),
            digest: state.digest.clone(),
            holder: state.holder.as_ref().map(|(holder, _)| holder.clone()),
            token: state.holder.as_ref().map(|(_, token)| *token),
            changed: state.changed,
            past_return: state.is_past_return(),
            waits_for,
            end_asked_by: None,
            phases: phases.collect(),
            progress: Progress::of(state),
            commands,
            line,
        }
    }

    /// The run, which somebody wants to end.
    #[must_use]
    pub fn with_end_asked_by(self, by: Option<&String>) -> Self {
        let end_asked_by = by.filter(|_| !self.line.standing.is_over()).cloned();
        Self { end_asked_by, ..self }
    }
}

/// What ends a run that nobody is at. One past its point of no return can only go on.
fn commands(run: &RunId, state: &State) -> Vec<String> {
    if state.outcome.is_some() {
        return Vec::new();
    }
    let (resume, undo) = (format!("drydock runs resume {run} -f FILE"), format!("drydock runs undo {run} -f FILE"));
    match (state.is_past_return(), state.is_undoing()) {
        (true, _) => vec![resume],
        (false, true) => vec![undo],
        (false, false) => vec![resume, undo],
    }
}

impl Progress {
    fn of(state: &State) -> Self {
        let done = |step: &StepState| step.stage == Stage::Verified;
        let open = state.steps.iter().position(|step| !done(step)).filter(|_| state.outcome.is_none());
        let mut end = 0;
        let phase = open.and_then(|open| {
            state.plan.phases.iter().find(|phase| {
                end += phase.steps.len();
                open < end
            })
        });
        let at = match decide(state) {
            Decision::Do(steps) => steps,
            Decision::Undo(step) | Decision::Ask(step) => vec![step],
            Decision::Finish(_) | Decision::Over(_) => Vec::new(),
        };
        Self {
            done: state.steps.iter().filter(|step| done(step)).count(),
            steps: state.steps.len(),
            phase: phase.map(|phase| phase.name.clone()),
            at: at.into_iter().map(|step| state.steps[step].name.clone()).collect(),
        }
    }
}

impl StepView {
    fn of(step: &StepState, until: Timestamp) -> Self {
        let under_way = matches!(step.stage, Stage::Intended | Stage::Applied | Stage::UndoIntended);
        let end = if under_way { Some(until) } else { step.changed };
        Self {
            name: step.name.clone(),
            kind: step.kind,
            stage: step.stage,
            attempts: step.attempts,
            begun: step.begun,
            changed: step.changed,
            took_ms: step.begun.zip(end).map(|(begun, end)| age(begun, end)),
            failure: step.failure.clone(),
            undo_failure: step.undo_failure.clone(),
        }
    }
}
