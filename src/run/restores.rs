//! What others must know of restores by their journals alone: whether what is live may be a mixture, whether something is
//! kept still. What the steps do is `restore`'s; their names are fixed for ever.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::RunError;
use super::event::Outcome;
use super::journal::Journals;
use super::plan::{Plan, RunId};
use super::state::{Stage as StepStage, State, StepState};

/// A restore in place.
pub const OPERATION: &str = "restore";
/// One beside what is live: into a folder, into databases of other names.
pub const COPY: &str = "restore-copy";
/// Brings back what a restore that was finished has replaced.
pub const UNDO: &str = "restore-undo";
/// Removes what a restore has kept.
pub const DISCARD: &str = "restore-discard";
/// The parameter of the latter two that names the restore.
pub const OF: &str = "run";

/// How the ids of all three begin.
const PREFIX: &str = "restore-";
/// The steps in which what is live is replaced: the word before the colon.
const PROMOTES: [&str; 6] = ["exchange", "swap", "prove", "hand-over", "settle", "bring-back"];
/// Journals read at a time: hides a store's latency and stays far below its limits.
const LOADS: usize = 8;
/// Restores that are over stay this many, for whoever wants to know what happened; a snapshot reads the journal of each.
const KEPT: usize = 100;

/// Whether a step of this name replaces what is live.
#[must_use]
pub fn promotes(step: &str) -> bool {
    PROMOTES.contains(&step.split_once(':').map_or(step, |(word, _)| word))
}

/// How far a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Copies are filled; nothing live has changed.
    Begun,
    /// It goes live.
    Promoting,
    Finished,
    /// What was live is being brought back.
    Undoing,
    /// What was live is live again; what had been restored may be kept.
    Undone,
    /// Nothing of it is left.
    Discarded,
}

impl Stage {
    /// Whether what is live may be a mixture.
    #[must_use]
    pub fn is_mixed(self) -> bool {
        matches!(self, Self::Promoting | Self::Undoing)
    }

    /// Whether somebody must bring the run to its end.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        self.is_mixed() || self == Self::Begun
    }
}

/// A run and what its journal adds up to.
#[derive(Debug, Clone)]
pub struct Journaled {
    pub run: RunId,
    pub state: State,
}

/// A restore, and what was done about it since.
#[derive(Debug, Clone)]
pub struct Restore {
    pub run: RunId,
    pub state: State,
    /// Runs that bring back what it has replaced, the oldest first.
    pub undone_by: Vec<Journaled>,
    /// Runs that remove what it has kept.
    pub discarded_by: Vec<Journaled>,
}

impl Restore {
    /// One that nothing was done about since.
    #[must_use]
    pub fn alone(run: RunId, state: State) -> Self {
        Self { run, state, undone_by: Vec::new(), discarded_by: Vec::new() }
    }

    #[must_use]
    pub fn stage(&self) -> Stage {
        let has = |runs: &[Journaled], outcome| runs.iter().any(|one| one.state.outcome == outcome);
        match self.state.outcome {
            None if is_all_live(&self.state) => Stage::Finished,
            None if !is_mixed(&self.state) => Stage::Begun,
            None if self.state.is_undoing() => Stage::Undoing,
            None => Stage::Promoting,
            Some(_) if has(&self.discarded_by, Some(Outcome::Succeeded)) => Stage::Discarded,
            Some(_) if self.undone_by.iter().any(|one| is_mixed(&one.state)) => Stage::Undoing,
            Some(Outcome::Succeeded) if has(&self.undone_by, Some(Outcome::Succeeded)) => Stage::Undone,
            Some(Outcome::Succeeded) => Stage::Finished,
            Some(Outcome::Failed | Outcome::Abandoned) => Stage::Undone,
        }
    }

    /// Some of it may have been live.
    #[must_use]
    pub fn was_promoting(&self) -> bool {
        self.state.steps.iter().any(|step| promotes(&step.name) && step.begun.is_some())
    }

    /// Nothing of the run is left anywhere, and nobody can do anything with it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.stage() {
            Stage::Discarded => true,
            Stage::Finished | Stage::Undone => !self.was_promoting(),
            Stage::Begun | Stage::Promoting | Stage::Undoing => false,
        }
    }

    fn journals(&self) -> impl Iterator<Item = &RunId> {
        // The restore's own goes first: without it the others say nothing.
        std::iter::once(&self.run).chain(self.undone_by.iter().chain(&self.discarded_by).map(|one| &one.run))
    }
}

