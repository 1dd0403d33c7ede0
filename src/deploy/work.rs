//! What the steps of a deploy do. Each can be done again: objects are applied, not created, and what is healthy is so again.
//! Nothing is undone: half a release that was stopped is what the next deploy, or a rollback, begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::error::DeployError;
use super::order::{bears_data, wave};
use super::plan::{Stage, Told};
use super::release::{Release, ReleasePhase};
use crate::cluster::{
    Applying, Change, Cluster, ClusterError, FIELD_MANAGER, Health, Manifest, ObjectId, ReleaseHead, Story,
};
use crate::context::Context;
use crate::failure::{Category, Failure};
use crate::run::{PlannedStep, Probe, RunId, Step, StepError, Steps};
use crate::stack::Stack;

/// Requests under way at a time: hides the API server's latency, far below what it lets one client have.
const TOGETHER: usize = 16;
/// Between two looks at what is not healthy yet.
const LOOK: Duration = Duration::from_millis(500);
/// An image that cannot be pulled may be a registry's hiccup; what is stuck for so long is told instead of waited for.
const PATIENCE: Duration = Duration::from_secs(45);
/// An API server that restarts is back by then; and a definition is established.
const AWAY: Duration = Duration::from_secs(60);
/// Releases that are kept beside the one that is live.
const KEPT: usize = 10;

/// What this process learned.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployed {
    pub digest: String,
    pub namespace: String,
    pub phases: Vec<PhaseDone>,
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
    /// From its first object applied to all of it healthy.
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
struct Ready {
    told: Told,
    /// With this program's own rights.
    own: Cluster,
    /// With the stack's service account's, where it names one.
    acting: Cluster,
    release: Release,
}

