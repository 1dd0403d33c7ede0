//! What the process that led a restore has learned, and what of it whoever waits is told: the journal has the
//! gist, without causes.

use super::RestoreError;
use super::copy::RELEASE;
use super::error::Left;
use super::evidence;
use super::kept::{self, ended};
use super::report::Report;
use super::trouble::Trouble;
use crate::context::Context;
use crate::point::Home;
use crate::run::restores::{self, Restore};
use crate::run::{self, Outcome, RunId, State, journal};

/// Of one run.
pub struct Learned {
    pub(super) report: Report,
    pub(super) trouble: Option<Trouble>,
    /// Why something could not be brought back.
    pub(super) stuck: Option<String>,
    pub(super) of: Of,
}

/// Of which kind of restore.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    InPlace,
    Copy {
        /// It wrote into folders that held something.
        among: bool,
    },
}

impl std::fmt::Debug for Learned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learned").field("report", &self.report).field("stuck", &self.stuck).finish_non_exhaustive()
    }
}

impl Learned {
    /// The report of a run that was left as `left` says; a data set that turned out other than recorded is no error, the
    /// report says what differs, and nothing of the restore is live.
    ///
    /// # Errors
    /// What kept it from its end, and what that has left.
    pub async fn told(
        self,
        home: &Home,
        run: &RunId,
        left: &run::Left,
        state: &State,
        cx: &Context,
    ) -> Result<Report, RestoreError> {
        let Self { report, trouble, stuck, of } = self;
        let left = match left {
            run::Left::Over { outcome: Outcome::Succeeded, .. } => return Ok(report),
            run::Left::Over { .. } => match of {
                Of::InPlace => came_back(home, run, state, cx).await,
                Of::Copy { among } => Left::Removed { among },
            },
            run::Left::Waiting { step, .. } if step == evidence::LEAVE || step == RELEASE => {
                return Err(unended(run, trouble));
            }
            // What it did is taken back; only that nobody can be told of it yet.
            run::Left::Waiting { step, .. } if step == evidence::OPEN => match of {
                Of::InPlace => came_back(home, run, state, cx).await,
                Of::Copy { among } => Left::Removed { among },
            },
            run::Left::Waiting { .. } => {
                let why = stuck.unwrap_or_else(|| "the journal says why".into());
                if matches!(of, Of::InPlace) { Left::Open(why) } else { Left::Remains(why) }
            }
            run::Left::Parked => return Err(RestoreError::Unfinished { run: run.to_string() }),
        };
        match (trouble, state.abandoned.clone()) {
            (Some(trouble), _) => trouble.told(report, left),
            (None, Some(by)) => Err(RestoreError::Abandoned { run: run.to_string(), by, left }),
            (None, None) => Err(RestoreError::Unfinished { run: run.to_string() }),
        }
    }
}

/// All is restored, and one of the last two steps waits for a person.
fn unended(run: &RunId, trouble: Option<Trouble>) -> RestoreError {
    let run = run.to_string();
    match trouble {
        Some(Trouble::Other(error)) => match *error {
            RestoreError::Evidence(source) => RestoreError::NoEvidence { run, source: Box::new(source) },
            other => other,
        },
        Some(Trouble::Data { source, .. }) => RestoreError::NotReleased { run, source },
        _ => RestoreError::Unfinished { run },
    }
}

/// What a run that was undone has left.
async fn came_back(home: &Home, run: &RunId, state: &State, cx: &Context) -> Left {
    let restore = Restore::alone(run.clone(), state.clone());
    if !restore.was_promoting() {
        return Left::Untouched;
    }
    match kept::ended(home, &restore, cx).await {
        Ok(ended) => Left::back(run.as_str(), ended),
        Err(error) => {
            tracing::warn!(%error, %run, "what was set aside cannot be listed; `restore --list` does");
            Left::back(run.as_str(), Vec::new())
        }
    }
}

/// What was done about restores that were cut off, in words.
///
/// # Errors
/// When what they have left cannot be asked for.
pub async fn mended(home: &Home, runs: &[RunId], cx: &Context) -> Result<Vec<String>, RestoreError> {
    let mut said = Vec::new();
    if runs.is_empty() {
        return Ok(said);
    }
    let all = restores::all(&*journal::of(&home.stack, &home.store)).await?;
    // Of one that is brought back again it is the restore that counts.
    let touched = |one: &&Restore| runs.contains(&one.run) || one.undone_by.iter().any(|undo| runs.contains(&undo.run));
    for restore in all.iter().filter(touched).filter(|one| !one.stage().is_unfinished()) {
        for one in ended(home, restore, cx).await? {
            let (live, run) = (one.live.unwrap_or("former"), &restore.run);
            let mut text = format!("{}: the restore {run} was cut short; the {live} content is live", one.data);
            for aside in &one.set_aside {
                text += &format!("; what it had restored is the {} {}, until --discard {run}", aside.kind, aside.name);
            }
            said.push(text);
        }
    }
    Ok(said)
}
