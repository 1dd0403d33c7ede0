//! What `cluster` does, against a real API server and real pods: `DRYDOCK_E2E_KUBECONFIG` names a kubeconfig, of the
//! development cluster (`tests/cluster/up`) or of any other, and `DRYDOCK_E2E_IMAGES` where its images are (`drydock.test`
//! unless given). Without a kubeconfig every test says that it was left out.

mod support;

use std::time::Duration;

use drydock::cluster::{Applying, Change, ClusterError, Health, changes};
use drydock::failure::{Category, Failure};
use serde_json::json;
use support::{Sandbox, manifest};

#[tokio::test]
async fn an_object_is_created_once_and_changed_only_by_what_differs() {
    let Some(sandbox) = Sandbox::open("apply").await else { return };
    let map = |value: &str| {
        manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
        "data": {"colour": value}}))
    };
    let dry = Applying { dry_run: true, ..sandbox.plainly() };

    let planned = sandbox.cluster.apply(&map("blue"), dry).await.unwrap();
    assert_eq!(planned.change, Change::Created);
    assert_eq!(sandbox.get(&map("blue")).await, None, "a dry run leaves nothing");

    assert_eq!(sandbox.apply(&map("blue")).await.unwrap().change, Change::Created);
    assert_eq!(sandbox.apply(&map("blue")).await.unwrap().change, Change::Unchanged);
    let planned = sandbox.cluster.apply(&map("green"), dry).await.unwrap();
    let said = serde_json::to_value(changes(&planned.former.unwrap(), &planned.live)).unwrap();
    assert_eq!(said, json!([{"field": "data.colour", "from": "blue", "to": "green"}]));
    let unchanged = sandbox.cluster.apply(&map("blue"), dry).await.unwrap();
    assert_eq!(unchanged.change, Change::Unchanged, "a dry run of what is there");
    assert_eq!(sandbox.apply(&map("green")).await.unwrap().change, Change::Changed);
    assert_eq!(sandbox.get(&map("")).await.unwrap()["data"], json!({"colour": "green"}));

    // As `kubectl get -o yaml` prints it.
    let exported = manifest(sandbox.get(&map("")).await.unwrap());
    assert_eq!(sandbox.apply(&exported).await.unwrap().change, Change::Unchanged);

    let id = map("").id;
    assert!(sandbox.cluster.delete(&id, &sandbox.namespace).await.unwrap());
    sandbox.until_gone(&id).await;
    assert!(!sandbox.cluster.delete(&id, &sandbox.namespace).await.unwrap());
    sandbox.close().await;
}

#[tokio::test]
async fn what_a_server_fills_in_and_others_add_is_left_to_them() {
    let Some(sandbox) = Sandbox::open("defaults").await else { return };
    let web = sandbox.deployment("web", &sandbox.image("busybox:1.35.0"), &["sleep", "3600"], 1);
    sandbox.apply(&web).await.unwrap();
    sandbox.until(&web.id, |health| *health == Health::Healthy).await;
    sandbox.as_other(&web, json!({"metadata": {"annotations": {"injected": "yes"}}})).await;

    let again = sandbox.apply(&web).await.unwrap();
    assert_eq!(again.change, Change::Unchanged, "{:?}", changes(&again.former.unwrap(), &again.live));
    assert_eq!(again.live["metadata"]["annotations"]["injected"], "yes");
    sandbox.close().await;
}

#[tokio::test]
async fn a_field_that_another_manages_is_a_conflict_until_it_is_taken_over() {
    let Some(sandbox) = Sandbox::open("conflict").await else { return };
    let map = |value: &str| {
        manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
        "data": {"colour": value}}))
    };
    sandbox.as_other(&map(""), json!({"data": {"colour": "red", "shape": "round"}})).await;

    let refused = sandbox.apply(&map("blue")).await.unwrap_err();
    let said = "ConfigMap settings: others manage what the manifest says otherwise: data.colour (other)";
    assert_eq!(refused.to_string(), said);
    assert_eq!(refused.category(), Category::Usage);
    assert_eq!(sandbox.get(&map("")).await.unwrap()["data"]["colour"], "red", "nothing was forced");

    let forced = Applying { force: true, ..sandbox.plainly() };
    assert_eq!(sandbox.cluster.apply(&map("blue"), forced).await.unwrap().change, Change::Changed);
    assert_eq!(sandbox.get(&map("")).await.unwrap()["data"], json!({"colour": "blue", "shape": "round"}));
    sandbox.close().await;
}

