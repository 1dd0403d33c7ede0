//! What the API server would not do, in the words of whoever has to mend it.

use super::manifest::ObjectId;
use crate::failure::{Category, Failure};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Discover,
    Read,
    Apply,
    Delete,
}

impl Doing {
    fn word(self) -> &'static str {
        match self {
            Self::Discover => "look up the kind of",
            Self::Read => "read",
            Self::Apply => "apply",
            Self::Delete => "remove",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("there is no way to a cluster: {reason}")]
    Config { reason: String },
    #[error("cannot {} {id}: the API server does not answer", doing.word())]
    Unreachable { doing: Doing, id: Box<ObjectId>, source: kube::Error },
    #[error("cannot {} {id}: not allowed: {message}", doing.word())]
    Forbidden { doing: Doing, id: Box<ObjectId>, message: String },
    #[error("{id}: others manage what the manifest says otherwise: {}", fields.join("; "))]
    Conflict { id: Box<ObjectId>, fields: Vec<String> },
    #[error("{id}: the cluster knows no kind `{}` in {}", id.kind, id.api_version)]
    UnknownKind { id: Box<ObjectId> },
    #[error("{id}: refused: {message}")]
    Invalid { id: Box<ObjectId>, message: String },
    #[error("{id}: its namespace does not exist or is being removed: {message}")]
    Namespace { id: Box<ObjectId>, message: String },
    #[error("{id}: refused by an admission webhook: {message}")]
    Webhook { id: Box<ObjectId>, message: String },
    #[error("cannot {} {id}: {message}", doing.word())]
    Busy { doing: Doing, id: Box<ObjectId>, message: String },
    #[error("{id}: what is stored there cannot be used: {reason}")]
    Damaged { id: Box<ObjectId>, reason: String },
    #[error("cannot {} {id}", doing.word())]
    Other { doing: Doing, id: Box<ObjectId>, source: kube::Error },
}

impl ClusterError {
    pub(super) fn config(error: impl std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
        let mut parts: Vec<String> = std::iter::once(error.to_string()).chain(causes).collect();
        parts.dedup_by(|later, earlier| earlier.contains(later.as_str()));
        Self::Config { reason: parts.join(": ") }
    }

    /// What the client said of `doing` with `id`.
    pub(super) fn of(error: kube::Error, doing: Doing, id: &ObjectId) -> Self {
        let id = Box::new(id.clone());
        let status = match error {
            kube::Error::Api(status) => *status,
            source @ (kube::Error::HyperError(_) | kube::Error::Service(_)) => {
                return Self::Unreachable { doing, id, source };
            }
            source => return Self::Other { doing, id, source },
        };
        let message = status.message.clone();
        let causes = status.details.map(|details| details.causes).unwrap_or_default();
        match status.code {
            403 if message.contains("being terminated") => Self::Namespace { id, message },
            401 | 403 if message.contains("admission webhook") => Self::Webhook { id, message },
            401 | 403 => Self::Forbidden { doing, id, message },
            404 if message.starts_with("namespaces ") => Self::Namespace { id, message },
            409 if causes.iter().any(|cause| cause.reason == "FieldManagerConflict") => {
                let fields = causes.into_iter().map(|cause| format!("{} ({})", cause.field, cause.message)).collect();
                Self::Conflict { id, fields }
            }
            _ if message.contains("webhook") => Self::Webhook { id, message },
            409 | 429 | 500..=599 => Self::Busy { doing, id, message },
            _ => Self::Invalid { id, message },
        }
    }
}

impl Failure for ClusterError {
    fn category(&self) -> Category {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Other { .. } => Category::Unavailable,
            Self::Damaged { .. } => Category::Integrity,
            Self::Config { .. }
            | Self::Forbidden { .. }
            | Self::Conflict { .. }
            | Self::UnknownKind { .. }
            | Self::Invalid { .. }
            | Self::Namespace { .. }
            | Self::Webhook { .. } => Category::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config { .. } => "set KUBECONFIG, or run this in a pod with a service account".into(),
            Self::Unreachable { .. } => "look whether the API server is up and reachable, then type the same again".into(),
            Self::Forbidden { .. } => {
                "give the stack's service account that right, or name another in `spec.serviceAccountName`".into()
            }
            Self::Conflict { .. } => {
                "take the field out of the manifest, have its owner give it up, or take it over with `--force-conflicts`".into()
            }
            Self::UnknownKind { id } => format!(
                "put the CustomResourceDefinition of `{}` into this phase or an earlier one, or correct `apiVersion`",
                id.kind
            ),
            Self::Invalid { id, message } if message.contains("immutable") || message.contains("are forbidden") => format!(
                "that field cannot change: keep it, or remove the object first (a StatefulSet's pods can stay: `kubectl \
                 delete --cascade=orphan {} {}`), then deploy again",
                id.kind.to_lowercase(),
                id.name
            ),
            Self::Invalid { .. } => "correct the manifest, then deploy again".into(),
            Self::Namespace { .. } => "put the Namespace into an earlier phase, or wait until it is gone".into(),
            Self::Webhook { .. } => "look at the webhook that is named; it decides what may be in this cluster".into(),
            Self::Damaged { .. } => "deploy the release again from its files".into(),
            Self::Busy { .. } | Self::Other { .. } => "type the same again".into(),
        })
    }
}
