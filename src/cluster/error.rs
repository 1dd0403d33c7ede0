//! What the API server would not do, in the words of whoever has to mend it.

use super::manifest::ObjectId;
use super::refusal::{self, Lacking};
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
    #[error("cannot {} {id}: an admission webhook does not answer: {message}", doing.word())]
    WebhookAway { doing: Doing, id: Box<ObjectId>, message: String },
    #[error("cannot {} {id}: the API server does not know who is asking: {message}", doing.word())]
    Unauthenticated { doing: Doing, id: Box<ObjectId>, message: String },
    #[error("cannot {} {id}: {message}", doing.word())]
    Busy { doing: Doing, id: Box<ObjectId>, message: String },
    #[error("the {id} is needed: {why}")]
    NoSecret { id: Box<ObjectId>, why: String },
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
        let webhook = refusal::webhook(&message).is_some();
        match status.code {
            401 => Self::Unauthenticated { doing, id, message },
            _ if webhook && refusal::webhook_denied(&message) => Self::Webhook { id, message },
            _ if webhook => Self::WebhookAway { doing, id, message },
            403 if message.contains("being terminated") => Self::Namespace { id, message },
            403 if Lacking::read(&message).is_some() => Self::Forbidden { doing, id, message },
            404 if message.starts_with("namespaces ") => Self::Namespace { id, message },
            409 if causes.iter().any(|cause| cause.reason == "FieldManagerConflict") => {
                let fields = causes.iter().map(|cause| refusal::conflict(&cause.field, &cause.message)).collect();
                Self::Conflict { id, fields }
            }
            // A field that its kind does not have: server-side apply answers 500, as if it were its own fault.
            500 if message.starts_with("failed to create typed patch object") => Self::Invalid { id, message },
            409 | 429 | 500..=599 => Self::Busy { doing, id, message },
            _ => Self::Invalid { id, message },
        }
    }
}

impl Failure for ClusterError {
    fn category(&self) -> Category {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::WebhookAway { .. } | Self::Other { .. } => {
                Category::Unavailable
            }
            Self::Damaged { .. } => Category::Integrity,
            Self::Config { .. }
            | Self::NoSecret { .. }
            | Self::Forbidden { .. }
            | Self::Unauthenticated { .. }
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
            Self::Forbidden { message, .. } => match Lacking::read(message) {
                Some(lacking) => lacking.remedy(),
                None => "give the stack's service account that right, or name another in `spec.serviceAccountName`".into(),
            },
            Self::Unauthenticated { .. } => "the kubeconfig's credentials are refused or have run out: get new ones".into(),
            Self::Conflict { .. } => {
                "take the field out of the manifest, have its owner give it up, or take it over with `--force-conflicts`".into()
            }
            Self::UnknownKind { id } => format!(
                "put the CustomResourceDefinition of `{}` into this phase or an earlier one, or correct `apiVersion`",
                id.kind
            ),
            Self::Invalid { id, message } => refusal::remedy(id, message),
            Self::NoSecret { .. } => "make it; the Stack's `fromSecret` names Secret and key".into(),
            Self::Namespace { .. } => "put the Namespace into an earlier phase, or wait until it is gone".into(),
            Self::Webhook { message, .. } => format!(
                "the webhook {} decides what may be in this cluster: give the object what it asks for",
                refusal::webhook(message).unwrap_or_default()
            ),
            Self::WebhookAway { message, .. } => format!(
                "see that the Service of the webhook {} has ready pods, then type the same again; where it comes with this \
                 release, put it into an earlier phase",
                refusal::webhook(message).unwrap_or_default()
            ),
            Self::Damaged { .. } => "deploy the release again from its files".into(),
            Self::Busy { .. } | Self::Other { .. } => "type the same again".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn said(status: serde_json::Value) -> ClusterError {
        let status: Status = serde_json::from_value(status).unwrap();
        let id = ObjectId {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        ClusterError::of(kube::Error::Api(Box::new(status)), Doing::Apply, &id)
    }

    #[test]
    fn a_conflict_lists_every_field_with_its_owner() {
        let error = said(json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict",
            "message": "Apply failed with 2 conflicts", "details": {"causes": [
                {"reason": "FieldManagerConflict", "message": "conflict with \"hand\" using apps/v1", "field": ".spec.replicas"},
                {"reason": "FieldManagerConflict", "message": "conflict with \"flux\"", "field": ".spec.paused"}]}}));
        assert_eq!(
            error.to_string(),
            "Deployment shop/web: others manage what the manifest says otherwise: spec.replicas (hand using apps/v1); \
             spec.paused (flux)"
        );
        assert_eq!(error.category(), Category::Usage);
        assert!(error.hint().unwrap().contains("--force-conflicts"));
    }

    #[test]
    fn what_may_pass_by_itself_is_told_from_what_does_not() {
        let of = |code: u16, message: &str| {
            said(json!({"status": "Failure", "code": code, "reason": "", "message": message})).category()
        };
        assert_eq!(of(409, "the object has been modified"), Category::Unavailable);
        assert_eq!(of(500, "failed calling webhook \"a.b.c\": connection refused"), Category::Unavailable);
        assert_eq!(of(403, "admission webhook \"a.b.c\" denied the request: no"), Category::Usage);
        assert_eq!(of(403, "pods \"x\" is forbidden: exceeded quota: small"), Category::Usage);
        assert_eq!(of(401, "Unauthorized"), Category::Usage);
        let undeclared = "failed to create typed patch object (shop/web; /v1, Kind=Service): .spec.selektor: field not \
                          declared in schema";
        assert_eq!(of(500, undeclared), Category::Usage);
        assert_eq!(of(500, "etcdserver: request timed out"), Category::Unavailable);
        let quota = said(json!({"status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "pods \"x\" is forbidden: exceeded quota: small"}));
        assert!(matches!(quota, ClusterError::Invalid { .. }), "{quota}");
    }
}
