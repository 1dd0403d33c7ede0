//! The two Jobs of a migration: one that only looks, one that migrates and then looks. What is looked at is what the image
//! says of itself and what the database holds; both are asked in one pod, beside each other, with the component's own
//! environment, so that an answer costs one start of a pod. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::chatwoot;
use super::derive::{DeriveError, Wanted, derive};
use crate::stack::Migration;

/// The container that asks the database: drydock's own image.
pub const GATE: &str = "drydock-gate";
/// The container that asks the component's image.
pub const IMAGE: &str = "drydock-image";
/// The label that finds all Jobs and pods of a component's migrations, of whatever run.
pub const COMPONENT: &str = "drydock.dev/component";

/// A database that was started a moment ago is waited for by the gate itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which component, and who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub component: &'a str,
    pub adapter: Migration,
    /// drydock's own.
    pub image: &'a str,
}

/// What the image is asked, by its entrypoint. Strapi's says nothing that is needed; that it starts at all is known then.
#[must_use]
pub fn question(adapter: Migration) -> &'static [&'static str] {
    match adapter {
        Migration::Kong => &["kong", "migrations", "status"],
        Migration::Chatwoot => &chatwoot::LIST,
        Migration::Strapi | Migration::Job => &["node", "--version"],
    }
}

/// A Job that changes nothing.
///
/// # Errors
/// As [`derive`].
pub fn look(workload: &Value, of: &Wanted<'_>, asked: Asked<'_>) -> Result<Value, DeriveError> {
    let mut job = derive(workload, &Wanted { args: question(asked.adapter), command: None, ..*of })?;
    let mut image = container(&mut job).take();
    let gate = gate(&image, asked);
    image["name"] = IMAGE.into();
    job["spec"]["template"]["spec"]["containers"] = json!([image, gate]);
    label(&mut job, asked.component);
    Ok(job)
}

/// A Job that does what `of` says, and looks once that has ended well. One that fails has looked at nothing.
///
/// # Errors
/// As [`derive`].
pub fn migrate(workload: &Value, of: &Wanted<'_>, asked: Asked<'_>) -> Result<Value, DeriveError> {
    let mut job = derive(workload, of)?;
    let mut looking = look(workload, of, asked)?;
    let migrates = container(&mut job).take();
    job["spec"]["template"]["spec"]["containers"] = looking["spec"]["template"]["spec"]["containers"].take();
    match job["spec"]["template"]["spec"]["initContainers"].as_array_mut() {
        Some(before) => before.push(migrates),
        None => job["spec"]["template"]["spec"]["initContainers"] = json!([migrates]),
    }
    label(&mut job, asked.component);
    Ok(job)
}

/// The container that migrates.
#[must_use]
pub fn migrating(job: &Value) -> Option<&str> {
    job["spec"]["template"]["spec"]["initContainers"].as_array()?.last()?["name"].as_str()
}

/// The image that migrates.
///
/// # Errors
/// As [`derive`].
pub fn image(workload: &Value, of: &Wanted<'_>) -> Result<String, DeriveError> {
    let mut job = derive(workload, of)?;
    Ok(container(&mut job)["image"].as_str().unwrap_or_default().to_owned())
}

/// Which image with which environment a component migrates with, as the SHA-256 of both in hex. Of Strapi the image alone: it
/// holds all that makes a schema, and to look again would take production down to one pod.
///
/// # Errors
/// As [`derive`].
pub fn fingerprint(workload: &Value, of: &Wanted<'_>, adapter: Migration) -> Result<String, DeriveError> {
    let mut job = derive(workload, of)?;
    let container = container(&mut job);
    let told = match adapter {
        Migration::Strapi => json!([container["image"]]),
        _ => json!([container["image"], container["env"], container["envFrom"]]),
    };
    Ok(hex::encode(Sha256::digest(told.to_string())))
}

fn container(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]["containers"][0]
}

fn label(job: &mut Value, component: &str) {
    for place in ["/metadata/labels", "/spec/template/metadata/labels"] {
        if let Some(labels) = job.pointer_mut(place) {
            labels[COMPONENT] = component.into();
        }
    }
}

