//! The order of kinds: in which resources are printed, and fields looked at.

use std::cmp::Ordering;

use crate::identity::{Gvk, Id};
use crate::resource::Resource;

/// Kinds that come before all others, in this order.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that come after all others, in this order.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// `sortOptions.legacySortOptions`, or what is built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KindOrder {
    pub(crate) first: Vec<String>,
    pub(crate) last: Vec<String>,
}

impl Default for KindOrder {
    fn default() -> KindOrder {
        let texts = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
        KindOrder { first: texts(&FIRST), last: texts(&LAST) }
    }
}

impl KindOrder {
    /// Sorts by rank of kind, then group, version and kind, then namespace and name.
    pub(crate) fn sort(&self, resources: &mut Vec<Resource>) {
        let mut keyed: Vec<(Key, Resource)> = std::mem::take(resources)
            .into_iter()
            .map(|resource| (self.key(resource.id()), resource))
            .collect();
        keyed.sort_by(|left, right| compare(&left.0, &right.0));
        resources.extend(keyed.into_iter().map(|(_, resource)| resource));
    }

    fn key(&self, id: &Id) -> Key {
        let unnamed_namespace = id.gvk.kind == "Namespace" && id.gvk.group.is_empty();
        let part = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
        Key {
            rank: rank_in(&self.first, &self.last, &id.gvk.kind),
            is_namespace: id.gvk.kind == "Namespace",
            core_namespace: unnamed_namespace,
            kind: sort_text(&id.gvk),
            object: format!("{}|{}", part(&id.namespace, "~X"), part(&id.name, "~N")),
        }
    }
}

struct Key {
    rank: isize,
    is_namespace: bool,
    core_namespace: bool,
    kind: String,
    object: String,
}

fn compare(left: &Key, right: &Key) -> Ordering {
    let by_kind = left.kind.cmp(&right.kind);
    // Kubernetes' own Namespace comes before the Namespaces of other groups.
    let namespaces = left.is_namespace && right.is_namespace && (left.core_namespace || right.core_namespace);
    let by_kind = if namespaces { by_kind.reverse() } else { by_kind };
    left.rank.cmp(&right.rank).then(by_kind).then_with(|| left.object.cmp(&right.object))
}

/// The rank of a kind in the built-in order: negative before all others, positive after them.
pub(crate) fn rank(kind: &str) -> isize {
    rank_in(&FIRST, &LAST, kind)
}

fn rank_in<T: AsRef<str>>(first: &[T], last: &[T], kind: &str) -> isize {
    let position = |list: &[T]| list.iter().rposition(|listed| listed.as_ref() == kind);
    if let Some(position) = position(last) {
        return position as isize + 1;
    }
    position(first).map_or(0, |position| position as isize - first.len() as isize)
}

/// Group, version and kind as Kustomize compares them: `~` stands for an empty part and comes last.
pub(crate) fn sort_text(gvk: &Gvk) -> String {
    let part = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
    format!("{}_{}_{}", part(&gvk.group, "~G"), part(&gvk.version, "~V"), part(&gvk.kind, "~K"))
}