#[tokio::test]
async fn refusals_say_what_and_what_to_do() {
    let Some(sandbox) = Sandbox::open("refusals").await else { return };
    let tulip = manifest(json!({"apiVersion": "garden.example/v1", "kind": "Tulip", "metadata": {"name": "t"}}));
    let unknown = sandbox.apply(&tulip).await.unwrap_err();
    assert_eq!(unknown.to_string(), "Tulip t: the cluster knows no kind `Tulip` in garden.example/v1");
    assert!(unknown.hint().unwrap().contains("CustomResourceDefinition of `Tulip`"));

    let mistyped = manifest(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}], "selektor": {"app": "web"}}}));
    let refused = sandbox.apply(&mistyped).await.unwrap_err();
    assert!(refused.to_string().contains("selektor"), "{refused}");
    assert_eq!(refused.category(), Category::Usage);

    let set = |service: &str| {
        manifest(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"serviceName": service, "replicas": 0, "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "x"}]}}}}))
    };
    sandbox.apply(&set("one")).await.unwrap();
    let fixed = sandbox.apply(&set("two")).await.unwrap_err();
    assert!(matches!(fixed, ClusterError::Invalid { .. }), "{fixed:?}");
    assert!(fixed.hint().unwrap().contains("--cascade=orphan"), "{:?}", fixed.hint());

    let mut elsewhere = set("one");
    elsewhere.id.namespace = Some("drydock-api-nowhere".into());
    let nowhere = sandbox.apply(&elsewhere).await.unwrap_err();
    assert!(matches!(nowhere, ClusterError::Namespace { .. }), "{nowhere:?}");
    sandbox.close().await;
}

#[tokio::test]
async fn a_service_account_does_only_what_it_may_and_the_missing_rule_is_named() {
    let Some(sandbox) = Sandbox::open("rights").await else { return };
    let account = manifest(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "deployer"}}));
    sandbox.apply(&account).await.unwrap();
    let acting = sandbox.cluster.acting_as(&sandbox.namespace, "deployer").unwrap();
    let map = manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}));
    let refused = acting.apply(&map, sandbox.plainly()).await.unwrap_err();
    assert!(matches!(refused, ClusterError::Forbidden { .. }), "{refused:?}");
    assert_eq!(
        refused.hint().unwrap(),
        format!(
            "bind a Role in the namespace {0} to the service account {0}/deployer with the rule {{apiGroups: [\"\"], \
             resources: [\"configmaps\"], verbs: [\"get\"]}}",
            sandbox.namespace
        )
    );
    sandbox.close().await;
}

