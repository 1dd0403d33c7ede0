//! When an object is really there: what its controller says of it, and why not where its pods know better. The judgement is
//! pure; the gathering asks no more than it needs.

mod gather;
mod pods;
mod story;

use serde_json::Value;

use crate::cluster::manifest::ObjectId;

pub use pods::trouble;
pub use story::Story;

/// An object with this annotation, `ignore`, is not waited for.
const ANNOTATION: &str = "drydock.dev/health";

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

/// Whether there is anything to wait for: other kinds are healthy by being there.
#[must_use]
pub fn may_be_unhealthy(id: &ObjectId) -> bool {
    matches!(
        id.kind.as_str(),
        "Deployment"
            | "StatefulSet"
            | "DaemonSet"
            | "Job"
            | "Pod"
            | "PersistentVolumeClaim"
            | "Namespace"
            | "CustomResourceDefinition"
            | "HorizontalPodAutoscaler"
            | "Ingress"
            | "Service"
    )
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
        if let Some(refused) = condition(object, "ReplicaFailure").filter(|refused| refused["status"] == "True") {
            let why = refused["message"].as_str().unwrap_or_default();
            return Health::Stuck { why: format!("its pods cannot be created: {why}") };
        }
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

#[cfg(test)]
mod tests;
