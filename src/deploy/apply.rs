//! A phase's objects, brought to what the release says of them: first all but the workloads that wait for a migration, then
//! those.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

use super::error::DeployError;
use super::order::wave;
use super::plan::Told;
use super::work::{AWAY, Outage, PhaseDone, Ready, TOGETHER, Work, of, pause, stopped};
use crate::cluster::{Applying, Change, Manifest};
use crate::context::Context;

impl Work<'_> {
    pub(super) async fn apply(
        &self,
        ready: &Ready,
        told: &Told,
        phase: &str,
        cx: &Context,
    ) -> Result<Value, DeployError> {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let name = phase.to_owned();
        self.learn(|learned| {
            learned.phases.push(PhaseDone { name, created: 0, changed: 0, unchanged: 0, took_ms: None });
        });
        let phase = of(&ready.release, phase)?;
        let now = phase.manifests.iter().filter(|manifest| !told.holds(manifest));
        self.apply_all(ready, told, &phase.name, now.collect(), cx).await
    }

    /// Those that waited for the migrations.
    pub(super) async fn roll(
        &self,
        ready: &Ready,
        told: &Told,
        phase: &str,
        cx: &Context,
    ) -> Result<Value, DeployError> {
        let phase = of(&ready.release, phase)?;
        let held = phase.manifests.iter().filter(|manifest| told.holds(manifest));
        self.apply_all(ready, told, &phase.name, held.collect(), cx).await
    }

    async fn apply_all(
        &self,
        ready: &Ready,
        told: &Told,
        phase: &str,
        manifests: Vec<&Manifest>,
        cx: &Context,
    ) -> Result<Value, DeployError> {
        let task = cx.progress.task(format!("apply {phase}"), 0, manifests.len() as u64);
        let (mut created, mut changed, mut unchanged) = (0, 0, 0);
        // Those of one wave together; they are sorted by it.
        for together in manifests.chunk_by(|a, b| wave(&a.id) == wave(&b.id)) {
            let applied: Vec<Change> = stream::iter(together.iter().map(|manifest| async {
                let change = self.apply_one(ready, told, manifest, cx).await?;
                task.add_items(1);
                Ok::<_, DeployError>(change)
            }))
            .buffer_unordered(TOGETHER)
            .try_collect()
            .await?;
            for change in applied {
                match change {
                    Change::Created => created += 1,
                    Change::Changed => changed += 1,
                    Change::Unchanged => unchanged += 1,
                }
            }
            // Objects of the kinds that they define come in the next wave.
            let definitions = together.iter().filter(|manifest| manifest.id.kind == "CustomResourceDefinition");
            self.until_healthy(ready, told, definitions.map(|manifest| &manifest.id).collect(), AWAY, cx).await?;
        }
        task.finish();
        self.learn(|learned| {
            if let Some(done) = learned.phases.iter_mut().find(|done| done.name == phase) {
                done.created += created;
                done.changed += changed;
                done.unchanged += unchanged;
            }
        });
        Ok(json!({"created": created, "changed": changed, "unchanged": unchanged}))
    }

    /// An API server that goes away for a moment is waited for.
    pub(super) async fn apply_one(
        &self,
        ready: &Ready,
        told: &Told,
        manifest: &Manifest,
        cx: &Context,
    ) -> Result<Change, DeployError> {
        let begun = Instant::now();
        let outage = Outage::default();
        let how = Applying { namespace: &told.namespace, force: told.force, dry_run: false };
        loop {
            stopped(cx)?;
            match ready.acting.apply(manifest, how).await {
                Ok(applied) => return Ok(applied.change),
                Err(error) if begun.elapsed() < AWAY && outage.may_pass(&error) => {
                    tracing::warn!(object = %manifest.id, %error, "the API server is asked again");
                    pause(Duration::from_secs(1), cx).await;
                }
                Err(error) => {
                    return Err(DeployError::Object { origin: manifest.origin.clone(), source: Box::new(error) });
                }
            }
        }
    }
}
