//! In which order kinds are applied inside a wave.

use minato_resource::ResourceKey;

/// Lower is earlier: what others refer to first, then names, then what runs (Argo CD's order, as far as it matters
/// here). Kinds that have no effect here come first, where they are out of the way.
pub(crate) fn order(key: &ResourceKey) -> i32 {
    match (key.group.as_str(), key.kind.as_str()) {
        ("", "Secret") => 1,
        ("", "ConfigMap") => 2,
        ("ecs.amazonaws.com", "TaskDefinition") => 3,
        ("", "Service") => 4,
        ("apps", "DaemonSet") => 5,
        ("", "Pod") => 6,
        ("apps", "Deployment") => 7,
        ("apps", "StatefulSet") => 8,
        ("batch", "Job") => 9,
        ("ecs.amazonaws.com", "Service") => 10,
        _ => 0,
    }
}
