//! The steps of a restore beside what is live, ready to be done by this process. What they make tells by its mark whose it
//! is, so a step that was cut off is done anew over what it left, and what is taken back is this run's alone.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::below;
use super::told::{Doing, SetTold, To, Told};
use crate::context::Context;
use crate::data::postgres::restore as postgres;
use crate::data::volume::{self, TargetState};
use crate::data::{Comparison, DataError};
use crate::point::{Home, load};
use crate::repository::{Lock, LockKind};
use crate::restore::evidence::{self, COMPARISON, End, Fault, REFERENCES};
use crate::restore::learned::{Learned, Of};
use crate::restore::plan::{self, Options, Part, RestorePlan, Target};
use crate::restore::references::{Look, Rows};
use crate::restore::report::{Report, RestoredSet};
use crate::restore::trouble::Trouble;
use crate::restore::{RestoreError, back, database, folder, mend};
use crate::run::{Plan, PlannedStep, Probe, RunId, Step, StepError, Steps};
use crate::stack::{DataKind, Name, PostgresSpec};

/// One run's steps.
pub struct Work<'h> {
    home: &'h Home,
    run: RunId,
    told: Told,
    /// The plan's steps.
    order: Vec<Doing>,
    plan: OnceLock<RestorePlan>,
    seen: Mutex<Seen>,
    /// Nobody prunes what is read.
    lock: tokio::sync::Mutex<Option<Lock>>,
    /// How long another's lock is waited for.
    wait: Duration,
}

/// What this process has learned.
struct Seen {
    report: Report,
    trouble: Option<Trouble>,
    /// Why something could not be removed.
    stuck: Option<String>,
}

