//! What a workload's pods say of why it is not healthy. Pure.

use serde_json::Value;

use super::{Health, condition, number};

/// A container that ended this often and is not ready is in a loop, also while it runs for a moment in between.
const LOOP: u64 = 3;

/// The label by which pods of one version of their workload are known: of a ReplicaSet, of a StatefulSet or DaemonSet.
const VERSION: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

pub(super) fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or("a pod")
}

fn version(pod: &Value) -> Option<&str> {
    VERSION.iter().find_map(|label| pod["metadata"]["labels"][label].as_str())
}

/// What keeps the workload `owner`, for the pods that matter to it: none that are going; of a Deployment or DaemonSet
/// only those of the version that came last, since the former ones go by themselves.
pub(super) fn trouble_of(owner: &Value, pods: &[Value]) -> Option<Health> {
    relevant(owner, pods).into_iter().find_map(|pod| {
        let found = trouble(pod)?;
        Some(if is_left_behind(owner, pod) { left_behind(pod, found) } else { found })
    })
}

/// The pods of `owner` that its health depends on, the newest first.
pub(super) fn relevant<'a>(owner: &Value, pods: &'a [Value]) -> Vec<&'a Value> {
    let mut here: Vec<&Value> = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect();
    // RFC 3339 in UTC sorts as text.
    here.sort_by_key(|pod| {
        std::cmp::Reverse(pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned())
    });
    if matches!(owner["kind"].as_str(), Some("Deployment" | "DaemonSet"))
        && let Some(newest) = here.first().and_then(|pod| version(pod)).map(str::to_owned)
    {
        here.retain(|pod| version(pod) == Some(&newest));
    }
    here
}

/// A StatefulSet does not replace a pod that never became ready: it waits for it, also when the template was mended.
///
/// Source: Kubernetes' "StatefulSets", "Forced rollback" (kubernetes issue 67250).
fn is_left_behind(owner: &Value, pod: &Value) -> bool {
    let update = owner["status"]["updateRevision"].as_str();
    owner["kind"] == "StatefulSet" && update.is_some() && version(pod).is_some() && version(pod) != update
}

fn left_behind(pod: &Value, found: Health) -> Health {
    let (Health::Stuck { why } | Health::Waiting { why } | Health::Failed { why }) = found else { return found };
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    Health::Stuck {
        why: format!(
            "{why}; it is of a former version, and its StatefulSet waits for it before it makes the new one: `kubectl \
             delete pod -n {namespace} {}`",
            name(pod)
        ),
    }
}

/// What keeps a pod from becoming ready, where it is known.
#[must_use]
pub fn trouble(pod: &Value) -> Option<Health> {
    let name = name(pod);
    for status in containers(pod) {
        let container = status["name"].as_str().unwrap_or_default();
        let state = &status["state"]["waiting"];
        let message = state["message"].as_str().unwrap_or_default();
        let said = match state["reason"].as_str() {
            Some(
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError",
            ) => {
                format!("the image {} cannot be pulled: {message}", status["image"].as_str().unwrap_or_default())
            }
            Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
                format!("the container cannot be created: {message}")
            }
            Some("CrashLoopBackOff") => ends(status),
            _ if status["ready"] == false && status["started"] != true && number(&status["restartCount"]) >= LOOP => {
                ends(status)
            }
            _ => continue,
        };
        return Some(Health::Stuck { why: format!("pod {name}, container {container}: {said}") });
    }
    let scheduled = condition(pod, "PodScheduled").filter(|condition| condition["reason"] == "Unschedulable")?;
    let message = scheduled["message"].as_str().unwrap_or_default();
    Some(Health::Stuck { why: format!("pod {name} fits on no node: {message}") })
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainerStatuses", "containerStatuses"].map(|list| &pod["status"][list]);
    lists.into_iter().filter_map(Value::as_array).flatten()
}

fn ends(status: &Value) -> String {
    let ended = [&status["lastState"]["terminated"], &status["state"]["terminated"]];
    let last = ended.into_iter().find(|ended| !ended.is_null()).unwrap_or(&Value::Null);
    let times = number(&status["restartCount"]);
    format!("it ended {times} times, at last with {}", ending(last))
}

/// `code 137 (OOMKilled)`
fn ending(terminated: &Value) -> String {
    let reason = terminated["reason"].as_str().filter(|reason| *reason != "Error").map(|reason| format!(" ({reason})"));
    format!("code {}{}", terminated["exitCode"], reason.unwrap_or_default())
}

