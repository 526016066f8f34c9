//! Objects in the normal form that live and desired are compared in.
//!
//! A task definition is a whole: what a file says is all there is. A service is what it is until a file says otherwise:
//! predicted is live with the file's fields laid over it, and fields that no file names stay as they are.

use std::collections::BTreeMap;

use minato_resource::{Object, ResourceKey};
use minato_sync::Fingerprint;
use minato_task_definition::{GROUP, SERVICE_KIND, TASK_DEFINITION_KIND, normalise, normalise_service};
use serde_json::{Map, Value, json};

use crate::revision::{self, Revision};
use crate::tags::{Tags, kept_annotations};

/// Annotation of live Objects: what Minato brought out last, to know it again. Never shown as a difference.
const CONTENT_ANNOTATION: &str = "minato.dev/content";

const API_VERSION: &str = "ecs.amazonaws.com/v1";

/// Key of a service.
pub(crate) fn service_key(name: &str) -> ResourceKey {
    ResourceKey::new(GROUP, SERVICE_KIND, "", name)
}

/// The live Object of a revision that runs.
pub(crate) fn live_task_definition(revision: &Revision) -> Option<Object> {
    let mut spec = normalise(&revision.definition);
    put_tags(&mut spec, &revision.tags.users());
    object(TASK_DEFINITION_KIND, &revision.family, annotations(&revision.tags), spec)
}

/// The live Object of an item of `DescribeServices`.
pub(crate) fn live_service(service: &Value) -> Option<Object> {
    let name = service.get("serviceName")?.as_str()?;
    let tags = Tags::read(service.get("tags"));
    let mut spec = normalise_service(service);
    put_tags(&mut spec, &tags.users());
    object(SERVICE_KIND, name, annotations(&tags), spec)
}

/// What applying a task definition makes of what is live.
pub(crate) fn predicted_task_definition(desired: &Object, live: Option<&Object>) -> Option<Object> {
    let normal = revision::normal(desired);
    // What ECS made of it may have more than was asked for; the mark tells that it is the same.
    let made = live.map(untagged).filter(|made| is_marked(live, &revision::mark(&normal, made)));
    let mut spec = made.unwrap_or(normal);
    put_tags(&mut spec, &tags_of(live).with(&tags_of(Some(desired))));
    object(TASK_DEFINITION_KIND, desired.name(), predicted_annotations(desired, live), spec)
}

/// What applying a service makes of what is live; `wish` is [`service_wish`] of it.
pub(crate) fn predicted_service(desired: &Object, live: Option<&Object>, wish: &Value) -> Option<Object> {
    let mut spec = match live {
        Some(live) => {
            let applied_before = is_marked(Some(live), &service_mark(desired));
            laid_over(live.get("/spec").unwrap_or(&Value::Null), wish, applied_before)
        }
        None => wish.clone(),
    };
    put_tags(&mut spec, &tags_of(live).with(&tags_of(Some(desired))));
    object(SERVICE_KIND, desired.name(), predicted_annotations(desired, live), spec)
}

/// What a file asks of a service, in normal form: with the revision to run, and without the number of tasks when that
/// is somebody else's.
pub(crate) fn service_wish(desired: &Object, revision: Option<&str>, count_is_others: bool) -> Value {
    let mut wish = normalise_service(desired.get("/spec").unwrap_or(&Value::Null));
    if let Value::Object(fields) = &mut wish {
        if let Some(revision) = revision {
            fields.insert("taskDefinition".to_owned(), Value::from(revision));
        }
        let daemon = fields.get("schedulingStrategy").and_then(Value::as_str) == Some("DAEMON");
        if count_is_others || daemon {
            fields.shift_remove("desiredCount");
        }
    }
    wish
}

/// The mark of a service that was brought out from this document.
pub(crate) fn service_mark(desired: &Object) -> String {
    let normal = normalise_service(desired.get("/spec").unwrap_or(&Value::Null));
    Fingerprint::of(&[normal], &BTreeMap::new()).to_string()
}

fn is_marked(live: Option<&Object>, mark: &str) -> bool {
    live.is_some_and(|live| live.annotations().get(CONTENT_ANNOTATION) == Some(&mark))
}

fn untagged(live: &Object) -> Value {
    let mut spec = live.get("/spec").cloned().unwrap_or_default();
    put_tags(&mut spec, &Tags::default());
    spec
}

/// `live` with the fields of `wish`. Lists are replaced, but items of lists of the same length keep what ECS added to
/// each. Of what was `applied_before`, ECS tells some fields never again; their absence is no difference.
pub(crate) fn laid_over(live: &Value, wish: &Value, applied_before: bool) -> Value {
    match (live, wish) {
        (Value::Object(live), Value::Object(wish)) => {
            let mut fields = live.clone();
            for (name, wanted) in wish {
                match live.get(name) {
                    Some(there) => {
                        fields.insert(name.clone(), laid_over(there, wanted, applied_before));
                    }
                    None if applied_before || is_empty(wanted) => {}
                    None => {
                        fields.insert(name.clone(), wanted.clone());
                    }
                }
            }
            Value::Object(fields)
        }
        (Value::Array(live), Value::Array(wish)) if live.len() == wish.len() => {
            live.iter().zip(wish).map(|(live, wish)| laid_over(live, wish, applied_before)).collect()
        }
        _ => wish.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

fn tags_of(object: Option<&Object>) -> Tags {
    Tags::read(object.and_then(|object| object.get("/spec/tags")))
}

fn put_tags(spec: &mut Value, tags: &Tags) {
    let Value::Object(fields) = spec else { return };
    fields.shift_remove("tags");
    if !tags.is_empty() {
        fields.insert("tags".to_owned(), tags.to_value());
    }
}

fn annotations(tags: &Tags) -> BTreeMap<String, String> {
    let mut annotations = tags.annotations();
    annotations.extend(tags.mark().map(|mark| (CONTENT_ANNOTATION.to_owned(), mark.to_owned())));
    annotations
}

/// Those of live, and what the file says of the ones that are kept.
fn predicted_annotations(desired: &Object, live: Option<&Object>) -> BTreeMap<String, String> {
    let live = live.map(Object::annotations).unwrap_or_default();
    let mut annotations: BTreeMap<String, String> =
        live.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    annotations.extend(kept_annotations(desired).into_iter().map(|(name, text)| (name.to_owned(), text)));
    annotations
}

fn object(kind: &str, name: &str, annotations: BTreeMap<String, String>, spec: Value) -> Option<Object> {
    let mut metadata = json!({"name": name});
    if !annotations.is_empty() {
        metadata["annotations"] = json!(annotations);
    }
    let value = json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec});
    Object::from_value(value).ok()
}
