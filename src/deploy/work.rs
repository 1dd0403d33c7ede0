//! What the steps of a deploy do. Each can be done again: objects are applied, not created, and what is healthy is so again.
//! Nothing is undone: half a release that was stopped is what the next deploy, or a rollback, begins with.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::error::DeployError;
use super::plan::{Stage, Told};
use super::release::{Release, ReleasePhase};
use crate::cluster::{Cluster, ClusterError, ReleaseHead, Story};
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::run::{PlannedStep, Probe, RunId, Step, StepError, Steps};
use crate::stack::Stack;

/// Requests under way at a time: hides the API server's latency, far below what it lets one client have.
pub(super) const TOGETHER: usize = 16;
/// Between two looks at what is not healthy yet.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// An API server that restarts is back by then; and a definition is established.
pub(super) const AWAY: Duration = Duration::from_secs(60);

/// An API server that has just come back refuses what is allowed until it has read the roles.
const SETTLED: Duration = Duration::from_secs(15);

/// Tells an API server that is away, or has just come back, from one that says no.
#[derive(Default)]
pub(super) struct Outage(Cell<Option<Instant>>);

impl Outage {
    /// Whether what was refused is to be asked again.
    pub(super) fn may_pass(&self, error: &ClusterError) -> bool {
        if error.category() == Category::Unavailable {
            self.0.set(Some(Instant::now()));
            return true;
        }
        let just_back = self.0.get().is_some_and(|seen| seen.elapsed() < SETTLED);
        just_back && matches!(error, ClusterError::Forbidden { .. })
    }
}

/// What this process learned.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployed {
    pub digest: String,
    pub namespace: String,
    pub phases: Vec<PhaseDone>,
    pub migrations: Vec<MigrationDone>,
    /// Objects that left the release and were removed.
    pub pruned: Vec<String>,
    /// Objects that left the release and are still there, each with the reason.
    pub left: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseHead>,
    /// What is not healthy.
    pub troubles: Vec<Trouble>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseDone {
    pub name: String,
    pub created: usize,
    pub changed: usize,
    pub unchanged: usize,
    /// From its first object applied to all of it healthy; none where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// A component's migration.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationDone {
    pub component: String,
    pub version: String,
    /// What was run, in order: `bootstrap`; nothing where nothing was to do.
    pub did: Vec<String>,
    pub took_ms: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    pub object: String,
    pub why: String,
    #[serde(flatten)]
    pub story: Story,
}

/// The ways to the cluster, and the release.
pub(super) struct Ready {
    /// With this program's own rights.
    pub(super) own: Cluster,
    /// With the stack's service account's, where it names one.
    pub(super) acting: Cluster,
    pub(super) release: Release,
}

pub struct Work<'a> {
    pub(super) stack: &'a Stack,
    pub(super) run: &'a RunId,
    ready: OnceCell<Ready>,
    learned: Mutex<Deployed>,
    /// When the phase that is under way was begun.
    pub(super) begun: Mutex<Option<Instant>>,
}

impl<'a> Work<'a> {
    #[must_use]
    pub fn new(stack: &'a Stack, run: &'a RunId) -> Self {
        Self { stack, run, ready: OnceCell::new(), learned: Mutex::default(), begun: Mutex::default() }
    }

    #[must_use]
    pub fn learned(self) -> Deployed {
        self.learned.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn learn(&self, what: impl FnOnce(&mut Deployed)) {
        what(&mut self.learned.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn ready(&self, told: &Told) -> Result<&Ready, DeployError> {
        self.ready
            .get_or_try_init(|| async {
                let own = Cluster::connect(None, told.context.as_deref()).await?;
                let acting = acting(&own, self.stack, &told.namespace)?;
                let stored = own.releases(&told.namespace, self.stack.name.as_str()).read(&told.digest).await?;
                let mut release = Release::from_bytes(&stored)?;
                super::others::leave_to_them(&mut release);
                self.learn(|learned| {
                    (learned.digest, learned.namespace) = (told.digest.clone(), told.namespace.clone())
                });
                Ok(Ready { own, acting, release })
            })
            .await
    }
}

/// The cluster as the stack's own service account sees it.
///
/// # Errors
/// When the connection cannot be made.
pub fn acting(own: &Cluster, stack: &Stack, namespace: &str) -> Result<Cluster, DeployError> {
    Ok(match &stack.spec.service_account_name {
        Some(account) => own.acting_as(namespace, account.as_str())?,
        None => own.clone(),
    })
}

impl Steps for Work<'_> {
    fn step(&self, planned: &PlannedStep) -> Result<Box<dyn Step + '_>, StepError> {
        let told = serde_json::from_value(planned.parameters.clone()).map_err(|error| {
            StepError::new(DeployError::Parameters { step: planned.name.clone(), why: error.to_string() })
        })?;
        let unknown = || StepError::new(DeployError::UnknownStep { step: planned.name.clone() });
        Stage::of(&planned.name).ok_or_else(unknown)?;
        Ok(Box::new(One { work: self, name: planned.name.clone(), told }))
    }
}

struct One<'a> {
    work: &'a Work<'a>,
    name: String,
    told: Told,
}

#[async_trait(?Send)]
impl Step for One<'_> {
    async fn probe(&self, _: &Context) -> Result<Probe, StepError> {
        Ok(Probe::Absent)
    }

    async fn apply(&self, cx: &Context) -> Result<Value, StepError> {
        let ready = self.work.ready(&self.told).await.map_err(StepError::new)?;
        let unknown = || DeployError::UnknownStep { step: self.name.clone() };
        let done = match Stage::of(&self.name) {
            Some(Stage::Apply(phase)) => self.work.apply(ready, &self.told, phase, cx).await,
            Some(Stage::Migrate(phase)) => self.work.migrate(ready, &self.told, phase, cx).await,
            Some(Stage::Roll(phase)) => self.work.roll(ready, &self.told, phase, cx).await,
            Some(Stage::Healthy(phase)) => self.work.healthy(ready, &self.told, phase, cx).await,
            Some(Stage::Finish(phase)) => self.work.finish(ready, &self.told, phase, cx).await,
            Some(Stage::Prune) => self.work.prune(ready, &self.told, cx).await,
            Some(Stage::Record) => self.work.record(ready, &self.told, cx).await,
            None => Err(unknown()),
        };
        done.map_err(StepError::new)
    }

    async fn verify(&self, _: &Value, _: &Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn undo(&self, _: Option<&Value>, _: &Context) -> Result<(), StepError> {
        Ok(())
    }
}

pub(super) fn of<'r>(release: &'r Release, phase: &str) -> Result<&'r ReleasePhase, DeployError> {
    let found = release.phases.iter().find(|one| one.name == phase);
    found.ok_or_else(|| DeployError::NoPhase { phase: phase.to_owned() })
}

pub(super) fn stopped(cx: &Context) -> Result<(), DeployError> {
    if cx.cancel.is_cancelled() { Err(DeployError::Interrupted) } else { Ok(()) }
}

pub(super) async fn pause(time: Duration, cx: &Context) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = cx.cancel.cancelled() => {}
    }
}