/// How the last of a Job's pods that failed did: a Job itself says only how often.
pub(super) fn last_failure(job: &Value, pods: &[Value]) -> Option<String> {
    relevant(job, pods).into_iter().find_map(|pod| {
        let failed = containers(pod).find_map(|status| {
            let terminated = &status["state"]["terminated"];
            (number(&terminated["exitCode"]) != 0).then(|| {
                format!("container {} ended with {}", status["name"].as_str().unwrap_or_default(), ending(terminated))
            })
        });
        let evicted = || pod["status"]["reason"].as_str().map(str::to_owned);
        Some(format!("pod {}: {}", name(pod), failed.or_else(evicted)?))
    })
}

/// Whether the kubelet is at work on it without a word: what keeps it is in its events then, such as a missing Secret that
/// is to be mounted.
pub(super) fn is_silent(pod: &Value) -> bool {
    let waits = |status: &Value| {
        matches!(status["state"]["waiting"]["reason"].as_str(), Some("ContainerCreating" | "PodInitializing"))
    };
    pod["status"]["phase"] == "Pending" && containers(pod).any(waits)
}

/// Whether a warning is of what does not pass by itself: something is missing, or not allowed. Others do: a volume that is
/// still attached elsewhere, a registry that is slow.
pub(super) fn lasts(warning: &str) -> bool {
    warning.contains("not found") || warning.contains("forbidden")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failing(name: &str, made: &str, label: (&str, &str), reason: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "creationTimestamp": made, "labels": {label.0: label.1}},
            "status": {"phase": "Pending", "containerStatuses":
                [{"name": "web", "image": "web:1", "ready": false, "state": {"waiting": {"reason": reason, "message": "none"}}}]}})
    }

    fn why(health: Option<Health>) -> String {
        match health {
            Some(Health::Stuck { why }) => why,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_of_the_former_version_of_a_deployment_does_not_count() {
        let hash = "pod-template-hash";
        let old = failing("web-old", "2026-01-01T00:00:00Z", (hash, "a"), "ImagePullBackOff");
        let new = failing("web-new", "2026-01-02T00:00:00Z", (hash, "b"), "ContainerCreating");
        let owner = json!({"kind": "Deployment"});
        assert_eq!(trouble_of(&owner, &[old.clone(), new]), None);
        assert!(
            why(trouble_of(&owner, std::slice::from_ref(&old)))
                .starts_with("pod web-old, container web: the image web:1")
        );
        let mut going = old;
        going["metadata"]["deletionTimestamp"] = "2026-01-03T00:00:00Z".into();
        assert_eq!(trouble_of(&owner, &[going]), None);
    }

    #[test]
    fn a_pod_that_a_stateful_set_waits_for_in_vain_is_to_be_deleted() {
        let pod = failing("db-0", "2026-01-01T00:00:00Z", ("controller-revision-hash", "db-1"), "ImagePullBackOff");
        let owner = |revision| json!({"kind": "StatefulSet", "status": {"updateRevision": revision}});
        let said = why(trouble_of(&owner("db-2"), std::slice::from_ref(&pod)));
        assert!(said.ends_with("`kubectl delete pod -n shop db-0`"), "{said}");
        let said = why(trouble_of(&owner("db-1"), std::slice::from_ref(&pod)));
        assert!(!said.contains("kubectl"), "{said}");
    }

    #[test]
    fn a_container_that_ends_again_and_again_is_stuck_while_it_runs_too() {
        let pod = |restarts: u64, started: bool| {
            json!({"metadata": {"name": "web"}, "status": {"containerStatuses":
            [{"name": "web", "ready": false, "started": started, "restartCount": restarts,
              "state": {"terminated": {"exitCode": 2, "reason": "Error"}},
              "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}})
        };
        assert_eq!(why(trouble(&pod(3, false))), "pod web, container web: it ended 3 times, at last with code 1");
        assert_eq!(trouble(&pod(1, false)), None);
    }

    #[test]
    fn a_jobs_last_failure_is_that_of_its_newest_pod() {
        let pod = |name: &str, made: &str, code: u64, reason: &str| {
            json!({"metadata": {"name": name, "creationTimestamp":
            made}, "status": {"phase": "Failed", "containerStatuses":
            [{"name": "migrate", "state": {"terminated": {"exitCode": code, "reason": reason}}}]}})
        };
        let pods = [pod("a", "2026-01-01T00:00:00Z", 1, "Error"), pod("b", "2026-01-02T00:00:00Z", 137, "OOMKilled")];
        let said = last_failure(&json!({"kind": "Job"}), &pods);
        assert_eq!(said.as_deref(), Some("pod b: container migrate ended with code 137 (OOMKilled)"));
        assert_eq!(last_failure(&json!({"kind": "Job"}), &[]), None);
    }
}
