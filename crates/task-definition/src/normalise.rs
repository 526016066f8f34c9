//! When two task definitions are the same revision.

use serde_json::{Map, Value};

use crate::size;

mod service;

pub use service::{creation, normalise_service};

/// What ECS adds to a registered task definition; a registration does not say it.
const ANSWER_FIELDS: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "deregisteredAt",
    "registeredBy",
    "deleteRequestedAt",
];

/// Brings a task definition into one form, so that what a file says and what `DescribeTaskDefinition` answers for
/// it are equal values: answer fields go, defaults are written out or left out alike, and lists whose order means
/// nothing are sorted. Fields that are not known here stay as they are.
pub fn normalise(task_definition: &Value) -> Value {
    let mut value = without_empty(task_definition);
    if let Value::Object(task) = &mut value {
        for field in ANSWER_FIELDS {
            task.remove(field);
        }
        default(task, "networkMode", Value::from("bridge"));
        let awsvpc = task.get("networkMode").and_then(Value::as_str) == Some("awsvpc");
        drop_default(task, "enableFaultInjection", &Value::Bool(false));
        size_text(task, "cpu", size::cpu_units);
        size_text(task, "memory", size::memory_mib);
        sort_texts(task, "requiresCompatibilities");
        sort_by(task, "tags", "key");
        sort_by(task, "volumes", "name");
        for container in mappings(task, "containerDefinitions") {
            normalise_container(container, awsvpc);
        }
        for volume in mappings(task, "volumes") {
            if let Some(Value::Object(efs)) = volume.get_mut("efsVolumeConfiguration") {
                default(efs, "rootDirectory", Value::from("/"));
            }
        }
    }
    value
}

/// The input of `RegisterTaskDefinition` that a document stands for: as written, without what only an answer has
/// and without `null`; sizes are the text that the API takes.
pub fn registration(task_definition: &Value) -> Value {
    let mut value = without_null(task_definition);
    if let Value::Object(task) = &mut value {
        for field in ANSWER_FIELDS {
            task.shift_remove(field);
        }
        size_text(task, "cpu", size::cpu_units);
        size_text(task, "memory", size::memory_mib);
    }
    value
}

fn normalise_container(container: &mut Map<String, Value>, awsvpc: bool) {
    default(container, "essential", Value::Bool(true));
    // ECS answers `cpu: 0` for a container without one.
    drop_default(container, "cpu", &Value::from(0));
    for name in ["mountPoints", "volumesFrom"] {
        mappings(container, name).for_each(|mount| drop_default(mount, "readOnly", &Value::Bool(false)));
    }
    for mapping in mappings(container, "portMappings") {
        default(mapping, "protocol", Value::from("tcp"));
        let port = mapping.get("containerPort").cloned();
        match (awsvpc, port) {
            (true, Some(port)) => {
                mapping.insert("hostPort".to_owned(), port);
            }
            // 0 asks for any port, as nothing does.
            _ if mapping.get("hostPort").and_then(Value::as_u64) == Some(0) => {
                mapping.remove("hostPort");
            }
            _ => {}
        }
    }
    if let Some(Value::Object(check)) = container.get_mut("healthCheck") {
        default(check, "interval", Value::from(30));
        default(check, "timeout", Value::from(5));
        default(check, "retries", Value::from(3));
        drop_default(check, "startPeriod", &Value::from(0));
    }
    for name in ["environment", "secrets"] {
        sort_by(container, name, "name");
    }
}

/// Without `null`, empty lists and empty mappings, at every depth: ECS answers `[]` for what was not said.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(name, field)| (name.clone(), without_empty(field)));
            Value::Object(kept.filter(|(_, field)| !is_empty(field)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_empty).collect()),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// `1 vCPU` and `1024` are one size; ECS answers the number as text.
fn size_text(task: &mut Map<String, Value>, name: &str, read: fn(&str) -> Option<u64>) {
    let size = match task.get(name) {
        Some(Value::String(text)) => read(text),
        Some(Value::Number(number)) => number.as_u64(),
        _ => None,
    };
    if let Some(size) = size {
        task.insert(name.to_owned(), Value::from(size.to_string()));
    }
}

/// Without `null`, at every depth.
fn without_null(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, field)| !field.is_null());
            Value::Object(kept.map(|(name, field)| (name.clone(), without_null(field))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_null).collect()),
        other => other.clone(),
    }
}

fn drop_default(fields: &mut Map<String, Value>, name: &str, value: &Value) {
    if fields.get(name) == Some(value) {
        fields.shift_remove(name);
    }
}

fn default(fields: &mut Map<String, Value>, name: &str, value: Value) {
    fields.entry(name).or_insert(value);
}

fn mappings<'fields>(
    fields: &'fields mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'fields mut Map<String, Value>> {
    let items = fields.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn sort_texts(fields: &mut Map<String, Value>, name: &str) {
    if let Some(Value::Array(items)) = fields.get_mut(name) {
        items.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
    }
}

fn sort_by(fields: &mut Map<String, Value>, name: &str, key: &str) {
    let text = |item: &Value| item.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(Value::Array(items)) = fields.get_mut(name) {
        items.sort_by_key(text);
    }
}
