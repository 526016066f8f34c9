//! Kinds that can't run on this machine: named, never dropped silently.

use minato_resource::ResourceKey;
use minato_sync::field::Field;

/// Warns that this Object has no effect here, and why.
pub(super) fn warn(root: &Field) {
    let key = root.object().key();
    let reason = no_effect_because(key);
    root.get("kind").warning("left-out", format!("{key} has no effect on this machine: {reason}"));
}

/// Why a kind can't run here.
pub(crate) fn no_effect_because(key: &ResourceKey) -> &'static str {
    let known = REASONS.iter().find(|(group, kind, _)| key.is(group, kind));
    known.map_or("Minato does not know this kind", |(_, _, reason)| reason)
}

const ONE_MACHINE: &str = "there is one machine and nobody else";
const NO_API: &str = "there is no Kubernetes API server to ask";
const STORAGE: &str = "a claim that a pod mounts becomes a folder of the data folder";

const REASONS: &[(&str, &str, &str)] = &[
    ("autoscaling", "HorizontalPodAutoscaler", "the number of replicas stays as written"),
    ("autoscaling.k8s.io", "VerticalPodAutoscaler", "requests and limits stay as written"),
    ("keda.sh", "ScaledObject", "the number of replicas stays as written"),
    ("networking.k8s.io", "Ingress", "every Service is reached on its own port of 127.0.0.1"),
    ("networking.k8s.io", "IngressClass", "every Service is reached on its own port of 127.0.0.1"),
    ("gateway.networking.k8s.io", "Gateway", "every Service is reached on its own port of 127.0.0.1"),
    ("gateway.networking.k8s.io", "HTTPRoute", "every Service is reached on its own port of 127.0.0.1"),
    ("networking.k8s.io", "NetworkPolicy", "traffic between workloads is not restricted"),
    ("policy", "PodDisruptionBudget", ONE_MACHINE),
    ("scheduling.k8s.io", "PriorityClass", ONE_MACHINE),
    ("", "LimitRange", ONE_MACHINE),
    ("", "ResourceQuota", ONE_MACHINE),
    ("", "Namespace", "namespaces need not be made here"),
    ("", "PersistentVolumeClaim", STORAGE),
    ("", "PersistentVolume", STORAGE),
    ("storage.k8s.io", "StorageClass", STORAGE),
    ("batch", "CronJob", "nothing is started by the clock"),
    ("", "ServiceAccount", NO_API),
    ("rbac.authorization.k8s.io", "Role", NO_API),
    ("rbac.authorization.k8s.io", "RoleBinding", NO_API),
    ("rbac.authorization.k8s.io", "ClusterRole", NO_API),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", NO_API),
    ("apiextensions.k8s.io", "CustomResourceDefinition", NO_API),
    ("monitoring.coreos.com", "ServiceMonitor", "nothing scrapes metrics here"),
    ("monitoring.coreos.com", "PodMonitor", "nothing scrapes metrics here"),
];
