//! A drill's steps. What it holds (servers, a folder, measured times) dies with its process, so a drill that is resumed is
//! done anew from its first stage: an RTO that a crash had a part in would be none.

use std::path::PathBuf;
use std::sync::OnceLock;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::OperationError;
use super::request::{DrillRequest, step};
use super::work::{self, How, Report, told, unknown};
use crate::context::Context;
use crate::drill::{Choice, DrillError, DrillPlan, Drilling, Gist, Options, Stage, choose, kept, plan, remove, stages};
use crate::failure::{Category, Failure};
use crate::point::{Home, PointError, PointId, Points, load};
use crate::repository::{Lock, LockKind, RepositoryError};
use crate::run::{Phase, PlannedStep, Probe, RunId, Step, StepError, Steps};
use crate::stack::Name;

pub const WORD: &str = "drill";

/// What every step is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Told {
    point: PointId,
    data: Vec<Name>,
    keep: bool,
    /// Where sandboxes are made.
    folder: PathBuf,
}

impl Told {
    async fn plan(&self, home: &Home, run: &RunId, cx: &Context) -> Result<(DrillPlan, Points), DrillError> {
        let points = load(&home.repository, &home.stack.name).await?;
        let named = Choice::Named(self.point.to_string());
        let point = choose(&points, &named, cx.clock.now(), |_| 0).map_err(|error| match error {
            DrillError::Point(PointError::NotFound { .. }) => DrillError::Gone { point: self.point },
            error => error,
        })?;
        let options = Options { data: self.data.clone(), keep: self.keep };
        let plan = plan(&home.stack, point, options, run.to_string(), self.folder.clone())?;
        Ok((plan, points))
    }
}

/// The phases of drilling what is asked: the point is drawn here.
pub async fn phases(
    home: &Home,
    run: &RunId,
    asked: &DrillRequest,
    cx: &Context,
) -> Result<Vec<Phase>, OperationError> {
    let points = load(&home.repository, &home.stack.name).await.map_err(DrillError::from)?;
    let point = choose(&points, &asked.choice, cx.clock.now(), |n| rand::random_range(0..n))?.id;
    let folder = home.stack.spec.drill.folder.clone().unwrap_or_else(std::env::temp_dir);
    let told = Told { point, data: asked.data.clone(), keep: asked.keep, folder };
    let (plan, _) = told.plan(home, run, cx).await?;
    let mut phases: Vec<Phase> = Vec::new();
    for stage in stages(&plan) {
        let (phase, name) = names(&plan, stage);
        let step = step(&name, json!(told));
        match phases.last_mut().filter(|last| last.name == phase) {
            Some(last) => last.steps.push(step),
            None => phases.push(Phase { name: phase.to_owned(), steps: vec![step] }),
        }
    }
    Ok(phases)
}

/// The phase of a stage, and its step.
fn names(plan: &DrillPlan, stage: Stage) -> (&'static str, String) {
    let alone = |name: &'static str| (name, name.to_owned());
    match stage {
        Stage::Provision => alone("provision"),
        Stage::Fill(n) => ("fill", format!("fill:{}", plan.parts[n].name())),
        Stage::Verify(n) => ("verify", format!("verify:{}", plan.parts[n].name())),
        Stage::References => alone("references"),
        Stage::Assert => alone("assert"),
        Stage::Discard => alone("discard"),
        Stage::Record => alone("record"),
    }
}

pub struct Work<'a> {
    home: &'a Home,
    run: &'a RunId,
    how: How<'a>,
    told: OnceLock<Told>,
    /// Steps that may run together wait for each other here: two servers restored at once would only share the disk.
    under_way: Mutex<Option<UnderWay>>,
}

struct UnderWay {
    drilling: Drilling,
    stages: Vec<(Stage, String)>,
    /// How many of them are done.
    done: usize,
    gists: Vec<Gist>,
    lock: Option<Lock>,
}

impl<'a> Work<'a> {
    pub fn new(home: &'a Home, run: &'a RunId, how: How<'a>) -> Self {
        Self { home, run, how, told: OnceLock::new(), under_way: Mutex::default() }
    }

    async fn begin(&self, told: &Told, cx: &Context) -> Result<UnderWay, DrillError> {
        let lock = self.home.repository.lock(LockKind::Shared, self.how.wait, cx).await?;
        let begun = async {
            self.home.repository.refresh_index().await?;
            let (plan, points) = told.plan(self.home, self.run, cx).await?; // under the lock: nobody prunes it any more
            let stages = stages(&plan).into_iter().map(|stage| (stage, names(&plan, stage).1)).collect();
            Ok((Drilling::begin(self.home, plan, points, cx)?, stages))
        };
        match begun.await {
            Ok((drilling, stages)) => Ok(UnderWay { drilling, stages, done: 0, gists: Vec::new(), lock: Some(lock) }),
            Err(error) => {
                release(lock).await.ok(); // it is told why already
                Err(error)
            }
        }
    }
}

