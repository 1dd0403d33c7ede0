//! What a journal's entries add up to. Pure: the same entries are the same state, now and after any crash.

use jiff::Timestamp;
use serde_json::Value;

use super::event::{Entry, Event, FORMAT_VERSION, Failed, Outcome};
use super::plan::{Plan, StepKind};

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Pending,
    /// It may or may not have happened.
    Intended,
    Applied,
    Verified,
    /// It was told to happen and said why it did not; it may have happened in part.
    Failed,
    UndoIntended,
    Undone,
    UndoFailed,
}

/// One step and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    pub name: String,
    pub kind: StepKind,
    pub stage: Stage,
    /// How often it was begun, its undoing not counted.
    pub attempts: u32,
    /// How often its undoing failed.
    pub undo_failures: u32,
    pub output: Option<Value>,
    /// Why it failed.
    pub failure: Option<Failed>,
    /// Why it could not be undone.
    pub undo_failure: Option<Failed>,
    /// When it was first begun.
    pub begun: Option<Timestamp>,
    /// When its stage last changed.
    pub changed: Option<Timestamp>,
}

impl StepState {
    fn follow(&mut self, event: &Event, time: Timestamp) {
        match event {
            Event::Intended { attempt, .. } => {
                (self.stage, self.attempts) = (Stage::Intended, *attempt);
                self.begun.get_or_insert(time);
            }
            Event::Applied { output, .. } => {
                (self.stage, self.output, self.failure) = (Stage::Applied, Some(output.clone()), None);
            }
            Event::Verified { .. } => self.stage = Stage::Verified,
            Event::Failed { failure, .. } => (self.stage, self.failure) = (Stage::Failed, Some(failure.clone())),
            Event::UndoIntended { .. } => self.stage = Stage::UndoIntended,
            Event::Undone { .. } => self.stage = Stage::Undone,
            Event::UndoFailed { failure, .. } => {
                (self.stage, self.undo_failure) = (Stage::UndoFailed, Some(failure.clone()));
                self.undo_failures += 1;
            }
            // The whole run's.
            Event::Accepted { .. } | Event::Adopted { .. } | Event::Abandoned { .. } | Event::Finished { .. } => {}
        }
        self.changed = Some(time);
    }

    /// Whoever adopts a run begins to count anew: what had waited for a person is tried again.
    fn try_again(&mut self) {
        if self.stage == Stage::UndoFailed {
            (self.stage, self.undo_failures) = (Stage::UndoIntended, 0);
        }
        if self.stage == Stage::Failed && self.kind != StepKind::Reversible {
            (self.stage, self.failure, self.attempts) = (Stage::Intended, None, 0);
        }
    }
}

/// A run as its journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub plan: Plan,
    pub digest: String,
    /// Who or what asked for it.
    pub by: String,
    /// The program that accepted it; its minor version resumes.
    pub tool: String,
    /// In the plan's order.
    pub steps: Vec<StepState>,
    /// Who is at it, and by which fencing token.
    pub holder: Option<(String, u64)>,
    /// Somebody wants it to end.
    pub abandoned: Option<String>,
    pub outcome: Option<Outcome>,
    pub accepted: Timestamp,
    /// When the newest entry was written.
    pub changed: Timestamp,
    /// The number of the next entry.
    pub next: u64,
}

impl State {
    /// The state after `entries`.
    ///
    /// # Errors
    /// Why they are no run's journal: a newer format, a gap, an event that cannot follow.
    pub fn of(entries: &[Entry]) -> Result<Self, String> {
        let (first, rest) = entries.split_first().ok_or("it is empty")?;
        rest.iter().try_fold(Self::begin(first)?, |state, entry| state.apply(entry))
    }

    /// # Errors
    /// When `first` is no entry that begins a run.
    pub fn begin(first: &Entry) -> Result<Self, String> {
        known(first)?;
        let Event::Accepted { plan, digest, by, tool } = &first.event else {
            return Err(format!("it begins with {}", word(&first.event)));
        };
        if first.number != 0 {
            return Err(format!("it begins with entry {}", first.number));
        }
        plan.check()?;
        if plan.digest() != *digest {
            return Err("its plan is not the one that was accepted: the digest differs".into());
        }
        let steps = plan.steps().map(|step| StepState {
            name: step.name.clone(),
            kind: step.kind,
            stage: Stage::Pending,
            attempts: 0,
            undo_failures: 0,
            output: None,
            failure: None,
            undo_failure: None,
            begun: None,
            changed: None,
        });
        Ok(Self {
            steps: steps.collect(),
            plan: plan.clone(),
            digest: digest.clone(),
            by: by.clone(),
            tool: tool.clone(),
            holder: None,
            abandoned: None,
            outcome: None,
            accepted: first.time,
            changed: first.time,
            next: 1,
        })
    }

