//! Objects as they are and as they should be: read, applied on the server's side, removed.

use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy, ValidationDirective};
use serde_json::Value;

use super::client::Cluster;
use super::error::{ClusterError, Doing};
use super::manifest::{Manifest, ObjectId};

/// Whose fields are drydock's (Kubernetes' server-side apply).
pub const FIELD_MANAGER: &str = "drydock";

/// What came of applying an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    pub change: Change,
    /// As it was before; none where it was not there.
    pub former: Option<Value>,
    /// As it is now, or would be.
    pub live: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Created,
    Changed,
    Unchanged,
}

/// How an object is applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Applying<'a> {
    /// Where the manifest names no namespace.
    pub namespace: &'a str,
    /// Takes fields over that somebody else manages.
    pub force: bool,
    /// The API server says what it would do, and does not.
    pub dry_run: bool,
}

impl Cluster {
    /// The object as it is; none where it is not there.
    ///
    /// # Errors
    /// When it cannot be asked: "could not ask" is not "not there".
    pub async fn get(&self, id: &ObjectId, namespace: &str) -> Result<Option<Value>, ClusterError> {
        let api = self.api(id, namespace).await?;
        let found = api.get_opt(&id.name).await.map_err(|error| ClusterError::of(error, Doing::Read, id))?;
        Ok(found.map(value))
    }

    /// Brings the object to what the manifest says of it, and leaves what it does not say. Fields that it does not know are
    /// refused by the API server.
    ///
    /// # Errors
    /// `Conflict` where others manage a field that the manifest gives another value; what else the server refuses.
    pub async fn apply(&self, manifest: &Manifest, how: Applying<'_>) -> Result<Applied, ClusterError> {
        let id = &manifest.id;
        let api = self.api(id, how.namespace).await?;
        let of = |error, doing| ClusterError::of(error, doing, id);
        let former = api.get_opt(&id.name).await.map_err(|error| of(error, Doing::Read))?.map(value);
        let mut parameters = PatchParams::apply(FIELD_MANAGER).validation(ValidationDirective::Strict);
        (parameters.force, parameters.dry_run) = (how.force, how.dry_run);
        let applied = api.patch(&id.name, &parameters, &Patch::Apply(&applicable(&manifest.value))).await;
        let live = value(applied.map_err(|error| of(error, Doing::Apply))?);
        // Not by the version: that also counts what controllers write meanwhile, and every dry run.
        let change = match &former {
            None => Change::Created,
            Some(former) if said(former) == said(&live) => Change::Unchanged,
            Some(_) => Change::Changed,
        };
        Ok(Applied { change, former, live })
    }

    /// Removes it, and what it owns before it; true where it was there. It may be there for a while yet.
    ///
    /// # Errors
    /// When it cannot be asked or is refused.
    pub async fn delete(&self, id: &ObjectId, namespace: &str) -> Result<bool, ClusterError> {
        let api = self.api(id, namespace).await?;
        let propagation_policy = Some(PropagationPolicy::Foreground);
        match api.delete(&id.name, &DeleteParams { propagation_policy, ..DeleteParams::default() }).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(ClusterError::of(error, Doing::Delete, id)),
        }
    }
}

fn value(object: kube::api::DynamicObject) -> Value {
    serde_json::to_value(object).expect("what came as JSON is JSON")
}

/// What the API server keeps about every object.
const KEPT_BY_THE_SERVER: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// The manifest without what `kubectl get -o yaml` adds to it, which the API server refuses or takes for a precondition.
fn applicable(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    if let Some(metadata) = manifest["metadata"].as_object_mut() {
        metadata.retain(|word, _| !KEPT_BY_THE_SERVER.contains(&word.as_str()));
    }
    manifest
}

/// What people say of an object: without what the API server keeps about it, and without its status.
#[must_use]
pub fn said(object: &Value) -> Value {
    let mut object = applicable(object);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut()
        && let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
    {
        // kubectl's copy of all of it, what a Secret holds included.
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    object
}