/// drydock beside `migrates`, with the same environment and files, and as little as `restricted` pod security asks for.
fn gate(migrates: &Value, asked: Asked<'_>) -> Value {
    let wait = format!("{}s", PATIENCE.as_secs());
    let mut gate = json!({
        "name": GATE,
        "image": asked.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["gate", asked.adapter.word(), "--wait", wait],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi", "cpu": "500m"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    for field in ["env", "envFrom"] {
        if let Some(of) = migrates.get(field) {
            gate[field] = of.clone();
        }
    }
    if let Some(mounts) = migrates["volumeMounts"].as_array() {
        let read_only = mounts.iter().map(|mount| {
            let mut mount = mount.clone();
            mount["readOnly"] = true.into();
            mount
        });
        gate["volumeMounts"] = read_only.collect();
    }
    gate
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Wanted<'static> = Wanted {
        run: "deploy-shop-1",
        step: "migrate-kong",
        attempt: 1,
        container: None,
        image: None,
        command: None,
        args: &["kong", "migrations", "up"],
        without: &[],
        deadline: Duration::from_secs(60),
    };
    const ASKED: Asked<'static> = Asked { component: "kong", adapter: Migration::Kong, image: "drydock:1" };

    fn kong() -> Value {
        json!({"kind": "Deployment", "metadata": {"name": "kong", "namespace": "shop"}, "spec": {"template": {
            "metadata": {"labels": {"app": "kong"}},
            "spec": {"initContainers": [{"name": "certificates", "image": "kong:3.9.1", "command": ["cp"]}], "containers": [
                {"name": "proxy", "image": "kong:3.9.1", "ports": [{"containerPort": 8000}],
                 "env": [{"name": "KONG_PG_HOST", "value": "db"}],
                 "volumeMounts": [{"name": "secrets", "mountPath": "/secrets"}]}],
             "volumes": [{"name": "secrets", "secret": {"secretName": "kong"}}]}}}})
    }

    fn names(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn image_and_database_are_asked_beside_each_other() {
        let job = look(&kong(), &OF, ASKED).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(names(&pod["initContainers"]), ["certificates"]);
        assert_eq!(names(&pod["containers"]), [IMAGE, GATE]);
        assert_eq!(pod["containers"][0]["args"], json!(["kong", "migrations", "status"]));
        let gate = &pod["containers"][1];
        assert_eq!((&gate["image"], &gate["args"][1]), (&json!("drydock:1"), &json!("kong")));
        assert_eq!(gate["env"], json!([{"name": "KONG_PG_HOST", "value": "db"}]));
        assert_eq!(gate["volumeMounts"][0]["readOnly"], true);
        assert_eq!(job["metadata"]["labels"][COMPONENT], "kong");
        assert_eq!(job["spec"]["template"]["metadata"]["labels"][COMPONENT], "kong");
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["app"], "kong");
    }

    #[test]
    fn what_migrates_comes_last_before_what_looks() {
        let job = migrate(&kong(), &OF, ASKED).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(names(&pod["initContainers"]), ["certificates", "proxy"]);
        assert_eq!(pod["initContainers"][1]["args"], json!(["kong", "migrations", "up"]));
        assert_eq!(names(&pod["containers"]), [IMAGE, GATE]);
        assert_eq!(migrating(&job), Some("proxy"));
    }

    #[test]
    fn another_image_or_environment_is_another_migration() {
        let of = |workload: &Value, wanted| fingerprint(workload, &wanted, Migration::Kong).unwrap();
        let plain = of(&kong(), OF);
        assert_eq!(plain, of(&kong(), Wanted { run: "another", args: &[], ..OF }));
        for (path, value) in [("image", json!("kong:3.9.2")), ("env", json!([{"name": "KONG_PG_HOST", "value": "b"}]))]
        {
            let mut other = kong();
            other["spec"]["template"]["spec"]["containers"][0][path] = value;
            assert_ne!(plain, of(&other, OF), "{path}");
        }
    }
}
