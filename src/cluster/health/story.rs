//! What is to be told of an object that is not healthy.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use serde_json::Value;

use super::{Health, pod, pods};
use crate::cluster::client::Cluster;
use crate::cluster::manifest::ObjectId;

/// Lines of a container's log that are shown.
const LOG_LINES: i64 = 12;

/// What is to be shown of an object that is not healthy.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// The last warnings, the newest last.
    pub events: Vec<String>,
    /// `pod/container` and the last lines that it wrote.
    pub logs: Vec<(String, String)>,
}

impl Cluster {
    /// The object's last warnings, and what its unhappy pods wrote last; empty where that cannot be asked: it explains a
    /// failure and must not hide it.
    pub async fn story(&self, id: &ObjectId, namespace: &str) -> Story {
        let Ok(Some(object)) = self.get(id, namespace).await else { return Story::default() };
        let pods = self.pods_of(&object, id, namespace).await.unwrap_or_default();
        let mut story = Story { events: self.warnings(id, &pods, namespace).await, logs: Vec::new() };
        let own = id.namespace.as_deref().unwrap_or(namespace);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), own);
        let unhappy = pods::relevant(&object, &pods).into_iter().filter(|one| !matches!(pod(one), Health::Healthy));
        for unhappy in unhappy.take(2) {
            let name = unhappy["metadata"]["name"].as_str().unwrap_or_default();
            let lists = ["initContainers", "containers"].map(|list| &unhappy["spec"][list]);
            for container in lists.into_iter().filter_map(Value::as_array).flatten() {
                let container = container["name"].as_str().unwrap_or_default();
                for previous in [false, true] {
                    let parameters = LogParams {
                        container: Some(container.to_owned()),
                        tail_lines: Some(LOG_LINES),
                        previous,
                        ..LogParams::default()
                    };
                    let text = api.logs(name, &parameters).await.unwrap_or_default();
                    // The kubelet says so in place of a log that is gone, with a code of success.
                    if !text.trim().is_empty() && !text.starts_with("unable to retrieve container logs") {
                        story.logs.push((format!("{name}/{container}"), text));
                        break;
                    }
                }
            }
        }
        story
    }

    async fn warnings(&self, id: &ObjectId, pods: &[Value], namespace: &str) -> Vec<String> {
        let own = id.namespace.as_deref().unwrap_or(namespace);
        let api: Api<Event> = Api::namespaced(self.client.clone(), own);
        let Ok(all) = api.list(&ListParams::default().fields("type=Warning")).await else { return Vec::new() };
        let names: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        let concerns = |event: &Event| {
            event.involved_object.name.as_deref().is_some_and(|name| name == id.name || names.contains(&name))
        };
        let mut found: Vec<_> = all.into_iter().filter(concerns).collect();
        found.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
        let mut said: Vec<String> = found
            .iter()
            .map(|event| {
                format!(
                    "{} {}: {}",
                    event.involved_object.name.as_deref().unwrap_or_default(),
                    event.reason.as_deref().unwrap_or_default(),
                    event.message.as_deref().unwrap_or_default()
                )
            })
            .collect();
        said.dedup();
        said.split_off(said.len().saturating_sub(5))
    }
}
