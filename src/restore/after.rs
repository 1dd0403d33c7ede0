//! What is done about a restore that is over, as runs of their own: bringing back what it has replaced, removing what it
//! has kept. Neither is undone: half of either is gone on with.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::phases::{SetRecord, Swapped, Told};
use super::trouble::Trouble;
use super::work::swapped;
use super::{RestoreError, back};
use crate::context::Context;
use crate::data::postgres::restore as postgres;
use crate::data::volume;
use crate::point::{DataWord, Home};
use crate::run::{Phase, Plan, PlannedStep, Probe, RunId, State, Step, StepError, StepKind, Steps, journal, restores};
use crate::stack::{DataKind, Name};

/// Which of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    BringBack,
    Discard,
}

impl After {
    fn word(self) -> &'static str {
        match self {
            Self::BringBack => "bring-back",
            Self::Discard => "discard",
        }
    }

    /// All data sets at once: one that cannot be dealt with does not keep the others from it. A cache has nothing beside it.
    ///
    /// # Errors
    /// `NoSuchRun`, or that its plan cannot be understood.
    pub async fn phases(self, home: &Home, run: &RunId) -> Result<Vec<Phase>, RestoreError> {
        let work = AfterWork::new(home, run.clone());
        let (told, _) = work.found().await?;
        let beside = told.data.iter().filter(|set| set.kind != DataWord::Redis);
        let step = |set: &SetRecord| PlannedStep {
            name: format!("{}:{}", self.word(), set.data),
            kind: StepKind::Forward,
            parameters: json!({restores::OF: run}),
        };
        Ok(vec![Phase { name: self.word().to_owned(), steps: beside.map(step).collect() }])
    }
}

/// The steps of such a run.
pub struct AfterWork<'h> {
    home: &'h Home,
    of: RunId,
    found: OnceLock<(Told, BTreeMap<Name, Vec<Swapped>>)>,
    trouble: Mutex<Option<Trouble>>,
}

impl<'h> AfterWork<'h> {
    /// The steps of `plan`.
    ///
    /// # Errors
    /// `Unreadable` when it does not say about which restore it is.
    pub fn of(home: &'h Home, run: &RunId, plan: &Plan) -> Result<Self, RestoreError> {
        let unreadable = || RestoreError::Unreadable { run: run.to_string(), reason: "it names no restore".into() };
        Ok(Self::new(home, restores::of(plan).ok_or_else(unreadable)?))
    }

    /// About the restore `of`.
    fn new(home: &'h Home, of: RunId) -> Self {
        Self { home, of, found: OnceLock::new(), trouble: Mutex::new(None) }
    }

    /// What kept a step from being done.
    pub fn into_trouble(self) -> Option<RestoreError> {
        match self.trouble.into_inner().unwrap_or_else(PoisonError::into_inner)? {
            Trouble::Other(error) => Some(*error),
            _ => None, // these steps know no other
        }
    }

    async fn found(&self) -> Result<&(Told, BTreeMap<Name, Vec<Swapped>>), RestoreError> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let found = self.read().await?;
        Ok(self.found.get_or_init(|| found))
    }

    async fn read(&self) -> Result<(Told, BTreeMap<Name, Vec<Swapped>>), RestoreError> {
        let unreadable = |reason| RestoreError::Unreadable { run: self.of.to_string(), reason };
        let entries = journal::of(&self.home.stack, &self.home.store).read(&self.of).await?;
        let entries = entries.ok_or_else(|| RestoreError::NoSuchRun { run: self.of.to_string() })?;
        let state = State::of(&entries).map_err(unreadable)?;
        Ok((Told::read(&state.plan).map_err(unreadable)?, swapped(&state)))
    }

    async fn bring_back(&self, data: &Name, cx: &Context) -> Result<(), RestoreError> {
        let (_, swapped) = self.found().await?;
        let of = self.of.as_str();
        match back::kind(self.home, data)? {
            DataKind::Postgres(spec) => {
                let swapped = swapped.get(data).map_or(&[][..], Vec::as_slice);
                back::databases(spec, of, swapped).await.map_err(back::of(data))
            }
            DataKind::Volume(spec) => back::volume(spec, of, cx).await.map(drop).map_err(back::of(data)),
            DataKind::Redis(_) => Ok(()),
        }
    }

    async fn discard(&self, data: &Name, cx: &Context) -> Result<(), RestoreError> {
        let ((told, swapped), of) = (self.found().await?, self.of.as_str());
        let Some(set) = told.set(data) else { return Ok(()) };
        match back::kind(self.home, data)? {
            DataKind::Postgres(spec) => {
                let dropped = postgres::drop_kept(spec, of, &back::all_promoted(set, swapped)).await;
                dropped.map_err(|error| back::of(data)(error.into()))
            }
            DataKind::Volume(spec) => {
                let folder = back::folder_of(spec).map_err(back::of(data))?;
                if back::trace(folder, of, cx).await.map_err(back::of(data))?.is_some() {
                    let discarded = volume::discard_former(folder, of, cx).await;
                    discarded.map_err(|error| back::of(data)(error.into()))?;
                }
                Ok(())
            }
            DataKind::Redis(_) => Ok(()), // it keeps nothing
        }
    }
}

impl Steps for AfterWork<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        let unknown =
            || RestoreError::Unreadable { run: self.of.to_string(), reason: format!("a step `{}`", planned.name) };
        let (word, data) = planned.name.split_once(':').ok_or_else(|| StepError::new(unknown()))?;
        let after = match word {
            "bring-back" => After::BringBack,
            "discard" => After::Discard,
            _ => return Err(StepError::new(unknown())),
        };
        let data = data.parse().map_err(|_| StepError::new(unknown()))?;
        Ok(Box::new(Doer { work: self, after, data }))
    }
}

struct Doer<'w> {
    work: &'w AfterWork<'w>,
    after: After,
    data: Name,
}

#[async_trait(?Send)]
impl Step for Doer<'_> {
    /// Either may be done again.
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        let done = match self.after {
            After::BringBack => self.work.bring_back(&self.data, cx).await,
            After::Discard => self.work.discard(&self.data, cx).await,
        };
        done.map(|()| Value::Null).map_err(|error| {
            let trouble = Trouble::from(error);
            let gist = trouble.gist();
            self.work.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
            gist
        })
    }

    /// It is done when it returns: databases in one transaction, folders by a journal of their own.
    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    /// Never asked for: neither is undone.
    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        Ok(())
    }
}
