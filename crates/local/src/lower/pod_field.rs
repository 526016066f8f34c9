//! `fieldRef` and `resourceFieldRef`: what a container is told about its own pod.

use minato_sync::field::Field;
use minato_workload::spec::EnvValue;

use super::limits;
use super::pod::Scope;
use super::quantity::Quantity;

/// What a replica learns about itself only when it is there.
pub(super) fn of_replica(path: &Field) -> Option<EnvValue> {
    match path.text()? {
        "metadata.name" => Some(EnvValue::ReplicaName),
        "status.podIP" => Some(EnvValue::ReplicaAddress),
        _ => None,
    }
}

/// The value of a `fieldPath`. What only a running replica knows is an error.
pub(super) fn value(path_field: &Field, scope: &Scope) -> Option<String> {
    let path = path_field.required_text()?;
    if let Some(value) = constant(path, scope) {
        return Some(value);
    }
    if let Some((map, key)) = subscript(path) {
        return Some(scope.metadata.get(map).get(key).text().unwrap_or("").to_owned());
    }
    let message = if REPLICAS_OWN.contains(&path) {
        format!("`{path}` is known only to a running replica and can't be given to it on this machine yet")
    } else {
        format!("`{path}` is no field that a container can be told")
    };
    path_field.error_with_hint(
        "field-ref",
        message,
        "inside the container `hostname` gives the replica's name",
    );
    None
}

const REPLICAS_OWN: &[&str] = &["metadata.name", "metadata.uid", "status.podIP", "status.podIPs"];

fn constant(path: &str, scope: &Scope) -> Option<String> {
    match path {
        "metadata.namespace" => Some(scope.namespace.to_owned()),
        "spec.serviceAccountName" => {
            Some(scope.spec.get("serviceAccountName").text().unwrap_or("default").to_owned())
        }
        "spec.nodeName" => Some("localhost".to_owned()),
        "status.hostIP" | "status.hostIPs" => Some("127.0.0.1".to_owned()),
        _ => None,
    }
}

/// `metadata.labels['app']` → (labels, app).
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.strip_prefix("metadata.")?.split_once("['")?;
    let key = rest.strip_suffix("']")?;
    matches!(map, "labels" | "annotations").then_some((map, key))
}

/// Every label or annotation as `key="value"` lines, as the downward API writes a whole map into a file.
pub(super) fn whole_map(path: &str, scope: &Scope) -> Option<String> {
    let map = path.strip_prefix("metadata.").filter(|map| matches!(*map, "labels" | "annotations"))?;
    let mut lines: Vec<String> = scope
        .metadata
        .get(map)
        .entries()
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={:?}", value.text()?)))
        .collect();
    lines.sort_unstable();
    Some(lines.join("\n"))
}

/// The value of a `resourceFieldRef`: a limit or request of a container, in units of `divisor`, rounded up.
pub(super) fn resource(reference: &Field, container: &Field, scope: &Scope) -> Option<String> {
    let name = reference.get("resource").required_text()?;
    let container = match reference.get("containerName").text() {
        Some(wanted) => scope.container(wanted).or_else(|| {
            reference.get("containerName").error("field-ref", format!("there is no container {wanted:?}"));
            None
        })?,
        None => container.clone(),
    };
    let quantity = read(name, &container);
    if quantity.is_none() {
        let message = format!("the container has no `{name}`, and a part of the machine is not counted here");
        let hint = format!("set `resources.{name}` on it");
        reference.get("resource").error_with_hint("field-ref", message, hint);
    }
    let divisor = match reference.get("divisor") {
        field if field.is_present() => limits::quantity(&field)?,
        _ => Quantity::ONE,
    };
    // A divisor of 0 means 1.
    let count = quantity?.divided_by(divisor).or_else(|| quantity?.divided_by(Quantity::ONE))?;
    Some(count.to_string())
}

fn read(name: &str, container: &Field) -> Option<Quantity> {
    let (kind, resource) = name.split_once('.')?;
    if !matches!((kind, resource), ("limits" | "requests", "cpu" | "memory")) {
        return None;
    }
    let quantity = |kind: &str| limits::quantity(&container.at(&["resources", kind, resource]));
    // A request that is not said is the limit.
    quantity(kind).or_else(|| if kind == "requests" { quantity("limits") } else { None })
}
