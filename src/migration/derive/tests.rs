use super::*;

const ROLL: Wanted<'static> = Wanted {
    run: "deploy-papg-20261124t030000z-a1b2",
    step: "kong-up",
    attempt: 1,
    container: None,
    image: None,
    command: None,
    args: &["kong", "migrations", "up"],
    without: &[],
    deadline: Duration::from_secs(1_800),
};

/// Kong as a team deploys it: a proxy with probes and host ports beside a log shipper, Vault's secrets, a mesh.
fn kong() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "kong", "namespace": "papg", "uid": "7f…", "resourceVersion": "812",
            "ownerReferences": [{"kind": "Stack", "name": "papg"}],
        },
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {
                    "labels": {"app": "kong", "pod-template-hash": "5d9c", "tier": "gateway"},
                    "annotations": {
                        "vault.hashicorp.com/agent-inject": "true",
                        "vault.hashicorp.com/agent-pre-populate": "false",
                        "vault.hashicorp.com/role": "kong",
                        "linkerd.io/inject": "enabled",
                        "container.apparmor.security.beta.kubernetes.io/proxy": "runtime/default",
                        "container.apparmor.security.beta.kubernetes.io/logs": "runtime/default",
                    },
                },
                "spec": {
                    "serviceAccountName": "kong",
                    "securityContext": {"runAsNonRoot": true, "fsGroup": 1000},
                    "imagePullSecrets": [{"name": "registry"}],
                    "nodeSelector": {"pool": "data"},
                    "tolerations": [{"key": "data", "operator": "Exists"}],
                    "affinity": {
                        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []},
                        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}},
                    },
                    "topologySpreadConstraints": [{"maxSkew": 1}],
                    "restartPolicy": "Always",
                    "terminationGracePeriodSeconds": 60,
                    "initContainers": [
                        {"name": "certificates", "image": "kong:3.9.1", "command": ["cp", "-r", "/tls", "/work"],
                         "volumeMounts": [{"name": "work", "mountPath": "/work"}]},
                        {"name": "wait-for-db", "image": "kong:3.9.1",
                         "command": ["/bin/bash", "-c", "until kong  start; do sleep 1; done; kong stop"]},
                        {"name": "sql-proxy", "image": "sql-proxy:2", "restartPolicy": "Always",
                         "ports": [{"containerPort": 5432}], "startupProbe": {"tcpSocket": {"port": 5432}}},
                    ],
                    "containers": [
                        {"name": "proxy", "image": "kong:3.9.1", "command": ["kong", "docker-start"],
                         "ports": [{"containerPort": 8000, "hostPort": 80}],
                         "env": [{"name": "KONG_PG_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "kong-db", "key": "password"}}}],
                         "envFrom": [{"configMapRef": {"name": "kong"}}],
                         "resources": {"limits": {"memory": "1Gi"}},
                         "securityContext": {"readOnlyRootFilesystem": true},
                         "livenessProbe": {"httpGet": {"path": "/status"}}, "readinessProbe": {"httpGet": {"path": "/status"}},
                         "startupProbe": {"httpGet": {"path": "/status"}}, "lifecycle": {"preStop": {"exec": {"command": ["kong", "quit"]}}},
                         "volumeMounts": [{"name": "prefix", "mountPath": "/kong"}]},
                        {"name": "logs", "image": "fluent:3", "volumeMounts": [{"name": "spool", "mountPath": "/spool"}]},
                    ],
                    "volumes": [
                        {"name": "prefix", "emptyDir": {}}, {"name": "work", "emptyDir": {}}, {"name": "spool", "emptyDir": {}},
                        {"name": "plugins", "configMap": {"name": "plugins"}},
                    ],
                },
            },
        },
    })
}

