//! What comes last: what left the release is removed, and the release is the stack's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::error::DeployError;
use super::order::{bears_data, wave};
use super::plan::Told;
use super::release::Release;
use super::work::{AWAY, LOOK, Ready, Work, pause, stopped};
use crate::cluster::{ClusterError, FIELD_MANAGER, ObjectId};
use crate::context::Context;

/// Releases that are kept beside the one that is live.
const KEPT: usize = 10;

impl Work<'_> {
    /// What left the release, in reverse order: whatever one of the kept releases has, those included that failed half way.
    pub(super) async fn prune(&self, ready: &Ready, told: &Told, cx: &Context) -> Result<Value, DeployError> {
        let namespace = &told.namespace;
        let releases = ready.own.releases(namespace, self.stack.name.as_str());
        let stays: BTreeSet<_> = ready.release.manifests().map(|m| m.id.identity(namespace)).collect();
        let mut gone: BTreeMap<_, ObjectId> = BTreeMap::new();
        let recorded = releases.list().await?;
        for digest in releases.kept().await?.into_iter().filter(|digest| !told.digest.starts_with(digest)) {
            let stored = match releases.read(&digest).await {
                Ok(stored) => stored,
                Err(error @ ClusterError::Damaged { .. }) => {
                    // A deploy may have died while it stored this one, before it applied anything.
                    if let Some(head) = recorded.iter().find(|head| head.digest.starts_with(&digest)) {
                        let number = head.number;
                        self.learn(|learned| {
                            learned
                                .left
                                .push(format!("whatever only release {number} had, which cannot be read: {error}"));
                        });
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for manifest in Release::from_bytes(&stored)?.manifests() {
                let identity = manifest.id.identity(namespace);
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
            if bears_data(id) && !told.prune_data {
                left("it may hold data; `--prune-data` removes it");
                continue;
            }
            // An object that says nothing but its name has no fields that anybody could manage.
            let managers = live["metadata"]["managedFields"].as_array().map_or(&[][..], Vec::as_slice);
            if !managers.is_empty() && !managers.iter().any(|one| one["manager"] == FIELD_MANAGER) {
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

    pub(super) async fn record(&self, ready: &Ready, told: &Told, cx: &Context) -> Result<Value, DeployError> {
        let releases = ready.own.releases(&told.namespace, self.stack.name.as_str());
        let objects = ready.release.manifests().count();
        let head = releases.record(&told.digest, objects, self.run.as_str(), cx.clock.now()).await?;
        releases.thin_out(KEPT, &told.digest).await?;
        let output = json!({"release": head.number});
        self.learn(|learned| learned.release = Some(head));
        Ok(output)
    }
}
