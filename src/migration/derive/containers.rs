//! Which containers of a pod a migration keeps, and what of them.

use serde_json::{Map, Value, json};

use super::{DeriveError, Owner, Wanted};

/// What an init container says that waits for the migration, or runs it: kept, the Job would wait for itself, or migrate
/// before its own command is asked. Kong's chart has `until kong start` in `wait-for-db`.
const OF_THE_MIGRATION: [&str; 6] = [
    "kong start",
    "kong migrations",
    "db:migrate",
    "db:chatwoot_prepare",
    "db:prepare",
    "db:abort_if_pending_migrations",
];

/// Init containers of a mesh that was injected into the manifest by hand, and the proxy to which they redirect all traffic.
/// Without that proxy nothing would be reachable. Sources: istioctl kube-inject, linkerd inject, kumactl, consul-k8s.
const REDIRECTS: [(&str, &str); 5] = [
    ("istio-init", "istio-proxy"),
    ("istio-validation", "istio-proxy"),
    ("linkerd-init", "linkerd-proxy"),
    ("kuma-init", "kuma-sidecar"),
    ("consul-connect-inject-init", "consul-dataplane"),
];

/// What a container of a Job has no use for, or may not have: host ports may be taken on the node by a pod that serves.
const OF_SERVING: [&str; 8] =
    ["livenessProbe", "readinessProbe", "startupProbe", "ports", "lifecycle", "resizePolicy", "stdin", "tty"];

/// What became of a pod's containers.
pub(super) struct Kept {
    /// The container that migrates.
    pub(super) migrates: String,
    /// All names that stayed.
    pub(super) names: Vec<String>,
    /// What did not stay although it is an init container, with the reason.
    pub(super) left_out: Vec<String>,
}

/// Leaves the container that migrates and its init containers in `pod`.
pub(super) fn keep(pod: &mut Map<String, Value>, owner: &Owner, of: &Wanted<'_>) -> Result<Kept, DeriveError> {
    let mut migrates = choose(list(pod, "containers"), owner, of.container)?;
    let former = migrates.get("image").cloned();
    let (mut inits, left_out) = divide(list(pod, "initContainers"), of.without);

    for init in &mut inits {
        if is_sidecar(init) {
            // Its probes and hooks stay: the next container waits for its start-up probe. It ends with the Job.
            init.remove("ports");
        } else {
            OF_SERVING.iter().for_each(|field| drop(init.remove(*field)));
        }
    }
    OF_SERVING.iter().for_each(|field| drop(migrates.remove(*field)));
    for field in ["restartPolicy", "restartPolicyRules", "command"] {
        migrates.remove(field);
    }
    if let Some(command) = of.command {
        migrates.insert("command".into(), json!(command));
    }
    migrates.insert("args".into(), json!(of.args));
    // The pod's status then has the last lines of what a failed migration said.
    migrates.insert("terminationMessagePolicy".into(), "FallbackToLogsOnError".into());
    if let Some(image) = of.image {
        for container in inits.iter_mut().filter(|init| init.get("image") == former.as_ref()) {
            container.insert("image".into(), image.into());
        }
        migrates.insert("image".into(), image.into());
    }

    let kept = Kept {
        migrates: name(&migrates).to_owned(),
        names: inits.iter().chain([&migrates]).map(|container| name(container).to_owned()).collect(),
        left_out,
    };
    if inits.is_empty() {
        pod.remove("initContainers");
    } else {
        pod.insert("initContainers".into(), inits.into_iter().map(Value::Object).collect());
    }
    pod.insert("containers".into(), json!([migrates]));
    Ok(kept)
}

fn list(pod: &Map<String, Value>, field: &str) -> Vec<Map<String, Value>> {
    let entries = pod.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.as_object().cloned()).collect()
}

fn name(container: &Map<String, Value>) -> &str {
    container.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn choose(
    containers: Vec<Map<String, Value>>,
    owner: &Owner,
    wanted: Option<&str>,
) -> Result<Map<String, Value>, DeriveError> {
    let names = containers.iter().map(name).collect::<Vec<_>>().join(", ");
    let workload = owner.to_string();
    if containers.is_empty() {
        return Err(owner.no_template());
    }
    match wanted {
        None if containers.len() > 1 => Err(DeriveError::WhichContainer { workload, containers: names }),
        None => containers.into_iter().next().ok_or_else(|| owner.no_template()),
        Some(wanted) => containers
            .into_iter()
            .find(|container| name(container) == wanted)
            .ok_or_else(|| DeriveError::NoSuchContainer { workload, container: wanted.to_owned(), containers: names }),
    }
}

/// A native sidecar: it runs beside the others and ends with them.
fn is_sidecar(init: &Map<String, Value>) -> bool {
    init.get("restartPolicy").is_some_and(|policy| policy == "Always")
}

/// The init containers that stay, and the others with the reason.
fn divide(inits: Vec<Map<String, Value>>, without: &[&str]) -> (Vec<Map<String, Value>>, Vec<String>) {
    let sidecars: Vec<String> =
        inits.iter().filter(|init| is_sidecar(init)).map(|init| name(init).to_owned()).collect();
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for init in inits {
        let why = {
            let called = name(&init);
            let proxy = REDIRECTS.iter().find(|(redirect, _)| *redirect == called).map(|(_, proxy)| *proxy);
            if without.contains(&called) {
                Some("it was said")
            } else if proxy.is_some_and(|proxy| !sidecars.iter().any(|sidecar| sidecar == proxy)) {
                Some("it redirects traffic to a proxy that is not here")
            } else if !is_sidecar(&init) && OF_THE_MIGRATION.iter().any(|words| says(&init).contains(words)) {
                Some("it waits for the migration or runs it")
            } else {
                None
            }
        };
        match why {
            Some(why) => left_out.push(format!("{}: {why}", name(&init))),
            None => kept.push(init),
        }
    }
    (kept, left_out)
}

/// Its command and arguments as one line.
fn says(container: &Map<String, Value>) -> String {
    let words = ["command", "args"].iter().filter_map(|field| container.get(*field)?.as_array()).flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).flat_map(str::split_whitespace).collect();
    words.join(" ")
}
