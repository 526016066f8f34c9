//! What an Object refers to: images, ConfigMaps, Secrets. A change of any of them is a change of the Object.

use std::collections::BTreeSet;

use minato_resource::Object;
use minato_task_definition::{GROUP, SERVICE_KIND, TASK_DEFINITION_KIND};
use serde_json::Value;

use super::inputs::namespace_of;

/// One thing that an Object uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// A ConfigMap of its namespace.
    ConfigMap(String),
    /// One key of a Secret of its namespace.
    SecretKey(String, String),
    /// Every key of a Secret of its namespace.
    Secret(String),
    /// A secret that is one value, by its identifier.
    SecretValue(String),
}

/// The images that an Object runs, as it writes them.
pub fn image_references(object: &Object, objects: &[Object]) -> BTreeSet<String> {
    let images = containers(object, objects).into_iter().filter_map(|container| text(container, "image"));
    images.filter(|image| !image.is_empty()).collect()
}

/// What an Object takes from ConfigMaps and Secrets.
pub fn uses(object: &Object, objects: &[Object]) -> BTreeSet<Use> {
    let mut found = BTreeSet::new();
    for container in containers(object, objects) {
        container_uses(container, &mut found);
    }
    if let Some(volumes) = pod_spec(object).and_then(|spec| spec.get("volumes")) {
        for volume in list(volumes) {
            source_uses(volume, &mut found);
            for source in volume.pointer("/projected/sources").map(list).unwrap_or_default() {
                source_uses(source, &mut found);
            }
        }
    }
    found
}

fn container_uses(container: &Value, found: &mut BTreeSet<Use>) {
    for entry in container.get("envFrom").map(list).unwrap_or_default() {
        if let Some(name) = entry.pointer("/configMapRef").and_then(|from| text(from, "name")) {
            found.insert(Use::ConfigMap(name));
        }
        if let Some(name) = entry.pointer("/secretRef").and_then(|from| text(from, "name")) {
            found.insert(Use::Secret(name));
        }
    }
    for entry in container.get("env").map(list).unwrap_or_default() {
        if let Some(name) = entry.pointer("/valueFrom/configMapKeyRef").and_then(|from| text(from, "name")) {
            found.insert(Use::ConfigMap(name));
        }
        let secret = entry.pointer("/valueFrom/secretKeyRef");
        if let Some((name, key)) = secret.and_then(|from| Some((text(from, "name")?, text(from, "key")?))) {
            found.insert(Use::SecretKey(name, key));
        }
    }
    for entry in container.get("secrets").map(list).unwrap_or_default() {
        found.extend(text(entry, "valueFrom").map(Use::SecretValue));
    }
}

/// Volumes write `secret.secretName`, projected sources `secret.name`.
fn source_uses(source: &Value, found: &mut BTreeSet<Use>) {
    let config_map = source.get("configMap").and_then(|from| text(from, "name"));
    found.extend(config_map.map(Use::ConfigMap));
    let secret = source.get("secret");
    let name = secret.and_then(|from| text(from, "secretName").or_else(|| text(from, "name")));
    found.extend(name.map(Use::Secret));
}

/// Every container that an Object runs; an ECS service runs those of its task definition.
fn containers<'a>(object: &'a Object, objects: &'a [Object]) -> Vec<&'a Value> {
    let definition = if object.key().is(GROUP, SERVICE_KIND) {
        task_definition_of(object, objects)
    } else {
        object.key().is(GROUP, TASK_DEFINITION_KIND).then_some(object)
    };
    if let Some(definition) = definition {
        return definition.get("/spec/containerDefinitions").map(list).unwrap_or_default();
    }
    let Some(spec) = pod_spec(object) else { return Vec::new() };
    let of = |name: &str| spec.get(name).map(list).unwrap_or_default();
    of("initContainers").into_iter().chain(of("containers")).collect()
}

/// The task definition that an ECS service names.
pub(crate) fn task_definition_of<'a>(service: &Object, objects: &'a [Object]) -> Option<&'a Object> {
    let (definition, _) = minato_task_definition::ServiceDefinition::from_object(service);
    let definition = definition?;
    let family = definition.family()?.to_owned();
    objects.iter().find(|object| object.key().is(GROUP, TASK_DEFINITION_KIND) && object.name() == family)
}

fn pod_spec(object: &Object) -> Option<&Value> {
    match (object.key().group.as_str(), object.kind()) {
        ("", "Pod") => object.get("/spec"),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet") | ("batch", "Job") => {
            object.get("/spec/template/spec")
        }
        _ => None,
    }
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

/// Whether two Objects share a namespace.
pub(super) fn same_namespace(object: &Object, namespace: &str) -> bool {
    namespace_of(object) == namespace
}
