//! What an API server's refusals mean: read from the sentences in which it puts them, since its codes do not tell a missing
//! right from a quota. Pure.
//!
//! Source of the sentences: `k8s.io/apiserver` (`endpoints/handlers/responsewriters/errors.go`, `admission/plugin/webhook`),
//! `k8s.io/kubernetes` (`pkg/apis/*/validation`), read as Kubernetes 1.36 has them.

use super::manifest::ObjectId;

/// A right that somebody lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lacking<'a> {
    user: &'a str,
    verb: &'a str,
    resource: &'a str,
    group: &'a str,
    /// None where the right is one on the whole cluster.
    namespace: Option<&'a str>,
}

impl<'a> Lacking<'a> {
    /// Reads `… User "U" cannot VERB resource "R" in API group "G" in the namespace "N"` (or `at the cluster scope`).
    pub(super) fn read(message: &'a str) -> Option<Self> {
        let (user, rest) = message.split_once("User \"")?.1.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once('"')?;
        let (group, rest) = rest.split_once("in API group \"")?.1.split_once('"')?;
        let namespace = rest.split_once("in the namespace \"").and_then(|(_, rest)| Some(rest.split_once('"')?.0));
        Some(Self { user, verb, resource, group, namespace })
    }

    /// The rule that is to be added, and to which role.
    pub(super) fn remedy(&self) -> String {
        let role = match self.namespace {
            Some(namespace) => format!("a Role in the namespace {namespace}"),
            None => "a ClusterRole".to_owned(),
        };
        let who = match self.user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':')) {
            Some((namespace, name)) => format!("the service account {namespace}/{name}"),
            None => self.user.to_owned(),
        };
        format!(
            "bind {role} to {who} with the rule {{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{}\"]}}",
            self.group, self.resource, self.verb
        )
    }
}

/// The webhook that a message names: `admission webhook "NAME" denied the request: …`, `failed calling webhook "NAME": …`.
pub(super) fn webhook(message: &str) -> Option<&str> {
    Some(message.split_once("webhook \"")?.1.split_once('"')?.0)
}

/// Whether the webhook was asked and said no; otherwise it could not be asked.
pub(super) fn webhook_denied(message: &str) -> bool {
    message.contains("denied the request")
}

/// One conflict: `spec.replicas (kubectl using apps/v1)`, from the field and `conflict with "kubectl" using apps/v1`.
pub(super) fn conflict(field: &str, message: &str) -> String {
    let field = field.strip_prefix('.').unwrap_or(field);
    let owner = message.strip_prefix("conflict with ").unwrap_or(message).replace('"', "");
    format!("{field} ({owner})")
}