#[tokio::test]
async fn a_kind_that_comes_later_is_known_once_its_definition_is_there() {
    let Some(sandbox) = Sandbox::open("kinds").await else { return };
    let group = format!("{}.example", sandbox.namespace);
    let tulip = manifest(json!({"apiVersion": format!("{group}/v1"), "kind": "Tulip", "metadata": {"name": "t"},
        "spec": {"colour": "red"}}));
    assert!(matches!(sandbox.apply(&tulip).await.unwrap_err(), ClusterError::UnknownKind { .. }));
    let definition = manifest(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("tulips.{group}")}, "spec": {"group": group, "scope": "Namespaced",
        "names": {"kind": "Tulip", "plural": "tulips"}, "versions": [{"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}));
    sandbox.apply(&definition).await.unwrap();
    sandbox.until(&definition.id, |health| *health == Health::Healthy).await;
    let applied = sandbox.apply(&tulip).await;
    sandbox.cluster.delete(&definition.id, &sandbox.namespace).await.unwrap();
    assert_eq!(applied.unwrap().live["spec"], json!({"colour": "red"}));
    sandbox.close().await;
}

#[tokio::test]
async fn why_pods_do_not_come_is_said_with_their_names() {
    let Some(sandbox) = Sandbox::open("health").await else { return };
    let busybox = sandbox.image("busybox:1.35.0");
    let unpulled = sandbox.deployment("unpulled", &sandbox.image("no-such-image:9"), &["true"], 1);
    let looping = sandbox.deployment("looping", &busybox, &["sh", "-c", "echo the dog ate it; exit 7"], 1);
    let mut keyless = sandbox.deployment("keyless", &busybox, &["sleep", "3600"], 1);
    let container = "/spec/template/spec/containers/0";
    keyless.value.pointer_mut(container).unwrap()["envFrom"] = json!([{"secretRef": {"name": "absent"}}]);
    let mut unmounted = sandbox.deployment("unmounted", &busybox, &["sleep", "3600"], 1);
    unmounted.value["spec"]["template"]["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "absent"}}]);
    unmounted.value.pointer_mut(container).unwrap()["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    let mut homeless = sandbox.deployment("homeless", &busybox, &["sleep", "3600"], 1);
    homeless.value["spec"]["template"]["spec"]["nodeSelector"] = json!({"drydock.test/nowhere": "yes"});
    let job = manifest(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec":
        {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers":
        [{"name": "migrate", "image": busybox, "command": ["sh", "-c", "exit 3"]}]}}}}));
    let all = [&unpulled, &looping, &keyless, &unmounted, &homeless, &job];
    for one in all {
        sandbox.apply(one).await.unwrap();
    }
    let settled = |health: &Health| matches!(health, Health::Stuck { .. } | Health::Failed { .. });
    let (a, b, c, d, e, f) = tokio::join!(
        sandbox.until(&unpulled.id, settled),
        sandbox.until(&looping.id, settled),
        sandbox.until(&keyless.id, settled),
        sandbox.until(&unmounted.id, settled),
        sandbox.until(&homeless.id, settled),
        sandbox.until(&job.id, settled),
    );
    let expected = [
        ("pod unpulled-", "no-such-image:9 cannot be pulled"),
        ("pod looping-", "times, at last with code 7"),
        ("pod keyless-", "secret \"absent\" not found"),
        ("pod unmounted-", "secret \"absent\" not found"),
        ("pod homeless-", "fits on no node"),
        ("Job has reached the specified backoff limit; pod migrate-", "container migrate ended with code 3"),
    ];
    for (health, (begins, contains)) in [a, b, c, d, e, f].into_iter().zip(expected) {
        let (Health::Stuck { why } | Health::Failed { why }) = health else { unreachable!("it is settled") };
        assert!(why.starts_with(begins) && why.contains(contains), "{why}");
    }
    // Between two of its lives a container has no log for a moment.
    let mut story = sandbox.cluster.story(&looping.id, &sandbox.namespace).await;
    for _ in 0..20 {
        if story.logs.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            story = sandbox.cluster.story(&looping.id, &sandbox.namespace).await;
        }
    }
    assert!(story.logs.iter().any(|(_, text)| text.trim() == "the dog ate it"), "{story:?}");
    assert!(story.events.iter().any(|event| event.contains("BackOff")), "{story:?}");
    sandbox.close().await;
}

#[tokio::test]
async fn nothing_changed_is_known_of_200_objects_in_less_than_two_seconds() {
    use futures_util::{StreamExt, TryStreamExt, stream};
    let Some(sandbox) = Sandbox::open("speed").await else { return };
    let all: Vec<_> = (0..200)
        .map(|n| {
            manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("settings-{n}")},
                "data": {"n": n.to_string()}}))
        })
        .collect();
    let deploy = || stream::iter(&all).map(|one| sandbox.apply(one)).buffer_unordered(16).try_collect::<Vec<_>>();
    deploy().await.unwrap();
    let begun = std::time::Instant::now();
    let again = deploy().await.unwrap();
    let took = begun.elapsed();
    assert_eq!(again.iter().filter(|one| one.change == Change::Unchanged).count(), 200);
    println!("200 unchanged objects in {} ms", took.as_millis());
    assert!(took.as_millis() < 2_000, "{} ms", took.as_millis());
    sandbox.close().await;
}
