//! drydock's own kinds as the API server holds them: read as they come, so that a resource is judged by the same types as a
//! file; their status written by server-side apply.

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::Cluster;
use super::crd::{GROUP, VERSION};
use super::error::{ClusterError, Doing};
use super::manifest::ObjectId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Stack,
    Run,
}

impl Kind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stack => "Stack",
            Self::Run => "Run",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Stack => "stacks",
            Self::Run => "runs",
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        ApiResource {
            group: GROUP.into(),
            version: VERSION.into(),
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.word().into(),
            plural: self.plural().into(),
        }
    }

    fn id(self, namespace: &str, name: &str) -> ObjectId {
        ObjectId {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.word().into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }
}

/// One object of these kinds, as it was seen last.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    /// Another object of the same name is another one.
    pub uid: String,
    pub generation: i64,
    pub created: Timestamp,
    /// Null where nobody wrote one.
    pub spec: Value,
    pub status: Value,
}

impl Seen {
    pub(super) fn of(kind: Kind, object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        Self {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            spec: object.data["spec"].clone(),
            status: object.data["status"].clone(),
        }
    }

    /// What its status says; nothing where it says what this program does not understand.
    #[must_use]
    pub fn status<S: DeserializeOwned + Default>(&self) -> S {
        S::deserialize(&self.status).unwrap_or_default()
    }

    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.kind.id(&self.namespace, &self.name)
    }
}

impl Cluster {
    fn own(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// The object as it is; none where it is not there.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn seen(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Seen>, ClusterError> {
        let found = self.own(kind, namespace).get_opt(name).await;
        let found = found.map_err(|error| ClusterError::of(error, Doing::Read, &kind.id(namespace, name)))?;
        Ok(found.map(|object| Seen::of(kind, &object)))
    }

    /// Creates a `Run`; one of that name that is there already stays what it is, and is false.
    ///
    /// # Errors
    /// When it is refused, or cannot be asked.
    pub async fn create_run(&self, namespace: &str, name: &str, spec: &impl Serialize) -> Result<bool, ClusterError> {
        let resource = Kind::Run.resource();
        let object = DynamicObject::new(name, &resource).within(namespace).data(json!({"spec": spec}));
        match self.own(Kind::Run, namespace).create(&PostParams::default(), &object).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(false),
            Err(error) => Err(ClusterError::of(error, Doing::Apply, &Kind::Run.id(namespace, name))),
        }
    }

    /// Makes what `manager` says of the object's status `status`, and nothing else of it; an object of the same name that is
    /// not this one is left alone.
    ///
    /// # Errors
    /// When it cannot be written; that it is gone is none, and false.
    pub async fn publish(&self, seen: &Seen, manager: &str, status: &impl Serialize) -> Result<bool, ClusterError> {
        let resource = seen.kind.resource();
        let says = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": seen.name, "namespace": seen.namespace, "uid": seen.uid},
            "status": status,
        });
        let api = self.own(seen.kind, &seen.namespace);
        match api.patch_status(&seen.name, &PatchParams::apply(manager).force(), &Patch::Apply(&says)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(ClusterError::of(error, Doing::Apply, &seen.id())),
        }
    }
}
