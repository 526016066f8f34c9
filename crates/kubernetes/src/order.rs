//! In which order kinds are applied inside a wave.

use minato_resource::ResourceKey;

/// Argo CD's list of kinds (gitops-engine, sync order): what others need comes first. Kinds that are not in it come
/// last.
const KINDS: [&str; 35] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// Lower is earlier. As in Argo CD, the kind's name alone decides, whatever its group.
pub(crate) fn order(key: &ResourceKey) -> i32 {
    let place = KINDS.iter().position(|kind| *kind == key.kind).unwrap_or(KINDS.len());
    i32::try_from(place).expect("the list is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_comes_first_and_the_unknown_last() {
        let sorted = [
            "Namespace x",
            "Secret a/x",
            "apiextensions.k8s.io/CustomResourceDefinition x",
            "Service a/x",
            "apps/Deployment a/x",
            "batch/Job a/x",
            "networking.k8s.io/Ingress a/x",
            "example.com/Shop a/x",
        ];
        let orders: Vec<i32> = sorted.iter().map(|key| order(&key.parse().unwrap())).collect();
        assert!(orders.is_sorted_by(|left, right| left < right), "{orders:?}");
    }
}