/// What can be done about a refused object; none where the message says it all.
pub(super) fn remedy(id: &ObjectId, message: &str) -> String {
    let (kind, name) = (id.kind.to_lowercase(), &id.name);
    let namespace = id.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    if message.contains("exceeded quota") {
        return "ask for less in the manifest, or raise the ResourceQuota that is named".into();
    }
    if message.contains("PodSecurity") {
        return "give the pod the securityContext that the message asks for, or relax the namespace's label \
                `pod-security.kubernetes.io/enforce`"
            .into();
    }
    if message.contains("ValidatingAdmissionPolicy") {
        return "look at the policy that is named; it decides what may be in this cluster".into();
    }
    let fixed = ["immutable", "are forbidden", "may not change once set", "cannot be changed"];
    if !fixed.iter().any(|words| message.contains(words)) {
        return "correct the manifest, then deploy again".into();
    }
    match id.kind.as_str() {
        "StatefulSet" => format!(
            "keep the field as it was, or remove the StatefulSet and leave its pods and claims (`kubectl delete \
             statefulset {name}{namespace} --cascade=orphan`), then deploy again: it takes them over"
        ),
        "Job" => format!(
            "a Job's template cannot change: give it another name, or remove it first (`kubectl delete job \
             {name}{namespace}`), then deploy again"
        ),
        "PersistentVolumeClaim" => {
            "of a claim only the size can change, upwards: make one of another name and move the \
                                    data, or keep the field as it was"
                .into()
        }
        "Service" => format!(
            "keep the field as it was (an address that is not given stays), or remove the Service first (`kubectl delete \
             service {name}{namespace}`), then deploy again"
        ),
        _ => format!(
            "keep the field as it was, or remove the object first (`kubectl delete {kind} {name}{namespace}`), then deploy \
             again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(kind: &str) -> ObjectId {
        ObjectId { api_version: "v1".into(), kind: kind.into(), namespace: Some("shop".into()), name: "web".into() }
    }

    #[test]
    fn a_missing_right_becomes_the_rule_to_add() {
        let message = "deployments.apps \"web\" is forbidden: User \"system:serviceaccount:shop:deployer\" cannot patch \
                       resource \"deployments\" in API group \"apps\" in the namespace \"shop\"";
        assert_eq!(
            Lacking::read(message).unwrap().remedy(),
            "bind a Role in the namespace shop to the service account shop/deployer with the rule {apiGroups: [\"apps\"], \
             resources: [\"deployments\"], verbs: [\"patch\"]}"
        );
        let message = "namespaces \"shop\" is forbidden: User \"anna\" cannot get resource \"namespaces\" in API group \
                       \"\" at the cluster scope";
        assert_eq!(
            Lacking::read(message).unwrap().remedy(),
            "bind a ClusterRole to anna with the rule {apiGroups: [\"\"], resources: [\"namespaces\"], verbs: [\"get\"]}"
        );
        assert_eq!(Lacking::read("pods \"web\" is forbidden: exceeded quota: small, requested: pods=1"), None);
    }

    #[test]
    fn a_webhook_is_named_and_its_no_is_not_its_absence() {
        let denied = "admission webhook \"validate.kyverno.svc-fail\" denied the request: no `latest`";
        assert_eq!((webhook(denied), webhook_denied(denied)), (Some("validate.kyverno.svc-fail"), true));
        let away = "Internal error occurred: failed calling webhook \"webhook.cert-manager.io\": failed to call webhook: \
                    Post \"https://cert-manager-webhook.cert-manager.svc:443/validate?timeout=30s\": connection refused";
        assert_eq!((webhook(away), webhook_denied(away)), (Some("webhook.cert-manager.io"), false));
        assert_eq!(webhook("spec.replicas: Invalid value"), None);
    }

    #[test]
    fn a_conflict_names_field_and_owner() {
        assert_eq!(
            conflict(".spec.replicas", "conflict with \"hand\" using apps/v1"),
            "spec.replicas (hand using apps/v1)"
        );
        assert_eq!(conflict(".data.key", "conflict with \"other\""), "data.key (other)");
    }

    #[test]
    fn what_cannot_change_has_a_way_out_by_kind() {
        let set =
            remedy(&id("StatefulSet"), "updates to statefulset spec for fields other than 'replicas' are forbidden");
        assert!(set.contains("kubectl delete statefulset web -n shop --cascade=orphan"), "{set}");
        let job = remedy(&id("Job"), "spec.template: Invalid value: field is immutable");
        assert!(job.contains("give it another name") && job.contains("kubectl delete job web -n shop"), "{job}");
        let claim = remedy(&id("PersistentVolumeClaim"), "spec is immutable after creation except resources.requests");
        assert!(claim.contains("only the size can change") && !claim.contains("delete"), "{claim}");
        let quota = remedy(&id("Pod"), "pods \"web\" is forbidden: exceeded quota: small, requested: pods=1");
        assert!(quota.contains("ResourceQuota"), "{quota}");
        assert_eq!(remedy(&id("Pod"), "spec.containers: Required value"), "correct the manifest, then deploy again");
    }
}
