//! Waits until a phase is really healthy, or says what is not, with its story.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::error::DeployError;
use super::plan::Told;
use super::work::{LOOK, Outage, Ready, TOGETHER, Trouble, Work, of, pause, stopped};
use crate::cluster::{Health, ObjectId, Story, may_be_unhealthy};
use crate::context::Context;

/// An image that cannot be pulled may be a registry's hiccup; what is stuck for so long is told instead of waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

impl Work<'_> {
    pub(super) async fn healthy(
        &self,
        ready: &Ready,
        told: &Told,
        phase: &str,
        cx: &Context,
    ) -> Result<Value, DeployError> {
        let phase = of(&ready.release, phase)?;
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Instant::now);
        let wait = Duration::from_secs(told.wait_seconds);
        let ids = phase.manifests.iter().map(|manifest| &manifest.id).filter(|id| may_be_unhealthy(id)).collect();
        let task = cx.progress.task(format!("wait for {}", phase.name), 0, phase.manifests.len() as u64);
        self.until_healthy(ready, told, ids, wait, cx).await?;
        task.finish();
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.learn(|learned| {
            if let Some(done) = learned.phases.iter_mut().find(|done| done.name == phase.name) {
                done.took_ms = Some(took_ms);
            }
        });
        Ok(json!({"objects": phase.manifests.len()}))
    }

    pub(super) async fn until_healthy(
        &self,
        ready: &Ready,
        told: &Told,
        mut ids: Vec<&ObjectId>,
        wait: Duration,
        cx: &Context,
    ) -> Result<(), DeployError> {
        let begun = Instant::now();
        let mut stuck: Option<(ObjectId, Instant)> = None;
        let outage = Outage::default();
        loop {
            stopped(cx)?;
            let outage = &outage;
            let looked: Vec<(&ObjectId, Health)> = stream::iter(ids.iter().map(|id| async move {
                let health = match ready.acting.health(id, &told.namespace).await {
                    Ok(health) => health,
                    Err(error) if outage.may_pass(&error) => Health::Waiting { why: error.to_string() },
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
                return Err(self.unhealthy(ready, told, id, health, begun.elapsed()).await);
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
                return Err(self.unhealthy(ready, told, id, health, begun.elapsed()).await);
            }
            ids = open.into_iter().map(|(id, _)| id).collect();
            pause(LOOK, cx).await;
        }
    }

    pub(super) async fn unhealthy(
        &self,
        ready: &Ready,
        told: &Told,
        id: &ObjectId,
        health: &Health,
        waited: Duration,
    ) -> DeployError {
        let why = match health {
            Health::Waiting { why } | Health::Stuck { why } | Health::Failed { why } => why.clone(),
            Health::Healthy => String::new(),
        };
        let story = ready.acting.story(id, &told.namespace).await;
        self.tell_trouble(id, &why, story);
        let namespace = id.namespace.clone().unwrap_or_else(|| told.namespace.clone());
        DeployError::Unhealthy { id: Box::new(id.clone()), namespace, why, waited }
    }

    pub(super) fn tell_trouble(&self, id: &ObjectId, why: &str, story: Story) {
        let why = why.to_owned();
        self.learn(|learned| learned.troubles.push(Trouble { object: id.to_string(), why, story }));
    }
}