    /// The state after one more entry.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn apply(mut self, entry: &Entry) -> Result<Self, String> {
        self.admit(entry)?;
        self.follow(entry);
        Ok(self)
    }

    /// Whether `entry` can be the next one.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn admit(&self, entry: &Entry) -> Result<(), String> {
        use Stage::{Applied, Failed, Intended, Pending, UndoIntended, Undone};
        known(entry)?;
        let event = &entry.event;
        if entry.number != self.next {
            return Err(format!("entry {} is missing", self.next));
        }
        if self.outcome.is_some() {
            return Err(format!("{} follows the end", word(event)));
        }
        let is_legal = match event {
            Event::Accepted { .. } => return Err("it is accepted twice".into()),
            Event::Adopted { token, .. } => {
                if self.holder.as_ref().is_some_and(|(_, former)| former > token) {
                    return Err(format!("the fencing token goes back to {token}"));
                }
                true
            }
            Event::Abandoned { .. } | Event::Finished { .. } => true,
            Event::Intended { step, .. } => matches!(self.stage(step)?, Pending | Intended | Failed),
            Event::Applied { step, .. } => self.stage(step)? == Intended,
            Event::Verified { step } => self.stage(step)? == Applied,
            Event::Failed { step, .. } => matches!(self.stage(step)?, Intended | Applied),
            Event::UndoIntended { step } => !matches!(self.stage(step)?, Pending | Undone),
            Event::Undone { step } | Event::UndoFailed { step, .. } => self.stage(step)? == UndoIntended,
        };
        if is_legal { Ok(()) } else { Err(format!("{} cannot follow entry {}", word(event), self.next - 1)) }
    }

    /// Takes in an entry that was [admitted](Self::admit).
    pub fn follow(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Accepted { .. } => {}
            Event::Adopted { holder, token, .. } => {
                self.holder = Some((holder.clone(), *token));
                self.steps.iter_mut().for_each(StepState::try_again);
            }
            Event::Abandoned { by } => self.abandoned = Some(by.clone()),
            Event::Finished { outcome } => self.outcome = Some(*outcome),
            event => {
                let name = step_of(event);
                if let Some(step) = self.steps.iter_mut().find(|step| Some(step.name.as_str()) == name) {
                    step.follow(event, entry.time);
                }
            }
        }
        (self.next, self.changed) = (self.next + 1, entry.time);
    }

    fn stage(&self, name: &str) -> Result<Stage, String> {
        let found = self.steps.iter().find(|step| step.name == name);
        found.map(|step| step.stage).ok_or_else(|| no_step(name))
    }

    /// Whether something was begun that is never undone.
    #[must_use]
    pub fn is_past_return(&self) -> bool {
        self.steps.iter().any(|step| step.kind != StepKind::Reversible && step.stage != Stage::Pending)
    }

    /// Whether what was done is being taken back.
    #[must_use]
    pub fn is_undoing(&self) -> bool {
        let failed = self
            .steps
            .iter()
            .any(|step| matches!(step.stage, Stage::Failed | Stage::UndoIntended | Stage::Undone | Stage::UndoFailed));
        !self.is_past_return() && (failed || self.abandoned.is_some())
    }

    /// What made it fail; the first in the plan's order.
    #[must_use]
    pub fn failure(&self) -> Option<&Failed> {
        self.steps.iter().find_map(|step| step.failure.as_ref())
    }
}

fn no_step(name: &str) -> String {
    format!("its plan has no step `{name}`")
}

fn known(entry: &Entry) -> Result<(), String> {
    if entry.format_version > FORMAT_VERSION {
        let found = entry.format_version;
        return Err(format!("it has format version {found}, this program knows {FORMAT_VERSION}"));
    }
    Ok(())
}

fn step_of(event: &Event) -> Option<&str> {
    match event {
        Event::Accepted { .. } | Event::Adopted { .. } | Event::Abandoned { .. } | Event::Finished { .. } => None,
        Event::Intended { step, .. }
        | Event::Applied { step, .. }
        | Event::Verified { step }
        | Event::Failed { step, .. }
        | Event::UndoIntended { step }
        | Event::Undone { step }
        | Event::UndoFailed { step, .. } => Some(step),
    }
}

/// As it is written: `undo-intended of take`.
fn word(event: &Event) -> String {
    let json = serde_json::to_value(event).expect("an event is JSON");
    let word = json["event"].as_str().unwrap_or_default().to_owned();
    step_of(event).map_or(word.clone(), |step| format!("{word} of {step}"))
}