#[test]
fn kongs_migration_is_its_proxy_without_what_serves() {
    let wanted = Wanted { container: Some("proxy"), ..ROLL };
    let ours = json!({
        "drydock.dev/run": "deploy-papg-20261124t030000z-a1b2", "drydock.dev/step": "kong-up", "drydock.dev/attempt": "1",
    });
    let mut labels = ours.clone();
    labels["app"] = "kong".into();
    labels["tier"] = "gateway".into();
    labels["sidecar.istio.io/inject"] = "false".into();
    labels["kuma.io/sidecar-injection"] = "disabled".into();
    let whose = json!({
        "drydock.dev/run": "deploy-papg-20261124t030000z-a1b2", "drydock.dev/step": "kong-up",
        "drydock.dev/derived-from": "Deployment/kong",
    });
    let mut annotations = whose.clone();
    annotations["vault.hashicorp.com/agent-inject"] = "true".into();
    annotations["vault.hashicorp.com/agent-pre-populate-only"] = "true".into();
    annotations["vault.hashicorp.com/role"] = "kong".into();
    annotations["linkerd.io/inject"] = "disabled".into();
    annotations["sidecar.istio.io/inject"] = "false".into();
    annotations["kuma.io/sidecar-injection"] = "disabled".into();
    annotations["consul.hashicorp.com/connect-inject"] = "false".into();
    annotations["container.apparmor.security.beta.kubernetes.io/proxy"] = "runtime/default".into();
    annotations["drydock.dev/left-out"] = "wait-for-db: it waits for the migration or runs it".into();
    let expected = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "deploy-papg-20261124t030000z-a1b2-kong-up-1", "namespace": "papg", "labels": ours, "annotations": whose,
        },
        "spec": {
            "backoffLimit": 0, "completions": 1, "parallelism": 1, "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": 1800,
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    "serviceAccountName": "kong",
                    "securityContext": {"runAsNonRoot": true, "fsGroup": 1000},
                    "imagePullSecrets": [{"name": "registry"}],
                    "nodeSelector": {"pool": "data"},
                    "tolerations": [{"key": "data", "operator": "Exists"}],
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}},
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 60,
                    "readinessGates": [{"conditionType": "drydock.dev/serving"}],
                    "initContainers": [
                        {"name": "certificates", "image": "kong:3.9.1", "command": ["cp", "-r", "/tls", "/work"],
                         "volumeMounts": [{"name": "work", "mountPath": "/work"}]},
                        {"name": "sql-proxy", "image": "sql-proxy:2", "restartPolicy": "Always",
                         "startupProbe": {"tcpSocket": {"port": 5432}}},
                    ],
                    "containers": [
                        {"name": "proxy", "image": "kong:3.9.1", "args": ["kong", "migrations", "up"],
                         "terminationMessagePolicy": "FallbackToLogsOnError",
                         "env": [{"name": "KONG_PG_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "kong-db", "key": "password"}}}],
                         "envFrom": [{"configMapRef": {"name": "kong"}}],
                         "resources": {"limits": {"memory": "1Gi"}},
                         "securityContext": {"readOnlyRootFilesystem": true},
                         "volumeMounts": [{"name": "prefix", "mountPath": "/kong"}]},
                    ],
                    "volumes": [{"name": "prefix", "emptyDir": {}}, {"name": "work", "emptyDir": {}}],
                },
            },
        },
    });
    assert_eq!(derive(&kong(), &wanted).unwrap(), expected);
}

#[test]
fn a_hop_takes_another_image_also_where_an_init_container_has_the_same() {
    let wanted = Wanted {
        container: Some("proxy"),
        image: Some("kong:3.4.2"),
        command: Some(&["/bin/kong"]),
        args: &["migrations", "up"],
        ..ROLL
    };
    let job = derive(&kong(), &wanted).unwrap();
    let images: Vec<&Value> = ["initContainers/0", "initContainers/1", "containers/0"]
        .iter()
        .map(|path| job.pointer(&format!("/spec/template/spec/{path}/image")).unwrap())
        .collect();
    assert_eq!(images, ["kong:3.4.2", "sql-proxy:2", "kong:3.4.2"]);
    let migrates = job.pointer("/spec/template/spec/containers/0").unwrap();
    assert_eq!((&migrates["command"], &migrates["args"]), (&json!(["/bin/kong"]), &json!(["migrations", "up"])));
}

#[test]
fn init_containers_are_left_out_by_name_and_where_they_would_cut_the_network() {
    let mut workload = kong();
    let inits = workload.pointer_mut("/spec/template/spec/initContainers").unwrap().as_array_mut().unwrap();
    inits.insert(0, json!({"name": "istio-init", "image": "istio/proxyv2"}));
    let left_out = |workload: &Value, without| {
        let job = derive(workload, &Wanted { container: Some("proxy"), without, ..ROLL }).unwrap();
        job.pointer("/spec/template/metadata/annotations/drydock.dev~1left-out").unwrap().as_str().unwrap().to_owned()
    };
    assert_eq!(
        left_out(&workload, &["certificates"]),
        "istio-init: it redirects traffic to a proxy that is not here; certificates: it was said; \
         wait-for-db: it waits for the migration or runs it"
    );
    let inits = workload.pointer_mut("/spec/template/spec/initContainers").unwrap().as_array_mut().unwrap();
    inits.push(json!({"name": "istio-proxy", "image": "istio/proxyv2", "restartPolicy": "Always"}));
    assert_eq!(
        left_out(&workload, &[]),
        "wait-for-db: it waits for the migration or runs it",
        "with its proxy as a native sidecar the redirection leads somewhere"
    );
}