pub struct Work<'a> {
    stack: &'a Stack,
    run: &'a RunId,
    ready: OnceCell<Ready>,
    learned: Mutex<Deployed>,
    begun: Mutex<Option<Instant>>,
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

    fn learn(&self, what: impl FnOnce(&mut Deployed)) {
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
                Ok(Ready { told: told.clone(), own, acting, release })
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
            Some(Stage::Apply(phase)) => self.work.apply(ready, phase, cx).await,
            Some(Stage::Healthy(phase)) => self.work.healthy(ready, phase, cx).await,
            Some(Stage::Prune) => self.work.prune(ready, cx).await,
            Some(Stage::Record) => self.work.record(ready, cx).await,
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

impl Work<'_> {
    async fn apply(&self, ready: &Ready, phase: &str, cx: &Context) -> Result<Value, DeployError> {
        let phase = of(&ready.release, phase)?;
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let task = cx.progress.task(format!("apply {}", phase.name), 0, phase.manifests.len() as u64);
        let mut done = PhaseDone { name: phase.name.clone(), created: 0, changed: 0, unchanged: 0, took_ms: 0 };
        for wave_of in waves(phase) {
            let applied: Vec<Change> = stream::iter(wave_of.iter().map(|manifest| async {
                let change = self.apply_one(ready, manifest, cx).await?;
                task.add_items(1);
                Ok::<_, DeployError>(change)
            }))
            .buffer_unordered(TOGETHER)
            .try_collect()
            .await?;
            for change in applied {
                match change {
                    Change::Created => done.created += 1,
                    Change::Changed => done.changed += 1,
                    Change::Unchanged => done.unchanged += 1,
                }
            }
            // Objects of the kinds that they define come in the next wave.
            let definitions = wave_of.iter().filter(|manifest| manifest.id.kind == "CustomResourceDefinition");
            self.until_healthy(ready, definitions.map(|manifest| &manifest.id).collect(), AWAY, cx).await?;
        }
        task.finish();
        let output = json!({"created": done.created, "changed": done.changed, "unchanged": done.unchanged});
        self.learn(|learned| learned.phases.push(done));
        Ok(output)
    }

    /// An API server that goes away for a moment is waited for.
    async fn apply_one(&self, ready: &Ready, manifest: &Manifest, cx: &Context) -> Result<Change, DeployError> {
        let begun = Instant::now();
        let how = Applying { namespace: &ready.told.namespace, force: ready.told.force, dry_run: false };
        loop {
            stopped(cx)?;
            match ready.acting.apply(manifest, how).await {
                Ok(applied) => return Ok(applied.change),
                Err(error) if error.category() == Category::Unavailable && begun.elapsed() < AWAY => {
                    tracing::warn!(object = %manifest.id, %error, "the API server is asked again");
                    pause(Duration::from_secs(1), cx).await;
                }
                Err(error) => {
                    return Err(DeployError::Object { origin: manifest.origin.clone(), source: Box::new(error) });
                }
            }
        }
    }

    async fn healthy(&self, ready: &Ready, phase: &str, cx: &Context) -> Result<Value, DeployError> {
        let phase = of(&ready.release, phase)?;
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Instant::now);
        let wait = Duration::from_secs(ready.told.wait_seconds);
        let ids = phase.manifests.iter().map(|manifest| &manifest.id).collect();
        let task = cx.progress.task(format!("wait for {}", phase.name), 0, phase.manifests.len() as u64);
        self.until_healthy(ready, ids, wait, cx).await?;
        task.finish();
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.learn(|learned| {
            if let Some(done) = learned.phases.iter_mut().find(|done| done.name == phase.name) {
                done.took_ms = took_ms;
            }
        });
        Ok(json!({"objects": phase.manifests.len()}))
    }

    async fn until_healthy(
        &self,
        ready: &Ready,
        mut ids: Vec<&ObjectId>,
        wait: Duration,
        cx: &Context,
    ) -> Result<(), DeployError> {
        let begun = Instant::now();
        let mut stuck: Option<(ObjectId, Instant)> = None;
        loop {
            stopped(cx)?;
            let looked: Vec<(&ObjectId, Health)> = stream::iter(ids.iter().map(|id| async {
                let health = match ready.acting.health(id, &ready.told.namespace).await {
                    Ok(health) => health,
                    Err(error) if error.category() == Category::Unavailable => {
                        Health::Waiting { why: error.to_string() }
                    }
                    Err(error) => return Err(error),
                };
                Ok((*id, health))
            }))
            .buffer_unordered(TOGETHER)
            .try_collect()
            .await?;
            let mut open: Vec<(&ObjectId, Health)> =
                looked.into_iter().filter(|(_, health)| *health != Health::Healthy).collect();
            open.sort_by(|a, b| a.0.cmp(b.0));
            if open.is_empty() {
                return Ok(());
            }
            let worst = open.iter().find(|(_, health)| matches!(health, Health::Failed { .. }));
            if let Some((id, health)) = worst {
                return Err(self.unhealthy(ready, id, health, begun.elapsed()).await);
            }
            let now_stuck = open.iter().find(|(_, health)| matches!(health, Health::Stuck { .. }));
            stuck = match (now_stuck, stuck.take()) {
                (Some((id, _)), Some((former, since))) if **id == former => Some((former, since)),
                (Some((id, _)), _) => Some(((*id).clone(), Instant::now())),
                (None, _) => None,
            };
            let for_too_long = stuck.as_ref().is_some_and(|(_, since)| since.elapsed() >= PATIENCE);
            if for_too_long || begun.elapsed() >= wait {
                let (id, health) = now_stuck.unwrap_or(&open[0]);
                return Err(self.unhealthy(ready, id, health, begun.elapsed()).await);
            }
            ids = open.into_iter().map(|(id, _)| id).collect();
            pause(LOOK, cx).await;
        }
    }

    async fn unhealthy(&self, ready: &Ready, id: &ObjectId, health: &Health, waited: Duration) -> DeployError {
        let why = match health {
            Health::Waiting { why } | Health::Stuck { why } | Health::Failed { why } => why.clone(),
            Health::Healthy => String::new(),
        };
        let story = ready.acting.story(id, &ready.told.namespace).await;
        self.learn(|learned| learned.troubles.push(Trouble { object: id.to_string(), why: why.clone(), story }));
        let namespace = id.namespace.clone().unwrap_or_else(|| ready.told.namespace.clone());
        DeployError::Unhealthy { id: Box::new(id.clone()), namespace, why, waited }
    }

    /// What left the release, in reverse order: whatever one of the kept releases has, those included that failed half way.
    async fn prune(&self, ready: &Ready, cx: &Context) -> Result<Value, DeployError> {
        let namespace = &ready.told.namespace;
        let releases = ready.own.releases(namespace, self.stack.name.as_str());
        let stays: BTreeSet<_> = ready.release.manifests().map(|m| identity(&m.id, namespace)).collect();
        let mut gone: BTreeMap<_, ObjectId> = BTreeMap::new();
        for digest in releases.kept().await?.into_iter().filter(|digest| !ready.told.digest.starts_with(digest)) {
            let stored = match releases.read(&digest).await {
                Ok(stored) => stored,
                // A deploy died while it stored this one, before it applied anything.
                Err(ClusterError::Damaged { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            for manifest in Release::from_bytes(&stored)?.manifests() {
                let identity = identity(&manifest.id, namespace);
                if !stays.contains(&identity) {
                    gone.insert(identity, manifest.id.clone());
                }
            }
        }
        let mut gone: Vec<&ObjectId> = gone.values().collect();
        gone.sort_by_key(|id| std::cmp::Reverse(wave(id)));
        let mut removed = 0;
        for id in gone {
            stopped(cx)?;
            let left = |why: &str| self.learn(|learned| learned.left.push(format!("{id}: {why}")));
            let live = match ready.acting.get(id, namespace).await {
                Ok(Some(live)) => live,
                Ok(None) | Err(ClusterError::UnknownKind { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if bears_data(id) && !ready.told.prune_data {
                left("it may hold data; `--prune-data` removes it");
                continue;
            }
            let managers = live["metadata"]["managedFields"].as_array();
            if !managers.into_iter().flatten().any(|one| one["manager"] == FIELD_MANAGER) {
                left("it is not managed by drydock any more");
                continue;
            }
            ready.acting.delete(id, namespace).await?;
            let begun = Instant::now();
            while ready.acting.get(id, namespace).await?.is_some() {
                if begun.elapsed() > AWAY {
                    return Err(DeployError::StillThere { id: Box::new(id.clone()) });
                }
                stopped(cx)?;
                pause(LOOK, cx).await;
            }
            removed += 1;
            self.learn(|learned| learned.pruned.push(id.to_string()));
        }
        Ok(json!({"removed": removed}))
    }

    async fn record(&self, ready: &Ready, cx: &Context) -> Result<Value, DeployError> {
        let releases = ready.own.releases(&ready.told.namespace, self.stack.name.as_str());
        let objects = ready.release.manifests().count();
        let head = releases.record(&ready.told.digest, objects, self.run.as_str(), cx.clock.now()).await?;
        releases.thin_out(KEPT, &ready.told.digest).await?;
        let output = json!({"release": head.number});
        self.learn(|learned| learned.release = Some(head));
        Ok(output)
    }
}

fn of<'r>(release: &'r Release, phase: &str) -> Result<&'r ReleasePhase, DeployError> {
    let found = release.phases.iter().find(|one| one.name == phase);
    found.ok_or_else(|| DeployError::NoPhase { phase: phase.to_owned() })
}

/// The phase's objects, those of one wave together; they are sorted by it.
fn waves(phase: &ReleasePhase) -> impl Iterator<Item = &[Manifest]> {
    phase.manifests.chunk_by(|a, b| wave(&a.id) == wave(&b.id))
}

/// The same object whatever version its kind is asked for in.
fn identity(id: &ObjectId, namespace: &str) -> (String, String, String, String) {
    let group = id.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let namespace = id.namespace.as_deref().unwrap_or(namespace);
    (group.to_owned(), id.kind.clone(), namespace.to_owned(), id.name.clone())
}

fn stopped(cx: &Context) -> Result<(), DeployError> {
    if cx.cancel.is_cancelled() { Err(DeployError::Interrupted) } else { Ok(()) }
}

async fn pause(time: Duration, cx: &Context) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = cx.cancel.cancelled() => {}
    }
}