impl<'h> Work<'h> {
    /// The steps of `plan`.
    ///
    /// # Errors
    /// `Unreadable` for the plan of another program.
    pub fn new(home: &'h Home, run: &RunId, plan: &Plan, wait: Duration) -> Result<Self, RestoreError> {
        let unreadable = |reason| RestoreError::Unreadable { run: run.to_string(), reason };
        let told = Told::read(plan).map_err(unreadable)?;
        let order =
            plan.steps().map(|step| step.name.parse()).collect::<Result<Vec<Doing>, _>>().map_err(unreadable)?;
        let report = Report::begun(run.as_str(), told.point);
        let seen = Mutex::new(Seen { report, trouble: None, stuck: None });
        let (plan, lock) = (OnceLock::new(), tokio::sync::Mutex::default());
        Ok(Self { home, run: run.clone(), told, order, plan, seen, lock, wait })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody prunes from here on, until all is done or the first step is taken back.
    async fn keep_what_is_read(&self, cx: &Context) -> Result<(), RestoreError> {
        let mut held = self.lock.lock().await;
        if held.is_none() {
            *held = Some(self.home.repository.lock(LockKind::Shared, self.wait, cx).await?);
            self.home.repository.refresh_index().await?;
        }
        Ok(())
    }

    async fn let_go(&self) {
        let lock = self.lock.lock().await.take();
        if let Some(lock) = lock
            && let Err(error) = lock.release().await
        {
            tracing::warn!(%error, run = %self.run, "the lock could not be removed"); // what was read was verified
        }
    }

    /// Nor one of a process that is gone: whoever takes a lock removes those.
    async fn leave_no_lock(&self, cx: &Context) {
        if let Err(error) = self.keep_what_is_read(cx).await {
            tracing::warn!(%error, run = %self.run, "a lock that a process which is gone has left stays");
        }
        self.let_go().await;
    }

    /// The plan as it was made, of the point as it is now.
    async fn plan(&self, cx: &Context) -> Result<&RestorePlan, RestoreError> {
        if let Some(made) = self.plan.get() {
            return Ok(made);
        }
        let points = load(&self.home.repository, &self.home.stack.name).await?;
        let point = points.find(&self.told.point.to_string(), cx.clock.now())?;
        let wanted: Vec<Name> = self.told.data.iter().map(|set| set.data.clone()).collect();
        let Told { roles, allow_not_empty, .. } = self.told;
        let options = Options { roles, allow_not_empty, allow_gaps: false };
        let target = match &self.told.to {
            To::Folder { path, .. } => Target::Folder(PathBuf::from(path)),
            To::Databases { names } => Target::Databases(names.clone()),
        };
        let made = plan::plan(&self.home.stack, point, &wanted, target, options, self.run.to_string())?;
        Ok(self.plan.get_or_init(|| made))
    }

    async fn part(&self, data: &Name, cx: &Context) -> Result<&Part, Trouble> {
        let plan = self.plan(cx).await?;
        let part = plan.parts.iter().find(|part| part.name() == data);
        Ok(part.ok_or_else(|| RestoreError::NotInStack { name: data.clone() })?)
    }

    fn set(&self, data: &Name) -> Result<&SetTold, RestoreError> {
        self.told.set(data).ok_or_else(|| RestoreError::NotInStack { name: data.clone() })
    }

    fn postgres(&self, data: &Name) -> Result<&PostgresSpec, RestoreError> {
        match back::kind(self.home, data)? {
            DataKind::Postgres(spec) => Ok(spec),
            other => {
                let (name, now, then) = (data.clone(), other.word(), "postgres");
                Err(RestoreError::OtherKind { name, now, then })
            }
        }
    }

    async fn apply(&self, doing: &Doing, cx: &Context) -> Result<Value, Trouble> {
        match doing {
            Doing::Fill(data) => Box::pin(self.fill(data, cx)).await,
            Doing::References => Box::pin(self.compare_references(cx)).await,
            Doing::Release => self.release(cx).await,
            Doing::Evidence => Ok(evidence::open(self.plan(cx).await?, &self.home.stack)),
            Doing::Record => {
                let left = evidence::leave(self.home, &self.run, End::Done, cx).await?;
                let number = left.as_ref().map(|left| left.number);
                self.seen().report.evidence = left;
                Ok(json!({"number": number}))
            }
        }
    }

    async fn fill(&self, data: &Name, cx: &Context) -> Result<Value, Trouble> {
        self.keep_what_is_read(cx).await?;
        let (plan, part, set) = (self.plan(cx).await?, self.part(data, cx).await?, self.set(data)?);
        let restored = match &self.told.to {
            To::Folder { path, .. } => folder::fill(self.home, plan, part, &below(path, set), cx).await,
            To::Databases { names } => {
                mend::refuse_unfinished(self.home).await?;
                let (spec, run, new) = (self.postgres(data)?, self.run.as_str(), set.new_databases());
                // Of a process that is gone, which may have been killed after they got their names.
                when_free(cx, async || Ok(postgres::take_back(spec, run, &new).await?))
                    .await
                    .map_err(Trouble::of(data))?;
                when_free(cx, async || database::fill(self.home, plan, part, names, cx).await).await
            }
        };
        let restored = restored.map_err(Trouble::of(data))?;
        if !restored.comparison.holds() {
            return Err(Trouble::Differs(Box::new(RestoredSet { promoted: false, ..restored })));
        }
        let output = json!({COMPARISON: evidence::compared(&restored)});
        self.seen().report.data.push(restored);
        Ok(output)
    }

    /// Rows with files. A gap that the point did not record is told and kept: nothing live depends on it.
    async fn compare_references(&self, cx: &Context) -> Result<Value, Trouble> {
        self.keep_what_is_read(cx).await?;
        let To::Databases { names } = &self.told.to else { return Ok(Value::Null) };
        let plan = self.plan(cx).await?;
        let look = Look { home: self.home, plan, files: &plan.record, rows: Rows::Named(names) };
        let compared = look.compare(cx).await.map_err(Trouble::References)?;
        let new_gaps: u64 = compared.iter().map(|one| one.comparison.difference_count).sum();
        let output = json!({"newGaps": new_gaps, REFERENCES: evidence::reference_proofs(&compared)});
        self.seen().report.references = compared;
        Ok(output)
    }

    /// Takes the marks away.
    async fn release(&self, cx: &Context) -> Result<Value, Trouble> {
        for set in &self.told.data {
            let failed = Trouble::of(&set.data);
            match &self.told.to {
                To::Folder { path, .. } => {
                    let released = volume::release(&below(path, set), self.run.as_str(), cx).await;
                    released.map_err(|error| failed(error.into()))?;
                }
                To::Databases { .. } => {
                    let released = postgres::release(self.postgres(&set.data)?, self.run.as_str()).await;
                    released.map_err(|error| failed(error.into()))?;
                }
            }
        }
        let mut seen = self.seen();
        for set in &self.told.data {
            if !seen.report.data.iter().any(|known| known.data == set.data) {
                let resumed = self.resumed(set);
                seen.report.data.push(resumed);
            }
        }
        Ok(Value::Null)
    }

    /// Whether what the step made is there, with the run's mark.
    async fn is_there(&self, data: &Name, cx: &Context) -> Result<(), Trouble> {
        let (set, run) = (self.set(data)?, self.run.as_str());
        let failed = Trouble::of(data);
        let is_there = match &self.told.to {
            To::Folder { .. } if set.was == Some(TargetState::Holds) => true,
            To::Folder { path, .. } => {
                volume::is_made_by(&below(path, set), run, cx).await.map_err(|error| failed(error.into()))?
            }
            To::Databases { .. } => {
                let made = postgres::made(self.postgres(data)?, run).await.map_err(|error| failed(error.into()))?;
                set.new_databases().iter().all(|database| made.contains(database))
            }
        };
        if is_there {
            return Ok(());
        }
        Err(RestoreError::CopyGone { data: data.clone(), run: run.to_owned() }.into())
    }

    async fn verify(&self, doing: &Doing, cx: &Context) -> Result<(), Trouble> {
        if let Doing::Fill(data) = doing {
            self.is_there(data, cx).await?;
        }
        if self.order.last() == Some(doing) {
            self.leave_no_lock(cx).await;
        }
        Ok(())
    }

    /// Removes what the step has made, however far it came.
    async fn undo(&self, doing: &Doing, cx: &Context) -> Result<(), RestoreError> {
        match self.order.first() == Some(doing) {
            true => self.leave_no_lock(cx).await,
            false => self.let_go().await,
        }
        let data = match doing {
            Doing::Fill(data) => data,
            Doing::Evidence => {
                // The last to be taken back: what the run did is gone, but for this.
                let fault = self.seen().trouble.as_ref().map(Fault::of);
                return evidence::leave(self.home, &self.run, End::TakenBack(fault), cx).await.map(drop);
            }
            Doing::References | Doing::Release | Doing::Record => return Ok(()),
        };
        let (set, run) = (self.set(data)?, self.run.as_str());
        let undone = match &self.told.to {
            To::Folder { path, made, .. } => {
                let (was, made) = (set.was.unwrap_or(TargetState::Holds), made.as_deref().map(Path::new));
                volume::take_back(&below(path, set), run, was, made, cx).await.map_err(DataError::from)
            }
            To::Databases { .. } => {
                let (spec, new) = (self.postgres(data)?, set.new_databases());
                when_free(cx, async || Ok(postgres::take_back(spec, run, &new).await?)).await
            }
        };
        undone.map_err(back::of(data))
    }

    async fn undo_or_stay(&self, doing: &Doing, cx: &Context) -> Result<(), RestoreError> {
        let undone = self.undo(doing, cx).await;
        if let Err(error) = &undone {
            tracing::error!(%error, step = %doing, run = %self.run, "a step could not be taken back");
            self.seen().stuck = Some(back::chain(error));
        }
        undone
    }

    /// A data set that was compared by a process that is gone.
    fn resumed(&self, set: &SetTold) -> RestoredSet {
        let to = match &self.told.to {
            To::Folder { path, .. } => vec![below(path, set).display().to_string()],
            To::Databases { .. } => set.databases.iter().map(|one| format!("database {}", one.database)).collect(),
        };
        RestoredSet {
            data: set.data.clone(),
            kind: set.kind,
            to,
            promoted: true,
            comparison: Comparison::default(),
            formers: Vec::new(),
            notes: vec!["it was compared with its record by the process that began the run".into()],
            warnings: Vec::new(),
            took_ms: 0,
        }
    }

    fn failed(&self, trouble: Trouble) -> StepError {
        let gist = trouble.gist();
        self.seen().trouble.get_or_insert(trouble);
        gist
    }

    /// What this process has learned.
    pub fn into_learned(self) -> Learned {
        let Seen { mut report, trouble, stuck } = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let turn = |set: &RestoredSet| self.told.data.iter().position(|known| known.data == set.data);
        report.data.sort_by_key(turn);
        let among = self.told.data.iter().any(|set| set.was == Some(TargetState::Holds));
        Learned { report, trouble, stuck, of: Of::Copy { among } }
    }
}

/// Tries again while a restore that was killed a moment ago still holds its databases on the server.
async fn when_free<T>(cx: &Context, work: impl AsyncFn() -> Result<T, DataError>) -> Result<T, DataError> {
    let begun = Instant::now();
    loop {
        match work().await {
            Err(DataError::PostgresRestore(error))
                if back::is_locked(&error) && begun.elapsed() < back::LOCKS_GO_WITHIN && !cx.cancel.is_cancelled() =>
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            done => return done,
        }
    }
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        let unreadable = |reason| RestoreError::Unreadable { run: self.run.to_string(), reason };
        let doing = planned.name.parse().map_err(|reason| StepError::new(unreadable(reason)))?;
        Ok(Box::new(Doer { work: self, doing }))
    }
}

struct Doer<'w> {
    work: &'w Work<'w>,
    doing: Doing,
}

#[async_trait(?Send)]
impl Step for Doer<'_> {
    /// Each is done anew over what is there with the run's mark, and ends the same.
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        self.work.apply(&self.doing, cx).await.map_err(|trouble| self.work.failed(trouble))
    }

    async fn verify(&self, _: &Value, cx: &Context) -> Result<(), StepError> {
        self.work.verify(&self.doing, cx).await.map_err(|trouble| self.work.failed(trouble))
    }

    async fn undo(&self, _: Option<&Value>, cx: &Context) -> Result<(), StepError> {
        self.work.undo_or_stay(&self.doing, cx).await.map_err(StepError::new)
    }
}
