//! The Job that a component's migration runs in, made from the component's own workload, so that nobody writes it twice: the
//! same image, environment, secrets, volumes and account, without what belongs to serving.
//!
//! Made from the workload *of the release*: what runs may have been scaled to zero by a fence, and what injectors added to
//! pods is not in it. The claims that it names must exist. While the Job's pod lives, an autoscaler and a disruption budget
//! with the same selector count it as a pod that is not ready.

mod containers;
mod metadata;
mod names;
#[cfg(test)]
mod tests;
mod volumes;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::failure::{Category, Failure};

/// Kubernetes' own name of drydock's labels, annotations and conditions.
const DOMAIN: &str = "drydock.dev";

/// Which migration is wanted of a workload.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The run and its step; with `attempt` they make the Job's name.
    pub run: &'a str,
    pub step: &'a str,
    pub attempt: u32,
    /// The container whose image migrates; may be left out where there is only one.
    pub container: Option<&'a str>,
    /// In place of the container's image, for hops; init containers of the same image get it too.
    pub image: Option<&'a str>,
    /// In place of the image's entrypoint. Without it the entrypoint runs `args`, as Kong's must, which reads `_FILE`
    /// variables.
    pub command: Option<&'a [&'a str]>,
    pub args: &'a [&'a str],
    /// Init containers that are not to run.
    pub without: &'a [&'a str],
    /// After which Kubernetes ends the Job.
    pub deadline: Duration,
}

/// Why no Job can be made of a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    #[error("a migration cannot be derived from {kind}, which has no pod template of a component")]
    Kind { kind: String },
    #[error("{workload} has no pod template with a container")]
    NoTemplate { workload: String },
    #[error("{workload} has several containers ({containers}): which of them migrates is not said")]
    WhichContainer { workload: String, containers: String },
    #[error("{workload} has no container `{container}`, but {containers}")]
    NoSuchContainer { workload: String, container: String, containers: String },
    #[error(
        "{workload} has {replicas} pods, each with its own volume `{volume}`: a migration would change one of them"
    )]
    VolumePerPod { workload: String, replicas: i64, volume: String },
}

impl Failure for DeriveError {
    fn category(&self) -> Category {
        Category::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Kind { .. } => "name a Deployment, StatefulSet or DaemonSet as the component's workload".into(),
            Self::NoTemplate { .. } => "look at its `spec.template.spec.containers`".into(),
            Self::WhichContainer { .. } | Self::NoSuchContainer { .. } => {
                "name the container whose image migrates".into()
            }
            Self::VolumePerPod { .. } => {
                "run one replica, give the pods one shared volume, or keep what the migration needs out of it".into()
            }
        })
    }
}

/// The Job of `workload`'s migration, as an API server takes it.
///
/// A claim of a StatefulSet's `volumeClaimTemplates` is the first pod's where the set has one replica: that pod's volume is
/// then *the* volume. With more replicas each has its own, a Job would migrate the files of one and leave the others as they
/// were, so it is refused as soon as a container that is kept mounts it.
///
/// # Errors
/// No pod template, a container that is not there or not said, or a volume for each pod.
pub fn derive(workload: &Value, of: &Wanted<'_>) -> Result<Value, DeriveError> {
    let owner = Owner::of(workload)?;
    let template = workload.pointer("/spec/template").unwrap_or(&Value::Null);
    let mut pod = template.get("spec").and_then(Value::as_object).cloned().ok_or_else(|| owner.no_template())?;
    let kept = containers::keep(&mut pod, &owner, of)?;
    volumes::keep_mounted(&mut pod, workload, &owner)?;
    strip(&mut pod);

    let name = names::job(of.run, of.step, of.attempt);
    let mut job = metadata::of_job(&name, &owner, of);
    if let Some(namespace) = workload.pointer("/metadata/namespace") {
        job["namespace"] = namespace.clone();
    }
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": job,
        "spec": {
            // A second pod would be an attempt that nobody decided upon.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            // By default a pod that is being evicted is replaced while it still runs: two would migrate at once.
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": of.deadline.as_secs().max(1),
            "template": {
                "metadata": metadata::of_pod(template, &kept, &owner, of),
                "spec": pod,
            },
        },
    }))
}

/// The workload, for messages.
struct Owner {
    kind: String,
    name: String,
}

impl Owner {
    fn of(workload: &Value) -> Result<Self, DeriveError> {
        let text = |path: &str| workload.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        match kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" => Ok(Self { kind, name }),
            _ => Err(DeriveError::Kind { kind: format!("{kind}/{name}") }),
        }
    }

    fn no_template(&self) -> DeriveError {
        DeriveError::NoTemplate { workload: self.to_string() }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// What belongs to serving, to a place among others, or to another pod.
fn strip(pod: &mut Map<String, Value>) {
    for field in [
        "topologySpreadConstraints",
        "ephemeralContainers",
        "nodeName",
        "schedulingGates",
        "activeDeadlineSeconds",
        // A name in DNS would send the set's peers to the Job.
        "hostname",
        "subdomain",
        "setHostnameAsFQDN",
    ] {
        pod.remove(field);
    }
    if let Some(affinity) = pod.get_mut("affinity").and_then(Value::as_object_mut) {
        affinity.remove("podAntiAffinity");
        if affinity.is_empty() {
            pod.remove("affinity");
        }
    }
    pod.insert("restartPolicy".into(), "Never".into());
    // The labels stay, so a Service selects the pod; nobody ever sets this condition, so it never routes to it. (One with
    // `publishNotReadyAddresses` does: those are for peers that find each other.)
    pod.insert("readinessGates".into(), json!([{"conditionType": format!("{DOMAIN}/serving")}]));
}
