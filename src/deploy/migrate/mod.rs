//! A phase's migrations: one component after the other is looked at, brought further by Jobs as long as its adapter says so,
//! and looked at again. What a Job's exit code says decides nothing.

mod chatwoot;
mod jobs;
mod kong;
mod strapi;

use std::cell::RefCell;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::error::DeployError;
use super::migrating::{Migrating, wanted, workload};
use super::plan::Told;
use super::work::{MigrationDone, Ready, Work, of};
use crate::cluster::{Manifest, Migrated, MigrationState};
use crate::context::Context;
use crate::failure::Failure;
use crate::migration::gate::Answer;
use crate::migration::kong::Goal;
use crate::migration::{DeriveError, Wanted};
use crate::stack::Migration;

/// drydock's own image, where nobody says another: what the Dockerfile builds, under the version of this program.
const OWN_IMAGE: &str = concat!("drydock:", env!("CARGO_PKG_VERSION"));

impl Work<'_> {
    pub(super) async fn migrate(
        &self,
        ready: &Ready,
        told: &Told,
        phase: &str,
        cx: &Context,
    ) -> Result<Value, DeployError> {
        for component in &told.migrating {
            let begun = Instant::now();
            let migrator = Migrator::new(self, ready, told, phase, component, cx).await?;
            let state = match component.adapter {
                Migration::Kong => migrator.kong(Goal::Expanded).await?,
                Migration::Chatwoot => migrator.chatwoot().await?,
                Migration::Strapi => migrator.strapi().await?,
                Migration::Job => return Err(DeployError::NoAdapter { component: component.component.clone() }),
            };
            migrator.remember(state).await?;
            self.learn(|learned| {
                learned.migrations.push(MigrationDone {
                    component: component.component.clone(),
                    version: component.version.to_string(),
                    did: migrator.did.into_inner(),
                    took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
            });
        }
        Ok(json!({"components": told.migrating.len()}))
    }

    /// What only an end of the former version allows.
    pub(super) async fn finish(
        &self,
        ready: &Ready,
        told: &Told,
        phase: &str,
        cx: &Context,
    ) -> Result<Value, DeployError> {
        for component in told.migrating.iter().filter(|component| component.has_two_phases()) {
            let migrator = Migrator::new(self, ready, told, phase, component, cx).await?;
            if migrator.record.as_ref().is_some_and(|record| record.state == MigrationState::Done) {
                continue;
            }
            let begun = Instant::now();
            let state = migrator.kong(Goal::Finished).await?;
            migrator.remember(state).await?;
            let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.learn(|learned| {
                if let Some(done) = learned.migrations.iter_mut().find(|done| done.component == component.component) {
                    done.did.extend(migrator.did.into_inner());
                    done.took_ms += took;
                }
            });
        }
        Ok(json!({}))
    }
}

/// One component on its way.
struct Migrator<'a> {
    work: &'a Work<'a>,
    ready: &'a Ready,
    told: &'a Told,
    component: &'a Migrating,
    manifest: &'a Manifest,
    namespace: &'a str,
    /// What is on record, when this step began.
    record: Option<Migrated>,
    did: RefCell<Vec<String>>,
    cx: &'a Context,
}

impl<'a> Migrator<'a> {
    async fn new(
        work: &'a Work<'a>,
        ready: &'a Ready,
        told: &'a Told,
        phase: &str,
        component: &'a Migrating,
        cx: &'a Context,
    ) -> Result<Self, DeployError> {
        let manifest = workload(of(&ready.release, phase)?, &component.workload);
        let manifest = manifest.ok_or_else(|| DeployError::NoWorkload {
            component: component.component.clone(),
            workload: component.workload.clone(),
            phase: phase.to_owned(),
        })?;
        let mut records = ready.own.migrated(&told.namespace, work.stack.name.as_str()).await?;
        let record = records.remove(&component.component);
        let namespace = manifest.id.namespace.as_deref().unwrap_or(&told.namespace);
        Ok(Self { work, ready, told, component, manifest, namespace, record, did: RefCell::default(), cx })
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(self.told.migrate_seconds)
    }

    fn wanted<'s>(&'s self, step: &'s str) -> Wanted<'s> {
        wanted(self.component.container.as_deref(), self.work.run.as_str(), step, self.deadline())
    }

    fn image(&self) -> &str {
        self.told.image.as_deref().unwrap_or(OWN_IMAGE)
    }

    fn derived(&self, source: DeriveError) -> DeployError {
        DeployError::Derive { component: self.component.component.clone(), source }
    }

    /// What an adapter does not allow.
    fn refused(&self, why: impl Failure + Send + Sync + 'static) -> DeployError {
        DeployError::Refused { component: self.component.component.clone(), why: Box::new(why) }
    }

    /// The version that a former deploy brought the database to. One that was only begun may have changed nothing.
    fn migrated_to(&self) -> Option<String> {
        let reached = self.record.as_ref().filter(|record| record.state != MigrationState::Begun);
        reached.map(|record| record.version.clone())
    }

    /// Before anything is changed: whether it may be, and a note for whoever comes next. `in_use` is a database that holds
    /// something.
    async fn begin(&self, in_use: bool) -> Result<(), DeployError> {
        let of = self.component;
        let goes_on =
            |record: &Migrated| record.state != MigrationState::Done && record.version == of.version.to_string();
        if in_use && !self.told.migrate && !self.record.as_ref().is_some_and(goes_on) {
            return Err(DeployError::InUse { component: of.component.clone(), version: of.version.to_string() });
        }
        let is_expanded = |record: &Migrated| record.state == MigrationState::Expanded && goes_on(record);
        if self.record.as_ref().is_some_and(is_expanded) {
            return Ok(()); // which says more
        }
        self.remember(MigrationState::Begun).await
    }

    async fn remember(&self, state: MigrationState) -> Result<(), DeployError> {
        let of = self.component;
        let record = Migrated::new(&of.version.to_string(), &of.by, state, self.work.run.as_str(), self.cx.clock.now());
        let (namespace, stack) = (&self.told.namespace, self.work.stack.name.as_str());
        Ok(self.ready.own.remember_migration(namespace, stack, &of.component, &record).await?)
    }

    /// What the database holds, by the answer of the gate.
    fn facts<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, DeployError> {
        let gate = |reason: String, hint: Option<String>| DeployError::Gate {
            component: self.component.component.clone(),
            reason,
            hint,
            may_pass: false,
        };
        let facts = answer.facts.clone().ok_or_else(|| gate("the gate tells no facts".into(), None))?;
        serde_json::from_value(facts).map_err(|error| {
            let hint = format!("the image {} is of another version of drydock than this program", self.image());
            gate(format!("what the gate tells cannot be understood: {error}"), Some(hint))
        })
    }
}
