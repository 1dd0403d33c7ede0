//! What cannot be deployed: each is said with the next move, nothing is lost, and the next deploy finishes the work.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::run;
use crate::world::{Said, World, deployment, documents, image, kubeconfig, map};

fn set(service: &str) -> Value {
    let busybox = image("busybox:1.35.0");
    let mut set = deployment("store", &busybox, 0);
    set["kind"] = "StatefulSet".into();
    set["spec"]["serviceName"] = service.into();
    set
}

fn good(world: &World) {
    world.write("data.yaml", &documents(&[map("settings", "blue"), set("store")]));
    world.write("web.yaml", &documents(&[deployment("web", &image("busybox:1.35.0"), 0)]));
}

/// Files that are bad, how drydock must end, and what it must say.
struct Bad<'a> {
    name: &'a str,
    web: String,
    code: i32,
    says: &'a [&'a str],
}

#[test]
fn bad_input_is_named_with_the_next_move_and_the_next_deploy_finishes() {
    let Some(world) = World::open("bad") else { return };
    let busybox = image("busybox:1.35.0");
    good(&world);
    world.drydock(&["deploy"]).well();
    let before = world.picture();

    let mut elsewhere = map("stray", "x");
    elsewhere["metadata"]["namespace"] = "default".into();
    let tulip = json!({"apiVersion": "garden.example/v1", "kind": "Tulip", "metadata": {"name": "red"}});
    let mut secretive = deployment("web", &busybox, 0);
    secretive["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "nowhere"}}]);
    let mut mistyped = deployment("web", &busybox, 0);
    mistyped["spec"]["replika"] = json!(2);
    let cases = [
        Bad {
            name: "not YAML",
            web: "kind: ConfigMap\nmetadata: {name: x\ndata: {}\n".into(),
            code: 2,
            says: &["web.yaml:"],
        },
        Bad {
            name: "one identity twice",
            web: documents(&[map("twice", "a"), map("twice", "b")]),
            code: 2,
            says: &["ConfigMap twice", "web.yaml:2", "web.yaml:4"],
        },
        Bad { name: "another namespace", web: documents(&[elsewhere]), code: 2, says: &["ConfigMap default/stray"] },
        Bad { name: "an unknown kind", web: documents(&[tulip]), code: 2, says: &["Tulip", "garden.example/v1"] },
        Bad { name: "an unknown field", web: documents(&[mistyped]), code: 2, says: &["replika", "Deployment web"] },
        Bad {
            name: "a Secret that is missing",
            web: documents(&[secretive]),
            code: 75,
            says: &["Deployment web", "secret \"nowhere\" not found"],
        },
        Bad {
            name: "an image that cannot be pulled",
            web: documents(&[deployment("web", &image("busybox:none"), 0)]),
            code: 75,
            says: &["Deployment web", "busybox:none"],
        },
        Bad {
            name: "a field that cannot change",
            web: documents(&[deployment("web", &busybox, 0), set("other")]),
            code: 2,
            says: &["StatefulSet store"],
        },
    ];
    for case in cases {
        println!("{}", case.name);
        good(&world);
        if case.name == "a field that cannot change" {
            world.write("data.yaml", &documents(&[map("settings", "blue")]));
        }
        world.write("web.yaml", &case.web);
        world.drydock(&["deploy", "--wait", "15s"]).failed(case.code, case.says);
        good(&world);
        world.drydock(&["deploy"]).well();
    }
    let after = world.picture();
    let specs = |picture: &Value| {
        picture["objects"].as_array().unwrap().iter().map(|one| one["spec"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(specs(&after), specs(&before));
}

#[test]
fn a_definition_later_in_the_same_release_is_made_first() {
    let Some(world) = World::open("later") else { return };
    let group = format!("{}.example", world.namespace);
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("tulips.{group}")}, "spec": {"group": group, "scope": "Namespaced",
        "names": {"plural": "tulips", "singular": "tulip", "kind": "Tulip"}, "versions": [{"name": "v1", "served": true,
        "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let tulip = json!({"apiVersion": format!("{group}/v1"), "kind": "Tulip", "metadata": {"name": "red"}});
    world.write("data.yaml", &documents(&[tulip, definition]));
    world.write("web.yaml", &documents(&[map("settings", "blue")]));
    let said = world.drydock(&["deploy"]);
    let live = world.kubectl_command(&["get", &format!("tulips.{group}"), "red"]).output().unwrap();
    world.kubectl(&["delete", "crd", &format!("tulips.{group}"), "--ignore-not-found"]);
    said.well();
    assert!(live.status.success(), "{}", Said::of(&live).err);
}

#[test]
fn what_admission_rejects_is_said_with_who_rejected_it() {
    let Some(world) = World::open("admission") else { return };
    let namespace = world.namespace.as_str();
    let only_here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let maps = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}]);
    let policy = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": namespace},
            "spec": {"failurePolicy": "Fail", "matchConstraints": {"namespaceSelector": only_here, "resourceRules": maps},
            "validations": [{"expression": "object.metadata.name != 'forbidden'", "message": "no such name here"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": namespace}, "spec": {"policyName": namespace, "validationActions": ["Deny"]}}]});
    world.apply(&policy.to_string());
    world.write("data.yaml", &documents(&[map("allowed", "a")]));
    world.write("web.yaml", &documents(&[map("forbidden", "a")]));
    // A policy takes a moment to hold.
    let denied = ["create", "configmap", "forbidden", "--dry-run=server"];
    crate::support::wait_until("the policy", crate::world::LIMIT, || {
        !world.kubectl_command(&denied).output().unwrap().status.success()
    });
    let rejected = world.drydock(&["deploy"]);
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        world.kubectl(&["delete", kind, namespace]);
    }
    rejected.failed(2, &["ConfigMap forbidden", "no such name here"]);

    let webhook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace}, "webhooks": [{"name": "guard.example.com", "admissionReviewVersions": ["v1"],
        "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 2, "namespaceSelector": only_here, "rules": maps,
        "clientConfig": {"service": {"name": "nobody", "namespace": namespace}}}]});
    world.apply(&webhook.to_string());
    world.write("web.yaml", &documents(&[map("welcome", "a")]));
    let probe = ["create", "configmap", "probe", "--dry-run=server"];
    crate::support::wait_until("the webhook", crate::world::LIMIT, || {
        !world.kubectl_command(&probe).output().unwrap().status.success()
    });
    let away = world.drydock(&["deploy"]);
    world.kubectl(&["delete", "validatingwebhookconfiguration", namespace]);
    away.failed(75, &["guard.example.com"]);
    crate::support::wait_until("the webhook's end", crate::world::LIMIT, || {
        world.kubectl_command(&probe).output().unwrap().status.success()
    });
    world.drydock(&["deploy"]).well();
    assert_eq!(world.get(&["configmap", "welcome"])["data"]["key"], "a");
}

/// On a cluster of its own, for the others go on meanwhile.
#[test]
fn an_api_server_that_goes_away_in_the_middle_is_waited_for() {
    if kubeconfig().is_none() {
        return;
    }
    if std::env::var_os("DRYDOCK_E2E_CLUSTER").is_none() {
        println!("left out: the cluster is not one of tests/cluster, its API server is not ours to end");
        return;
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster");
    let name = format!("away-{}", std::process::id());
    let up = run(Command::new(scripts.join("up")).arg(&name).env("METRICS", "no"));
    let cluster = Down { scripts: &scripts, name: &name };
    {
        let world = World::on(Path::new(up.trim()), "away");
        let busybox = image("busybox:1.35.0");
        world.write("data.yaml", &documents(&[deployment("db", &busybox, 6)]));
        world.write("web.yaml", &documents(&[deployment("web", &busybox, 0)]));
        let mut deploy = world.begin(&["deploy"]);
        let deploy = deploy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        crate::support::wait_until("the first phase", crate::world::LIMIT, || {
            world.get(&["deployments"])["items"].as_array().unwrap().len() == 1
        });
        cluster.api_server("off");
        std::thread::sleep(Duration::from_secs(5));
        cluster.api_server("on");
        Said::of(&deploy.wait_with_output().unwrap()).well();
        assert_eq!(world.get(&["deployment", "web"])["status"]["readyReplicas"], 1);
    }
}

struct Down<'a> {
    scripts: &'a Path,
    name: &'a str,
}

impl Down<'_> {
    fn api_server(&self, how: &str) {
        run(Command::new(self.scripts.join("program")).args([self.name, "1", how, "kube-apiserver"]));
    }
}

impl Drop for Down<'_> {
    fn drop(&mut self) {
        Command::new(self.scripts.join("down")).arg(self.name).status().unwrap();
    }
}
