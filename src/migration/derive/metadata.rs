//! Labels and annotations: the template's own, for network policies and injectors; drydock's; and what keeps injectors from
//! adding a container that never ends.

use serde_json::{Map, Value, json};

use super::containers::Kept;
use super::names::label;
use super::{DOMAIN, Owner, Wanted};

/// What controllers and injectors set on the pods that are theirs.
const OF_OTHERS: [&str; 10] = [
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "sidecar.istio.io/status",
];

/// Labels that switch a mesh's injection off. Sources: istio.io "Installing the Sidecar", kuma.io "Data plane on Kubernetes".
const NO_MESH_LABELS: [(&str, &str); 2] =
    [("sidecar.istio.io/inject", "false"), ("kuma.io/sidecar-injection", "disabled")];

/// Annotations that do (older Istio and Kuma read only these). Sources: as above, linkerd.io "Automatic Proxy Injection",
/// Consul's "Annotations and labels".
const NO_MESH_ANNOTATIONS: [(&str, &str); 4] = [
    ("sidecar.istio.io/inject", "false"),
    ("kuma.io/sidecar-injection", "disabled"),
    ("linkerd.io/inject", "disabled"),
    ("consul.hashicorp.com/connect-inject", "false"),
];

/// The prefix of annotations that name a container; an API server refuses them for one that is not there.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

const INJECT: &str = "vault.hashicorp.com/agent-inject";
const PRE_POPULATE: &str = "vault.hashicorp.com/agent-pre-populate";
const PRE_POPULATE_ONLY: &str = "vault.hashicorp.com/agent-pre-populate-only";
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Of the Job itself.
pub(super) fn of_job(name: &str, owner: &Owner, of: &Wanted<'_>) -> Value {
    json!({"name": name, "labels": ours(of), "annotations": whose(owner, of)})
}

/// Of its pod.
pub(super) fn of_pod(template: &Value, kept: &Kept, owner: &Owner, of: &Wanted<'_>) -> Value {
    let section = |name: &str| -> Map<String, Value> {
        let found = template.pointer(&format!("/metadata/{name}")).and_then(Value::as_object);
        let own = found.into_iter().flatten().filter(|(key, _)| !OF_OTHERS.contains(&key.as_str()));
        own.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let mut labels = section("labels");
    labels.extend(strings(&NO_MESH_LABELS));
    labels.extend(ours(of));

    let mut annotations = section("annotations");
    let is_here = |name: &str| kept.names.iter().any(|kept| kept == name);
    annotations.retain(|key, _| key.strip_prefix(APPARMOR).is_none_or(is_here));
    annotations.extend(strings(&NO_MESH_ANNOTATIONS));
    if annotations.contains_key(DEFAULT_CONTAINER) {
        annotations.insert(DEFAULT_CONTAINER.into(), kept.migrates.clone().into());
    }
    if annotations.get(INJECT).is_some_and(is_true) {
        // The agent's init container brings the secrets, its sidecar would renew them for ever.
        annotations.insert(PRE_POPULATE_ONLY.into(), "true".into());
        annotations.remove(PRE_POPULATE); // `false` would leave the Job without any
    }
    annotations.extend(whose(owner, of));
    if !kept.left_out.is_empty() {
        annotations.insert(format!("{DOMAIN}/left-out"), kept.left_out.join("; ").into());
    }
    json!({"labels": labels, "annotations": annotations})
}

/// What finds all pods of a run, of a step, of an attempt.
fn ours(of: &Wanted<'_>) -> Map<String, Value> {
    let labels = [("run", label(of.run)), ("step", label(of.step)), ("attempt", of.attempt.to_string())];
    labels.into_iter().map(|(name, value)| (format!("{DOMAIN}/{name}"), value.into())).collect()
}

/// In full, which labels need not be.
fn whose(owner: &Owner, of: &Wanted<'_>) -> Map<String, Value> {
    let all = [("run", of.run.to_owned()), ("step", of.step.to_owned()), ("derived-from", owner.to_string())];
    all.into_iter().map(|(name, value)| (format!("{DOMAIN}/{name}"), value.into())).collect()
}

fn strings(pairs: &[(&str, &str)]) -> Vec<(String, Value)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

/// As the injector reads it: Go's `strconv.ParseBool`.
fn is_true(value: &Value) -> bool {
    matches!(value.as_str(), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}
