//! One object as a release has it, and what it is called in a cluster. Pure.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

/// One object as a release has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub id: ObjectId,
    pub value: Value,
    pub origin: Origin,
}

/// Which object it is. Without a namespace it is the default one's, or the whole cluster's: its kind says which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    pub api_version: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

/// Where a manifest stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub file: PathBuf,
    /// Where its document begins, from 1.
    pub line: usize,
}

impl ObjectId {
    /// What `object` is called.
    ///
    /// # Errors
    /// What it lacks.
    pub fn of(object: &Value) -> Result<Self, String> {
        let text = |value: &Value, field: &str| match value {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            Value::Null => Err(format!("`{field}` is missing")),
            _ => Err(format!("`{field}` is no name")),
        };
        if !object.is_object() {
            return Err("this is no Kubernetes object: expected `apiVersion`, `kind` and `metadata.name`".into());
        }
        let namespace = match &object["metadata"]["namespace"] {
            Value::Null => None,
            said => Some(text(said, "metadata.namespace")?),
        };
        if object["metadata"]["name"].is_null() && !object["metadata"]["generateName"].is_null() {
            return Err("`metadata.generateName` makes another object each time: give it a `metadata.name`".into());
        }
        Ok(Self {
            api_version: text(&object["apiVersion"], "apiVersion")?,
            kind: text(&object["kind"], "kind")?,
            namespace,
            name: text(&object["metadata"]["name"], "metadata.name")?,
        })
    }
}

impl ObjectId {
    /// Group, kind, namespace and name: the same object whatever version its kind is asked for in. `namespace` is that of an
    /// object that names none.
    #[must_use]
    pub fn identity(&self, namespace: &str) -> (String, String, String, String) {
        let group = self.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let namespace = self.namespace.as_deref().unwrap_or(namespace);
        (group.to_owned(), self.kind.clone(), namespace.to_owned(), self.name.clone())
    }
}

/// `Deployment kong/kong`, `Namespace papg`.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// `kong/deployment.yaml:12`
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}
