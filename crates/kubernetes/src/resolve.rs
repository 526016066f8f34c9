//! Where each desired Object will live.

use minato_resource::{Diagnostic, Object, Severity};
use minato_sync::{SYNC_OPTIONS_ANNOTATION, TargetError};
use serde_json::Value;

use crate::discovery::{Discovery, defined_by};

/// Gives every Object its namespace, or takes away the one that its kind can't have. A kind that neither the cluster
/// nor the files know is an error at its line.
pub(crate) async fn resolve(
    discovery: &Discovery,
    objects: Vec<Object>,
    namespace: &str,
) -> Result<(Vec<Object>, Vec<Diagnostic>), TargetError> {
    let mut diagnostics = Vec::new();
    let mut resolved = Vec::with_capacity(objects.len());
    for object in &objects {
        let served = discovery.exact(object.api_version(), object.kind()).await?;
        let namespaced = match served {
            Some(kind) => kind.namespaced,
            None => match defined_by(&objects, object.key()) {
                Some(defined) => defined.namespaced,
                None => {
                    if !may_be_missing(object) {
                        let other = discovery.preferred(&object.key().group, object.kind()).await?;
                        let other = other.map(|kind| kind.api_version());
                        diagnostics.push(unknown(object, other.as_deref()));
                    }
                    true
                }
            },
        };
        resolved.push(placed(object, namespaced, namespace));
    }
    Ok((resolved, diagnostics))
}

/// Whether the Object says that something else in the cluster will make its kind.
pub(crate) fn may_be_missing(object: &Object) -> bool {
    let annotations = object.annotations();
    let options = annotations.get(SYNC_OPTIONS_ANNOTATION).copied().unwrap_or_default();
    options.split(',').any(|option| option.trim() == "SkipDryRunOnMissingResource=true")
}

fn placed(object: &Object, namespaced: bool, namespace: &str) -> Object {
    if namespaced != object.namespace().is_empty() {
        return object.clone();
    }
    let mut value = object.value().clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("namespace");
        if namespaced {
            metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
        }
    }
    let placed = Object::from_value(value).expect("only its namespace is another");
    match object.origin() {
        Some(origin) => placed.with_origin(std::sync::Arc::clone(origin)),
        None => placed,
    }
}

fn unknown(object: &Object, other: Option<&str>) -> Diagnostic {
    let (version, kind) = (object.api_version(), object.kind());
    let message = format!("the cluster knows no {kind} in {version}");
    let hint = match other {
        Some(other) => format!("it serves {kind} in {other}"),
        None => format!(
            "add its CustomResourceDefinition to the files, or annotate the object with \
             {SYNC_OPTIONS_ANNOTATION}: SkipDryRunOnMissingResource=true if an earlier wave makes the kind"
        ),
    };
    object.diagnostic(Severity::Error, "unknown-kind", message, "/kind").with_hint(hint)
}