/// Whether all that goes live is, and only what changes nothing live is left to do: the record of it.
fn is_all_live(state: &State) -> bool {
    let is_verified = |step: &StepState| step.stage == StepStage::Verified;
    state.steps.last().is_some_and(|last| !promotes(&last.name))
        && !state.is_undoing()
        && state.steps.iter().filter(|step| promotes(&step.name)).all(is_verified)
        && state.steps.iter().any(|step| promotes(&step.name))
}

/// Whether the run, as its journal leaves it, may have left what is live a mixture.
#[must_use]
pub fn is_mixed(state: &State) -> bool {
    let is_live = |step: &StepState| !matches!(step.stage, StepStage::Pending | StepStage::Undone);
    state.outcome.is_none()
        && !is_all_live(state)
        && state.steps.iter().any(|step| promotes(&step.name) && is_live(step))
}

/// Every restore that has a journal, the oldest name first.
///
/// # Errors
/// When the store cannot be asked, or holds what this program does not understand.
pub async fn all(journals: &dyn Journals) -> Result<Vec<Restore>, RunError> {
    Ok(together(read(journals).await?).0)
}

/// Each restore with the runs that ended it, and of those the ones whose restore's journal is gone.
fn together(runs: Vec<Journaled>) -> (Vec<Restore>, Vec<Journaled>) {
    let mut restores: BTreeMap<RunId, Restore> = BTreeMap::new();
    let (mut since, mut strays) = (Vec::new(), Vec::new());
    for Journaled { run, state } in runs {
        match state.plan.operation.as_str() {
            OPERATION => {
                restores.insert(run.clone(), Restore::alone(run, state));
            }
            UNDO | DISCARD => since.push(Journaled { run, state }),
            _ => {} // another operation's whose name begins alike
        }
    }
    for one in since {
        match of(&one.state.plan).and_then(|run| restores.get_mut(&run)) {
            Some(restore) if one.state.plan.operation == UNDO => restore.undone_by.push(one),
            Some(restore) => restore.discarded_by.push(one),
            None => strays.push(one),
        }
    }
    (restores.into_values().collect(), strays)
}

/// The restore that a run brings back or discards.
#[must_use]
pub fn of(plan: &Plan) -> Option<RunId> {
    let told = plan.steps().find_map(|step| step.parameters.get(OF).and_then(Value::as_str))?;
    told.parse().ok()
}

/// In the order of their names.
async fn read(journals: &dyn Journals) -> Result<Vec<Journaled>, RunError> {
    let mut runs: Vec<RunId> = journals.list().await?;
    runs.retain(|run| run.as_str().starts_with(PREFIX));
    runs.sort();
    let read = stream::iter(runs).map(async |run| {
        let Some(entries) = journals.read(&run).await? else { return Ok(None) };
        let damaged = |reason| RunError::Damaged { run: run.to_string(), reason };
        let state = State::of(&entries).map_err(damaged)?;
        Ok(Some(Journaled { run, state }))
    });
    let all: Vec<Option<Journaled>> = read.buffered(LOADS).try_collect().await?;
    Ok(all.into_iter().flatten().collect())
}

/// The runs that may have left a mixture: nothing that is live now may be taken for whole.
///
/// # Errors
/// As [`all`].
pub async fn mixed(journals: &dyn Journals) -> Result<Vec<RunId>, RunError> {
    let all = read(journals).await?;
    Ok(all.into_iter().filter(|one| is_mixed(&one.state)).map(|one| one.run).collect())
}

/// The journals of restores that are over, but for the newest [`KEPT`], with those of the runs that ended them: they are
/// history.
///
/// # Errors
/// As [`all`].
pub async fn history(journals: &dyn Journals) -> Result<Vec<RunId>, RunError> {
    let (restores, strays) = together(read(journals).await?);
    let mut over: Vec<Restore> = restores.into_iter().filter(Restore::is_over).collect();
    over.sort_by(|a, b| (a.state.accepted, &a.run).cmp(&(b.state.accepted, &b.run)));
    let older = over.len().saturating_sub(KEPT);
    let mut runs: Vec<RunId> = over[..older].iter().flat_map(|restore| restore.journals().cloned()).collect();
    // What a removal that was cut short has left.
    runs.extend(strays.into_iter().filter(|one| one.state.outcome.is_some()).map(|one| one.run));
    Ok(runs)
}