#[test]
fn which_container_migrates_is_never_guessed() {
    let said = |workload: &Value, container| {
        let error = derive(workload, &Wanted { container, ..ROLL }).unwrap_err();
        format!("{error}; {}", error.hint().unwrap())
    };
    assert_eq!(
        said(&kong(), None),
        "Deployment/kong has several containers (proxy, logs): which of them migrates is not said; \
         name the container whose image migrates"
    );
    assert_eq!(
        said(&kong(), Some("kong")),
        "Deployment/kong has no container `kong`, but proxy, logs; \
         name the container whose image migrates"
    );
    assert_eq!(
        said(&json!({"kind": "CronJob", "metadata": {"name": "tidy"}}), None),
        "a migration cannot be derived from CronJob/tidy, which has no pod template of a component; \
         name a Deployment, StatefulSet or DaemonSet as the component's workload"
    );
    let empty =
        json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": []}}}});
    assert_eq!(derive(&empty, &ROLL).unwrap_err().to_string(), "Deployment/web has no pod template with a container");
}

fn strapi(replicas: i64) -> Value {
    json!({
        "kind": "StatefulSet",
        "metadata": {"name": "strapi"},
        "spec": {
            "replicas": replicas,
            "volumeClaimTemplates": [{"metadata": {"name": "uploads"}}, {"metadata": {"name": "search"}}],
            "template": {"spec": {
                "subdomain": "strapi", "hostname": "strapi",
                "containers": [{"name": "strapi", "image": "strapi:5.54.0", "volumeMounts": [
                    {"name": "uploads", "mountPath": "/app/public/uploads"}, {"name": "tmp", "mountPath": "/tmp"},
                ]}],
                "volumes": [{"name": "uploads", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
            }},
        },
    })
}

#[test]
fn a_set_of_one_lends_its_claim_and_a_set_of_several_is_refused() {
    let job = derive(&strapi(1), &ROLL).unwrap();
    assert_eq!(
        job.pointer("/spec/template/spec/volumes").unwrap(),
        &json!([{"name": "tmp", "emptyDir": {}}, {"name": "uploads", "persistentVolumeClaim": {"claimName": "uploads-strapi-0"}}]),
        "the claim wins over the template's volume of the same name; what nobody mounts is not claimed"
    );
    assert_eq!(job.pointer("/spec/template/spec/subdomain"), None);
    let mut later = strapi(1);
    later["spec"]["ordinals"] = json!({"start": 5});
    let claim = derive(&later, &ROLL).unwrap();
    let claim = claim.pointer("/spec/template/spec/volumes/1/persistentVolumeClaim/claimName").unwrap();
    assert_eq!(claim, "uploads-strapi-5");
    let refused = derive(&strapi(2), &ROLL).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "StatefulSet/strapi has 2 pods, each with its own volume `uploads`: a migration would change one of them"
    );
    let mut aside = strapi(2);
    aside.pointer_mut("/spec/template/spec/containers/0/volumeMounts").unwrap().as_array_mut().unwrap().remove(0);
    let job = derive(&aside, &ROLL).unwrap();
    assert_eq!(
        job.pointer("/spec/template/spec/volumes").unwrap(),
        &json!([{"name": "tmp", "emptyDir": {}}]),
        "what is not mounted hinders nobody"
    );
}

#[test]
fn vaults_agent_is_told_only_where_it_was_asked() {
    for (asked, told) in [("true", true), ("1", true), ("false", false), ("yes", false)] {
        let mut workload = strapi(1);
        workload["spec"]["template"]["metadata"] = json!({"annotations": {"vault.hashicorp.com/agent-inject": asked}});
        let job = derive(&workload, &ROLL).unwrap();
        let only = job.pointer("/spec/template/metadata/annotations/vault.hashicorp.com~1agent-pre-populate-only");
        assert_eq!(only, told.then(|| json!("true")).as_ref(), "{asked}");
    }
}
