//! Strapi: one pod of the new version alone, which migrates while it starts.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Migrator;
use crate::cluster::{Manifest, MigrationState};
use crate::deploy::error::DeployError;
use crate::deploy::migrating::selector;
use crate::deploy::work::pause;
use crate::migration::Version;
use crate::migration::jobs;
use crate::migration::strapi::{Database, Facts, Next, Pod, Schema, Why, alone, decide};

/// Between two looks at pods that end.
const LOOK: Duration = Duration::from_millis(500);

impl Migrator<'_> {
    pub(super) async fn strapi(&self) -> Result<MigrationState, DeployError> {
        let begun = Instant::now();
        let before: Database = self.facts(&self.look().await?.answer)?;
        let (mut database, former) = (before.clone(), self.former());
        loop {
            let pods = self.pods().await?;
            let facts = Facts {
                database: &database,
                pods: &pods,
                version: &self.component.version,
                migrated_to: former.as_ref(),
                before: &before,
                expected: None,
            };
            match decide(&facts).map_err(|why| self.refused(why))? {
                Next::Stop(_) => {
                    self.begin(before.tables > 0).await?;
                    self.scale(|workload| {
                        let mut none = workload.clone();
                        none["spec"]["replicas"] = 0.into();
                        none
                    })
                    .await?;
                    while !self.pods().await?.is_empty() {
                        self.in_time(begun, "pods of the former version that do not end")?;
                        pause(LOOK, self.cx).await;
                    }
                }
                Next::StartOne(why) => {
                    self.begin(why != Why::Empty).await?;
                    self.did.borrow_mut().push("start".into());
                    self.scale(alone).await?;
                    let id = &self.manifest.id;
                    self.work.until_healthy(self.ready, self.told, vec![id], self.deadline(), self.cx).await?;
                    database = self.facts(&self.look().await?.answer)?;
                }
                Next::Wait { pod } => {
                    self.in_time(begun, &format!("the pod {pod}, which is not ready"))?;
                    pause(LOOK, self.cx).await;
                    database = self.facts(&self.look().await?.answer)?;
                }
                Next::Done(done) => {
                    if done.schema == Schema::Changed {
                        self.did.borrow_mut().push("schema".into());
                    }
                    if !done.ran_twice.is_empty() {
                        let twice = done.ran_twice.join(", ");
                        tracing::warn!(component = self.component.component, twice, "migrations are on record twice");
                    }
                    return Ok(MigrationState::Done);
                }
            }
        }
    }

    /// What came through counts; what was only begun counts where it was of another version.
    fn former(&self) -> Option<Version> {
        let record = self.record.as_ref()?;
        let own = self.component.version.to_string();
        let counts = record.state != MigrationState::Begun || record.version != own;
        record.version.parse().ok().filter(|_| counts)
    }

    async fn scale(&self, how: impl Fn(&Value) -> Value) -> Result<(), DeployError> {
        let manifest = Manifest { value: how(&self.manifest.value), ..self.manifest.clone() };
        self.work.apply_one(self.ready, self.told, &manifest, self.cx).await.map(drop)
    }

    fn in_time(&self, begun: Instant, who: &str) -> Result<(), DeployError> {
        if begun.elapsed() < self.deadline() {
            return Ok(());
        }
        Err(DeployError::Busy { component: self.component.component.clone(), who: who.to_owned() })
    }

    /// The component's pods, without those of Jobs.
    async fn pods(&self) -> Result<Vec<Pod>, DeployError> {
        let target = jobs::image(&self.manifest.value, &self.wanted("")).map_err(|error| self.derived(error))?;
        let found = self.ready.acting.pods_with(&selector(&self.manifest.value), self.namespace).await?;
        let own = found.iter().filter(|pod| pod["metadata"]["labels"][jobs::COMPONENT].is_null());
        let is_alive = |pod: &&Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let pod = |pod: &Value| Pod {
            name: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            is_ours: pod["metadata"]["deletionTimestamp"].is_null()
                && pod["spec"]["containers"].as_array().into_iter().flatten().any(|c| c["image"] == target.as_str()),
            is_ready: pod["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        };
        Ok(own.filter(is_alive).map(pod).collect())
    }
}
