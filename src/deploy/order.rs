//! What within a phase comes before what. Pure.

use crate::cluster::ObjectId;

/// Objects of a lower wave are applied before those of a higher one, and removed after them: what others refer to first,
/// what runs late, what would refuse or misroute others last. Where nothing is known of a kind it comes before workloads,
/// which may need it (a certificate, a Middleware).
#[must_use]
pub fn wave(id: &ObjectId) -> u8 {
    match id.kind.as_str() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" | "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" | "PriorityClass"
        | "StorageClass" | "IngressClass" | "RuntimeClass" | "ResourceQuota" | "LimitRange" | "NetworkPolicy" => 2,
        "Secret" | "ConfigMap" => 3,
        "PersistentVolume" => 4,
        "PersistentVolumeClaim" => 5,
        "Service" | "Endpoints" | "EndpointSlice" => 6,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Pod" | "Job" | "CronJob" => 8,
        "HorizontalPodAutoscaler" | "PodDisruptionBudget" | "Ingress" => 9,
        "APIService"
        | "MutatingWebhookConfiguration"
        | "ValidatingWebhookConfiguration"
        | "ValidatingAdmissionPolicy"
        | "ValidatingAdmissionPolicyBinding" => 10,
        _ => 7,
    }
}

/// Whether removing it would lose data that no new deploy brings back.
#[must_use]
pub fn bears_data(id: &ObjectId) -> bool {
    matches!(
        id.kind.as_str(),
        "PersistentVolumeClaim" | "PersistentVolume" | "Namespace" | "CustomResourceDefinition" | "StatefulSet"
    )
}