async fn release(lock: Lock) -> Result<(), DrillError> {
    match lock.release().await {
        Err(lost @ RepositoryError::LockLost { .. }) => Err(lost.into()),
        Err(error) => {
            tracing::warn!(%error, "the lock could not be removed"); // it dies with this process
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[async_trait(?Send)]
impl work::Work for Work<'_> {
    /// None before its last stage: it would look like a verdict.
    fn reports(self: Box<Self>) -> Vec<Report> {
        let under_way = self.under_way.into_inner().filter(|one| one.done == one.stages.len());
        under_way.into_iter().map(|one| Report::Drill(Box::new(one.drilling.report))).collect()
    }
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        let told = told(planned)?;
        let told = self.told.get_or_init(|| told);
        let is_ours = |name: &str| {
            matches!(name, "provision" | "references" | "assert" | "discard" | "record")
                || name.starts_with("fill:")
                || name.starts_with("verify:")
        };
        if !is_ours(&planned.name) {
            return unknown(planned);
        }
        Ok(Box::new(Part { work: self, name: planned.name.clone(), told }))
    }
}

struct Part<'a> {
    work: &'a Work<'a>,
    name: String,
    told: &'a Told,
}

#[async_trait(?Send)]
impl Step for Part<'_> {
    /// Nothing of it outlives a process but the last, and that is done again for its figures.
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        let mut under_way = self.work.under_way.lock().await;
        let now = match under_way.take() {
            Some(now) => now,
            None => self.work.begin(self.told, cx).await.map_err(StepError::new)?,
        };
        let now = under_way.insert(now);
        let at = now.stages.iter().position(|(_, name)| *name == self.name);
        let at = at.ok_or_else(|| StepError::new(OperationError::UnknownStep { step: self.name.clone() }))?;
        while now.done <= at {
            let (stage, _) = now.stages[now.done];
            match now.drilling.go(stage, self.work.home, cx).await {
                Ok(gist) => now.gists.push(gist),
                Err(error) => return Err(StepError::new(why(error, now.lock.take()).await)),
            }
            now.done += 1;
            if stage == Stage::Discard
                && let Some(lock) = now.lock.take()
            {
                release(lock).await.map_err(StepError::new)?;
            }
        }
        let output = json!(now.gists[at]);
        if at + 1 < now.stages.len() {
            return Ok(output);
        }
        let report = &now.drilling.report;
        match report.category() {
            None => Ok(json!({"rtoMs": report.rto_ms, "proven": report.proven, "evidence": report.evidence})),
            Some(category) => {
                let (point, failures) = (report.point, report.failures().len());
                Err(StepError::new(Verdict { point, category, failures }))
            }
        }
    }

    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    /// The first step made the sandbox, so its undoing removes it, whoever made it; one that a person keeps stays.
    async fn undo(&self, _: Option<&Value>, cx: &Context) -> Result<(), StepError> {
        if self.name != "provision" {
            return Ok(());
        }
        let mut under_way = self.work.under_way.lock().await;
        match under_way.as_mut() {
            Some(now) => {
                now.drilling.discard_now().await.map_err(StepError::new)?;
                if let Some(lock) = now.lock.take() {
                    release(lock).await.map_err(StepError::new)?;
                }
            }
            // Whoever takes a lock removes those of processes that are gone.
            None => {
                let lock = self.work.home.repository.lock(LockKind::Shared, self.work.how.wait, cx).await;
                release(lock.map_err(StepError::new)?).await.map_err(StepError::new)?;
            }
        }
        let run = self.work.run.as_str();
        let kept = kept(&self.told.folder).await.map_err(StepError::new)?;
        if kept.iter().any(|(_, owner)| owner.run == run) {
            return Ok(());
        }
        match remove(&self.told.folder, run).await {
            Ok(_) | Err(DrillError::NoSuchSandbox { .. }) => Ok(()),
            Err(error) => Err(StepError::new(error)),
        }
    }
}

/// A lock that was lost has stopped the work, whatever the work says.
async fn why(error: DrillError, lock: Option<Lock>) -> DrillError {
    match (error.category(), lock) {
        (Category::Interrupted, Some(lock)) => release(lock).await.err().unwrap_or(error),
        (_, Some(lock)) => {
            release(lock).await.ok(); // the first error is the cause
            error
        }
        (_, None) => error,
    }
}

/// A drill's verdict where it is not that all is well, for the journal; the report says what exactly.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence())]
struct Verdict {
    point: PointId,
    category: Category,
    failures: usize,
}

impl Verdict {
    fn sentence(&self) -> String {
        let point = self.point;
        match self.category {
            Category::ObjectiveMissed => {
                format!("recovery point {point} is verified, but later than the objectives allow")
            }
            Category::Unavailable => format!("recovery point {point} is verified, but its evidence could not be left"),
            _ => format!("recovery point {point} is not verified: {} things are not as they must be", self.failures),
        }
    }
}

impl Failure for Verdict {
    fn category(&self) -> Category {
        self.category
    }

    fn hint(&self) -> Option<String> {
        let hint = match self.category {
            Category::ObjectiveMissed => "`drydock status -f FILE` shows which",
            Category::Unavailable => "drill again when the cause is gone, for the evidence",
            _ => {
                "`drydock evidence -f FILE show RUN` says which; `drydock check -f FILE --read-data` tells damage from a restore that goes wrong"
            }
        };
        Some(hint.into())
    }
}
