//! drydock's own installation in a cluster, and what a stack's namespace grants it. Least privilege: no wildcard, no Secret
//! outside the namespaces that say so, and no service account that a namespace has not named. `deploy/drydock/` holds the
//! output for `kubectl apply -k`, and a test sees to it that it does.
//!
//! Source of the rules on impersonation: Kubernetes' "User impersonation" (the verb `impersonate` on `serviceaccounts` is asked
//! for in the account's own namespace; the groups follow from the account where none are asked for).

use serde_json::{Value, json};

use super::crd::GROUP;

/// Where drydock lives unless it is told otherwise, and what everything of its is called.
pub const NAME: &str = "drydock";
/// Where the daemon shows itself.
pub const PORT: u16 = 9632;
/// As in the image (`Dockerfile`).
const USER: u32 = 65532;

/// Everything but the definitions of kinds: namespace, account, rights, Deployment, Service.
#[must_use]
pub fn installation(image: &str) -> Vec<Value> {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAME, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAME, "labels": labels()},
    });
    vec![
        namespace,
        account,
        cluster_role(),
        binding("ClusterRoleBinding", "ClusterRole", NAME, None),
        lease_role(),
        binding("RoleBinding", "Role", NAME, Some(NAME)),
        deployment(image),
        service(),
    ]
}

/// What the namespace of a stack grants drydock: to keep the stack's releases there, and to act as its service account.
#[must_use]
pub fn of_stack(stack: &str, namespace: &str, account: &str) -> Vec<Value> {
    let name = format!("{NAME}-{stack}");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name, "namespace": namespace, "labels": labels()},
        "rules": [
            // Releases are Secrets, and what was migrated is one, whose names are made of their digests: RBAC cannot tell them from others.
            rule("", &["secrets"], &["get", "list", "create", "patch", "delete"]),
            {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [account], "verbs": ["impersonate"]},
        ],
    });
    vec![role, binding("RoleBinding", "Role", &name, Some(namespace))]
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn cluster_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": NAME, "labels": labels()},
        "rules": [
            rule(GROUP, &["stacks"], &["get", "list", "watch"]),
            rule(GROUP, &["runs"], &["list", "watch"]),
            // A Stack that was changed is deployed again by a Run of its own.
            rule(GROUP, &["runs"], &["create"]),
            rule(GROUP, &["stacks/status", "runs/status"], &["patch"]),
            rule("events.k8s.io", &["events"], &["create", "patch"]),
            // Whether anything with data in it is in no recovery point (`Protected`).
            rule("", &["persistentvolumeclaims"], &["list", "watch"]),
            rule("apps", &["deployments", "statefulsets"], &["list", "watch"]),
            rule("", &["services"], &["list"]),
        ],
    })
}

/// The Lease that elects the process.
fn lease_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": NAME, "namespace": NAME, "labels": labels()},
        "rules": [
            rule("coordination.k8s.io", &["leases"], &["create"]), // RBAC knows no name of what is not there yet
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [NAME], "verbs": ["get", "update"]},
        ],
    })
}

fn binding(kind: &str, role: &str, name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name, "labels": labels()});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAME}],
    })
}

fn deployment(image: &str) -> Value {
    let probe = |path: &str, period: u32| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "timeoutSeconds": 5});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAME, "labels": labels()},
        "spec": {
            "replicas": 1, // more wait for its Lease, and take over when it is gone
            "selector": {"matchLabels": labels()},
            "template": {
                "metadata": {"labels": labels()},
                "spec": {
                    "serviceAccountName": NAME,
                    "terminationGracePeriodSeconds": 60, // the daemon's own grace of 30 s, and what is needed after it
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": NAME,
                        "image": image,
                        "args": ["daemon", "--listen", format!("0.0.0.0:{PORT}"), "--log-format", "json"],
                        "env": [{"name": "DRYDOCK_IMAGE", "value": image}],
                        "ports": [{"name": "http", "containerPort": PORT}],
                        "livenessProbe": probe("/healthz", 20),
                        "readinessProbe": probe("/readyz", 10),
                        // It idles below 50 MiB; opening a repository (scrypt) and holding a release take more for a moment.
                        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
                    }],
                    "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
                },
            },
        },
    })
}

/// For Prometheus, and for people who look.
fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAME, "labels": labels()},
        "spec": {"selector": labels(), "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::crd;

    /// The image that `deploy/drydock/` names: `images:` of its kustomization is where another one is said.
    const IMAGE: &str = concat!("drydock:", env!("CARGO_PKG_VERSION"));

    #[test]
    fn what_kustomize_applies_is_what_the_program_prints() {
        let committed = include_str!("../../deploy/drydock/install.yaml");
        let printed = crd::yaml(&installation(IMAGE));
        assert!(committed == printed, "they differ: drydock manifests --no-crds > deploy/drydock/install.yaml");
        let kustomization: Value =
            serde_saphyr::from_str(include_str!("../../deploy/drydock/kustomization.yaml")).unwrap();
        assert_eq!(kustomization["resources"], json!(["crds.yaml", "install.yaml"]));
    }

    #[test]
    fn no_right_is_a_wildcard_and_secrets_are_a_namespaces_own_to_grant() {
        let all = [installation(IMAGE), of_stack("shop", "shop", "shop-deployer")].concat();
        let rules = |object: &Value| object["rules"].as_array().cloned().unwrap_or_default();
        for (kind, rule) in all.iter().flat_map(|object| rules(object).into_iter().map(|rule| (&object["kind"], rule)))
        {
            assert!(!rule.to_string().contains('*'), "{rule}");
            let said = rule["resources"].to_string();
            if kind == "ClusterRole" {
                assert!(!said.contains("secrets") && !said.contains("serviceaccounts"), "everywhere: {rule}");
            }
            if said.contains("serviceaccounts") {
                assert_eq!(rule["resourceNames"], json!(["shop-deployer"]));
            }
        }
    }

    #[test]
    fn every_binding_binds_a_role_that_is_there() {
        let all = [installation(IMAGE), of_stack("shop", "web", "shop-deployer")].concat();
        let bindings: Vec<&Value> = all.iter().filter(|object| object["roleRef"].is_object()).collect();
        assert_eq!(bindings.len(), 3);
        for binding in bindings {
            let role = &binding["roleRef"];
            let bound = all.iter().find(|object| {
                object["kind"] == role["kind"]
                    && object["metadata"]["name"] == role["name"]
                    && object["metadata"]["namespace"] == binding["metadata"]["namespace"]
            });
            assert!(bound.is_some(), "{binding}");
        }
    }
}
