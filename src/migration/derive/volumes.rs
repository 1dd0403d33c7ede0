//! The volumes that what is kept mounts, a StatefulSet's own claims among them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{DeriveError, Owner};

/// Leaves in `pod` the volumes that its containers mount, and adds the claims of the set's first pod.
pub(super) fn keep_mounted(pod: &mut Map<String, Value>, workload: &Value, owner: &Owner) -> Result<(), DeriveError> {
    let mounted = mounted(pod);
    let mut volumes: Vec<Value> =
        pod.remove("volumes").and_then(|volumes| volumes.as_array().cloned()).unwrap_or_default();
    volumes.retain(|volume| volume["name"].as_str().is_some_and(|name| mounted.contains(name)));
    if owner.kind == "StatefulSet" {
        for claim in claims_of_first_pod(workload, owner, &mounted)? {
            volumes.retain(|volume| volume["name"] != claim["name"]); // the set's controller does the same
            volumes.push(claim);
        }
    }
    if !volumes.is_empty() {
        pod.insert("volumes".into(), volumes.into());
    }
    Ok(())
}

fn mounted(pod: &Map<String, Value>) -> BTreeSet<String> {
    let containers = ["containers", "initContainers"].iter().filter_map(|list| pod.get(*list)?.as_array()).flatten();
    let mounts = containers.flat_map(|container| {
        ["volumeMounts", "volumeDevices"].into_iter().filter_map(|list| container.get(list)?.as_array()).flatten()
    });
    mounts.filter_map(|mount| mount["name"].as_str().map(str::to_owned)).collect()
}

fn claims_of_first_pod(workload: &Value, owner: &Owner, mounted: &BTreeSet<String>) -> Result<Vec<Value>, DeriveError> {
    let number = |path: &str| workload.pointer(path).and_then(Value::as_i64);
    let (replicas, first) = (number("/spec/replicas").unwrap_or(1), number("/spec/ordinals/start").unwrap_or(0));
    let templates = workload.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    let names = templates.into_iter().flatten().filter_map(|template| template.pointer("/metadata/name")?.as_str());
    names
        .filter(|name| mounted.contains(*name))
        .map(|name| {
            if replicas > 1 {
                return Err(DeriveError::VolumePerPod {
                    workload: owner.to_string(),
                    replicas,
                    volume: name.to_owned(),
                });
            }
            let claim = format!("{name}-{}-{first}", owner.name); // how the set's controller names it
            Ok(json!({"name": name, "persistentVolumeClaim": {"claimName": claim}}))
        })
        .collect()
}
