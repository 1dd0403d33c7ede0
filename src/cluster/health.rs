//! When an object is really there: what its controller says of it, and why not where its pods know better. The judgement is
//! pure; the gathering asks no more than it needs.

use kube::api::{Api, DynamicObject, ListParams, LogParams};
use serde_json::Value;

use super::client::Cluster;
use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;

/// An object with this annotation, `ignore`, is not waited for.
const ANNOTATION: &str = "drydock.dev/health";
/// Lines of a container's log that are shown.
const LOG_LINES: i64 = 12;

/// How an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Waiting {
        why: String,
    },
    /// It will not become healthy by itself soon.
    Stuck {
        why: String,
    },
    Failed {
        why: String,
    },
}

fn waiting(why: impl Into<String>) -> Health {
    Health::Waiting { why: why.into() }
}

/// What the object itself says.
///
/// Source of the rules: `kubectl rollout status` and the conditions that Kubernetes' API reference gives for each kind.
#[must_use]
pub fn judge(object: &Value) -> Health {
    if object["metadata"]["annotations"][ANNOTATION] == "ignore" {
        return Health::Healthy;
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    let controlled = matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
    if controlled && object["status"]["observedGeneration"].as_u64() < object["metadata"]["generation"].as_u64() {
        return waiting("its controller has not seen it yet");
    }
    match kind {
        "Deployment" => deployment(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        "Job" => job(object),
        "Pod" => pod(object),
        "PersistentVolumeClaim" => phase(object, "Bound"),
        "Namespace" => phase(object, "Active"),
        "CustomResourceDefinition" if condition(object, "Established").is_none_or(|c| c["status"] != "True") => {
            waiting("it is not established yet")
        }
        "HorizontalPodAutoscaler" => autoscaler(object),
        "Ingress" if none(&object["status"]["loadBalancer"]["ingress"]) => {
            waiting("no ingress controller has admitted it yet")
        }
        "Service" if object["spec"]["type"] == "LoadBalancer" && none(&object["status"]["loadBalancer"]["ingress"]) => {
            waiting("it has no address yet")
        }
        _ => Health::Healthy,
    }
}

fn none(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn phase(object: &Value, wanted: &str) -> Health {
    match object["status"]["phase"].as_str() {
        Some(phase) if phase == wanted => Health::Healthy,
        Some("Lost") => Health::Failed { why: "its volume is lost".into() },
        found => waiting(format!("it is {}, not {wanted} yet", found.unwrap_or("new"))),
    }
}

fn deployment(object: &Value) -> Health {
    let (spec, status) = (&object["spec"], &object["status"]);
    if let Some(progressing) = condition(object, "Progressing")
        && progressing["reason"] == "ProgressDeadlineExceeded"
    {
        return Health::Failed { why: progressing["message"].as_str().unwrap_or("no progress").to_owned() };
    }
    if spec["paused"] == true {
        return Health::Failed { why: "it is paused: `kubectl rollout resume`".into() };
    }
    let wanted = spec["replicas"].as_u64().unwrap_or(1);
    let (all, updated) = (number(&status["replicas"]), number(&status["updatedReplicas"]));
    let available = number(&status["availableReplicas"]);
    if updated < wanted {
        return waiting(format!("{updated} of {wanted} pods are of the new version"));
    }
    if all > updated {
        return waiting(format!("{} pods of the old version are still there", all - updated));
    }
    if available < wanted { waiting(format!("{available} of {wanted} pods are available")) } else { Health::Healthy }
}

fn stateful_set(object: &Value) -> Health {
    let (spec, status) = (&object["spec"], &object["status"]);
    let wanted = spec["replicas"].as_u64().unwrap_or(1);
    let ready = number(&status["readyReplicas"]);
    if ready < wanted {
        return waiting(format!("{ready} of {wanted} pods are ready"));
    }
    let strategy = &spec["updateStrategy"];
    if strategy["type"] == "OnDelete" {
        return Health::Healthy; // a person deletes the pods
    }
    let partition = number(&strategy["rollingUpdate"]["partition"]);
    let updated = number(&status["updatedReplicas"]);
    if partition > 0 {
        let new = wanted.saturating_sub(partition);
        return if updated < new {
            waiting(format!("{updated} of {new} pods above the partition are of the new version"))
        } else {
            Health::Healthy
        };
    }
    if status["currentRevision"] == status["updateRevision"] {
        Health::Healthy
    } else {
        waiting(format!("{updated} of {wanted} pods are of the new version"))
    }
}

fn daemon_set(object: &Value) -> Health {
    let status = &object["status"];
    let wanted = number(&status["desiredNumberScheduled"]);
    let (updated, available) = (number(&status["updatedNumberScheduled"]), number(&status["numberAvailable"]));
    if object["spec"]["updateStrategy"]["type"] != "OnDelete" && updated < wanted {
        return waiting(format!("{updated} of {wanted} pods are of the new version"));
    }
    if available < wanted { waiting(format!("{available} of {wanted} pods are available")) } else { Health::Healthy }
}

fn job(object: &Value) -> Health {
    let is = |kind| condition(object, kind).filter(|condition| condition["status"] == "True");
    if let Some(failed) = is("Failed") {
        return Health::Failed { why: failed["message"].as_str().unwrap_or("it has failed").to_owned() };
    }
    if is("Complete").is_some() || object["spec"]["suspend"] == true {
        return Health::Healthy;
    }
    waiting("it has not completed yet")
}

fn pod(object: &Value) -> Health {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Health::Healthy,
        Some("Failed") => {
            let why = object["status"]["message"].as_str().or(object["status"]["reason"].as_str());
            Health::Failed { why: why.unwrap_or("it has failed").to_owned() }
        }
        _ if condition(object, "Ready").is_some_and(|ready| ready["status"] == "True") => Health::Healthy,
        _ => trouble(object).unwrap_or_else(|| waiting("it is not ready yet")),
    }
}

fn autoscaler(object: &Value) -> Health {
    for kind in ["AbleToScale", "ScalingActive"] {
        match condition(object, kind) {
            None => return waiting("its controller has not looked at it yet"),
            Some(found) if found["status"] == "True" || found["reason"] == "ScalingDisabled" => {}
            Some(found) => return waiting(found["message"].as_str().unwrap_or("it cannot scale").to_owned()),
        }
    }
    Health::Healthy
}

/// What keeps a pod from becoming ready, where it is known.
#[must_use]
pub fn trouble(pod: &Value) -> Option<Health> {
    let name = pod["metadata"]["name"].as_str().unwrap_or("a pod");
    let lists = ["initContainerStatuses", "containerStatuses"].map(|list| &pod["status"][list]);
    for status in lists.into_iter().filter_map(Value::as_array).flatten() {
        let container = status["name"].as_str().unwrap_or_default();
        let state = &status["state"]["waiting"];
        let message = state["message"].as_str().unwrap_or_default();
        let said = match state["reason"].as_str() {
            Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => {
                format!("the image {} cannot be pulled: {message}", status["image"].as_str().unwrap_or_default())
            }
            Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
                format!("the container cannot be created: {message}")
            }
            Some("CrashLoopBackOff") => {
                let last = &status["lastState"]["terminated"];
                let times = number(&status["restartCount"]);
                let reason = last["reason"].as_str().filter(|reason| *reason != "Error").map(|r| format!(" ({r})"));
                format!("it ended {times} times, at last with code {}{}", last["exitCode"], reason.unwrap_or_default())
            }
            _ => continue,
        };
        return Some(Health::Stuck { why: format!("pod {name}, container {container}: {said}") });
    }
    let scheduled = condition(pod, "PodScheduled").filter(|condition| condition["reason"] == "Unschedulable")?;
    let message = scheduled["message"].as_str().unwrap_or_default();
    Some(Health::Stuck { why: format!("pod {name} fits on no node: {message}") })
}

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
    /// How the object stands now.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn health(&self, id: &ObjectId, namespace: &str) -> Result<Health, ClusterError> {
        let Some(object) = self.get(id, namespace).await? else {
            return Ok(Health::Failed { why: "it is not there any more".into() });
        };
        let health = judge(&object);
        if let Health::Waiting { .. } = health {
            if id.kind == "PersistentVolumeClaim" && self.waits_for_a_pod(&object).await {
                return Ok(Health::Healthy);
            }
            let pods = self.pods_of(&object, id, namespace).await?;
            if let Some(trouble) = pods.iter().find_map(trouble) {
                return Ok(trouble);
            }
        }
        Ok(health)
    }

    /// A claim whose class binds at its first pod, and which no pod has. Where the class may not be read it is waited for.
    async fn waits_for_a_pod(&self, claim: &Value) -> bool {
        let Some(class) = claim["spec"]["storageClassName"].as_str() else { return false };
        let chosen = !claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].is_null();
        let id = ObjectId {
            api_version: "storage.k8s.io/v1".into(),
            kind: "StorageClass".into(),
            namespace: None,
            name: class.into(),
        };
        let class = self.get(&id, "").await.ok().flatten().unwrap_or_default();
        !chosen && class["volumeBindingMode"] == "WaitForFirstConsumer"
    }

    /// The pods that a workload's selector finds.
    async fn pods_of(&self, object: &Value, id: &ObjectId, namespace: &str) -> Result<Vec<Value>, ClusterError> {
        let Some(labels) = object["spec"]["selector"]["matchLabels"].as_object() else { return Ok(Vec::new()) };
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
        let pods = self.pods(id, namespace).await?;
        let found = pods.list(&ListParams::default().labels(&labels.join(","))).await;
        let found = found.map_err(|error| ClusterError::of(error, Doing::Read, id))?;
        Ok(found.into_iter().map(|pod| serde_json::to_value(pod).expect("what came as JSON is JSON")).collect())
    }

    async fn pods(&self, id: &ObjectId, namespace: &str) -> Result<Api<DynamicObject>, ClusterError> {
        let namespace = id.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        let pod =
            ObjectId { api_version: "v1".into(), kind: "Pod".into(), namespace: Some(namespace), name: String::new() };
        self.api(&pod, "").await
    }

    /// The object's last warnings, and what its unhappy pods wrote last; empty where that cannot be asked: it explains a
    /// failure and must not hide it.
    pub async fn story(&self, id: &ObjectId, namespace: &str) -> Story {
        let Ok(Some(object)) = self.get(id, namespace).await else { return Story::default() };
        let pods = self.pods_of(&object, id, namespace).await.unwrap_or_default();
        let mut story = Story { events: self.warnings(id, &pods, namespace).await, logs: Vec::new() };
        let own = id.namespace.as_deref().unwrap_or(namespace);
        let api: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.client.clone(), own);
        for pod in pods.iter().filter(|pod| !matches!(self::pod(pod), Health::Healthy)).take(2) {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
                let container = container["name"].as_str().unwrap_or_default();
                for previous in [false, true] {
                    let parameters = LogParams {
                        container: Some(container.to_owned()),
                        tail_lines: Some(LOG_LINES),
                        previous,
                        ..LogParams::default()
                    };
                    let text = api.logs(name, &parameters).await.unwrap_or_default();
                    if !text.trim().is_empty() {
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
        let api: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(self.client.clone(), own);
        let Ok(all) = api.list(&ListParams::default().fields("type=Warning")).await else { return Vec::new() };
        let names: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        let concerns = |event: &k8s_openapi::api::core::v1::Event| {
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

#[cfg(test)]
mod tests;
