//! Which Objects are for this machine at all.

use minato_resource::{Object, ResourceKey};
use minato_task_definition::GROUP as ECS;

use crate::lower::{has_effect, no_effect_because};

/// Whether an Object of this kind runs, or is used by what runs, on this machine.
pub fn accepts(key: &ResourceKey) -> bool {
    has_effect(key)
}

/// Parts Objects into those for this machine and the others. Where Kubernetes objects and ECS documents stand together
/// they say the same thing twice: the Kubernetes ones run.
pub fn part(objects: Vec<Object>) -> (Vec<Object>, Vec<Object>) {
    let kubernetes = objects.iter().any(|object| accepts(object.key()) && object.key().group != ECS);
    let here = |object: &Object| accepts(object.key()) && (object.key().group != ECS || !kubernetes);
    objects.into_iter().partition(here)
}

/// Why [`part`] leaves an Object out, for people.
pub fn why_not(key: &ResourceKey) -> &'static str {
    if accepts(key) && key.group == ECS {
        return "the Kubernetes objects beside it run on this machine";
    }
    no_effect_because(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kubernetes_objects_run_where_ecs_documents_stand_beside_them() {
        let check = |kinds: &[(&str, &str)], expected: &[&str]| {
            let objects = kinds.iter().map(|(version, kind)| {
                let value = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
                Object::from_value(value).unwrap()
            });
            let (here, others) = part(objects.collect());
            let names: Vec<&str> = here.iter().map(Object::kind).collect();
            assert_eq!(names, expected);
            assert!(others.iter().all(|object| !why_not(object.key()).is_empty()));
        };
        let (task, service) =
            (("ecs.amazonaws.com/v1", "TaskDefinition"), ("ecs.amazonaws.com/v1", "Service"));
        check(&[task, service], &["TaskDefinition", "Service"]);
        check(&[task, ("apps/v1", "Deployment"), ("v1", "Service")], &["Deployment", "Service"]);
        check(&[task, ("autoscaling/v2", "HorizontalPodAutoscaler")], &["TaskDefinition"]);
        check(&[("example.com/v1", "Widget")], &[]);
    }
}
