use serde_json::json;

use super::*;

fn said(health: Health) -> String {
    match health {
        Health::Healthy => "healthy".into(),
        Health::Waiting { why } => format!("waiting: {why}"),
        Health::Stuck { why } => format!("stuck: {why}"),
        Health::Failed { why } => format!("failed: {why}"),
    }
}

fn deployment(status: Value) -> String {
    said(judge(
        &json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status}),
    ))
}

#[test]
fn a_deployment_is_healthy_when_all_its_pods_are_new_and_available_and_no_old_one_is_left() {
    assert_eq!(deployment(json!({"observedGeneration": 1})), "waiting: its controller has not seen it yet");
    let at = |replicas, updated, available| {
        deployment(json!({"observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated,
            "availableReplicas": available}))
    };
    assert_eq!(at(3, 1, 3), "waiting: 1 of 3 pods are of the new version");
    assert_eq!(at(4, 3, 3), "waiting: 1 pods of the old version are still there");
    assert_eq!(at(3, 3, 2), "waiting: 2 of 3 pods are available");
    assert_eq!(at(3, 3, 3), "healthy");
    let stuck = json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "conditions":
        [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]});
    assert_eq!(deployment(stuck), "failed: timed out");
}

#[test]
fn a_stateful_set_is_rolled_up_to_its_partition() {
    let at = |strategy: Value, updated: u64, revisions: (&str, &str)| {
        said(judge(
            &json!({"kind": "StatefulSet", "metadata": {"generation": 1}, "spec": {"replicas": 3, "updateStrategy":
            strategy}, "status": {"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": updated, "currentRevision":
            revisions.0, "updateRevision": revisions.1}}),
        ))
    };
    let rolling = json!({"type": "RollingUpdate"});
    assert_eq!(at(rolling.clone(), 2, ("a", "b")), "waiting: 2 of 3 pods are of the new version");
    assert_eq!(at(rolling, 3, ("b", "b")), "healthy");
    let partition = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    assert_eq!(at(partition.clone(), 0, ("a", "b")), "waiting: 0 of 1 pods above the partition are of the new version");
    assert_eq!(at(partition, 1, ("a", "b")), "healthy");
    assert_eq!(at(json!({"type": "OnDelete"}), 0, ("a", "b")), "healthy");
}

#[test]
fn what_keeps_a_pod_is_said_with_its_names() {
    let with = |state: Value| {
        json!({"kind": "Pod", "metadata": {"name": "web-1"}, "status": {"phase": "Pending",
        "containerStatuses": [{"name": "web", "image": "shop/web:9", "restartCount": 4, "state": {"waiting": state},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}})
    };
    let of = |state| said(judge(&with(state)));
    assert_eq!(
        of(json!({"reason": "ImagePullBackOff", "message": "not found"})),
        "stuck: pod web-1, container web: the image shop/web:9 cannot be pulled: not found"
    );
    assert_eq!(
        of(json!({"reason": "CreateContainerConfigError", "message": "secret \"login\" not found"})),
        "stuck: pod web-1, container web: the container cannot be created: secret \"login\" not found"
    );
    assert_eq!(
        of(json!({"reason": "CrashLoopBackOff"})),
        "stuck: pod web-1, container web: it ended 4 times, at last with code 137 (OOMKilled)"
    );
    assert_eq!(of(json!({"reason": "ContainerCreating"})), "waiting: it is not ready yet");
    let nowhere = json!({"kind": "Pod", "metadata": {"name": "web-1"}, "status": {"phase": "Pending", "conditions":
        [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no memory"}]}});
    assert_eq!(said(judge(&nowhere)), "stuck: pod web-1 fits on no node: 0/1 nodes: no memory");
}

#[test]
fn jobs_claims_definitions_and_what_is_ignored() {
    let of =
        |kind: &str, status: Value| said(judge(&json!({"kind": kind, "metadata": {}, "spec": {}, "status": status})));
    let done =
        |kind: &str| json!({"conditions": [{"type": kind, "status": "True", "message": "BackoffLimitExceeded"}]});
    assert_eq!(of("Job", json!({})), "waiting: it has not completed yet");
    assert_eq!(of("Job", done("Complete")), "healthy");
    assert_eq!(of("Job", done("Failed")), "failed: BackoffLimitExceeded");
    assert_eq!(of("PersistentVolumeClaim", json!({"phase": "Pending"})), "waiting: it is Pending, not Bound yet");
    assert_eq!(of("PersistentVolumeClaim", json!({"phase": "Bound"})), "healthy");
    assert_eq!(of("CustomResourceDefinition", json!({})), "waiting: it is not established yet");
    assert_eq!(of("CustomResourceDefinition", done("Established")), "healthy");
    assert_eq!(of("Ingress", json!({"loadBalancer": {}})), "waiting: no ingress controller has admitted it yet");
    assert_eq!(of("ConfigMap", Value::Null), "healthy");
    let ignored =
        json!({"kind": "Ingress", "metadata": {"annotations": {"drydock.dev/health": "ignore"}}, "status": {}});
    assert_eq!(said(judge(&ignored)), "healthy");
}
