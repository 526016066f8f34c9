//! One declarative resource, and where it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::pointer::{self, PointerError};
use crate::{Diagnostic, Origin, ResourceKey, Severity, Span};

/// A Kubernetes object, or an ECS document under the group `ecs.amazonaws.com`.
///
/// Two objects are equal when their values are; where they were written does not count. [`std::fmt::Debug`] shows
/// the key alone, because the value may be a Secret's.
#[derive(Clone)]
pub struct Object {
    key: ResourceKey,
    api_version: String,
    value: Value,
    origin: Option<Arc<Origin>>,
}

impl Object {
    /// Reads the identity out of a value.
    ///
    /// # Errors
    /// `apiVersion`, `kind` or `metadata.name` is missing or not a string.
    pub fn from_value(value: Value) -> Result<Object, ObjectError> {
        if !value.is_object() {
            return Err(ObjectError::NotAMapping { found: kind_name(&value) });
        }
        let api_version = required_text(&value, "/apiVersion")?.to_owned();
        let kind = required_text(&value, "/kind")?.to_owned();
        if let Some(metadata) =
            value.get("metadata").filter(|metadata| !metadata.is_object() && !metadata.is_null())
        {
            return Err(ObjectError::WrongType {
                pointer: "/metadata",
                wanted: "a mapping",
                found: kind_name(metadata),
            });
        }
        let name = required_text(&value, "/metadata/name")?.to_owned();
        let namespace = optional_text(&value, "/metadata/namespace")?.unwrap_or("").to_owned();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let key = ResourceKey::new(group, kind, namespace, name);
        Ok(Object { key, api_version, value, origin: None })
    }

    /// The same object with the place it was written at.
    #[must_use]
    pub fn with_origin(mut self, origin: Arc<Origin>) -> Object {
        self.origin = Some(origin);
        self
    }

    /// The same object with another value at a pointer (see [`pointer::set`]).
    ///
    /// # Errors
    /// The pointer's parent is not there, or the result has no identity any more.
    pub fn with(&self, pointer: &str, value: Value) -> Result<Object, EditError> {
        let mut whole = self.value.clone();
        pointer::set(&mut whole, pointer, value)?;
        let object = Object::from_value(whole)?;
        Ok(Object { origin: self.origin.clone(), ..object })
    }

    /// The same object in a namespace; used for objects that do not say one.
    ///
    /// # Errors
    /// Never for an object made by [`Object::from_value`], whose `metadata` is a mapping.
    pub fn in_namespace(&self, namespace: &str) -> Result<Object, EditError> {
        self.with("/metadata/namespace", Value::String(namespace.to_owned()))
    }

    /// Group, kind, namespace and name.
    pub fn key(&self) -> &ResourceKey {
        &self.key
    }

    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// The kind.
    pub fn kind(&self) -> &str {
        &self.key.kind
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// The namespace; empty when the object does not say one.
    pub fn namespace(&self) -> &str {
        &self.key.namespace
    }

    /// The whole object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The whole object, by value.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The value at a JSON pointer.
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    /// The text at a JSON pointer; `None` when absent or not a string.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.get(pointer).and_then(Value::as_str)
    }

    /// `metadata.labels`; values that are not strings are left out.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        self.text_map("/metadata/labels")
    }

    /// `metadata.annotations`; values that are not strings are left out.
    pub fn annotations(&self) -> BTreeMap<&str, &str> {
        self.text_map("/metadata/annotations")
    }

    /// The mapping of strings at a pointer; empty when absent, values that are not strings are left out.
    pub fn text_map(&self, pointer: &str) -> BTreeMap<&str, &str> {
        let entries = self.get(pointer).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    /// Where the object was written; `None` for one that a program made.
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// A finding about the part at a pointer, with its place when the object was written in a file.
    pub fn diagnostic(
        &self,
        severity: Severity,
        code: impl Into<String>,
        message: impl Into<String>,
        pointer: &str,
    ) -> Diagnostic {
        let span = self.origin.as_ref().map(|origin| origin.span(pointer));
        self.located(Diagnostic::without_location(severity, code, message), span)
    }

    /// A finding about the key that leads to a pointer (a field that nobody knows, say), with its place.
    pub fn key_diagnostic(
        &self,
        severity: Severity,
        code: impl Into<String>,
        message: impl Into<String>,
        pointer: &str,
    ) -> Diagnostic {
        let span = self
            .origin
            .as_ref()
            .map(|origin| origin.key_span(pointer).unwrap_or_else(|| origin.span(pointer)));
        self.located(Diagnostic::without_location(severity, code, message), span)
    }

    /// With its place, or with the object's key where there is none.
    fn located(&self, diagnostic: Diagnostic, span: Option<Span>) -> Diagnostic {
        match (&self.origin, span) {
            (Some(origin), Some(span)) => diagnostic.at(&origin.file, span),
            _ => Diagnostic { message: format!("{}: {}", self.key, diagnostic.message), ..diagnostic },
        }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.value == other.value
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({})", self.key)
    }
}

impl Serialize for Object {
    /// The value alone; the origin belongs to the process that read the file.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        Object::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Why a value is not an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// A scalar or a list.
    #[error("expected an object (a mapping with `apiVersion`, `kind` and `metadata.name`), found {found}")]
    NotAMapping {
        /// What it is: `a list`.
        found: &'static str,
    },
    /// A required field is missing or empty.
    #[error("the object has no `{}`", dotted(pointer))]
    Missing {
        /// JSON pointer of the field.
        pointer: &'static str,
    },
    /// A field of the wrong type.
    #[error("`{}` must be {wanted}, not {found}", dotted(pointer))]
    WrongType {
        /// JSON pointer of the field.
        pointer: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
}

impl ObjectError {
    /// JSON pointer of the field the error is about.
    pub fn pointer(&self) -> &'static str {
        match self {
            ObjectError::NotAMapping { .. } => "",
            ObjectError::Missing { pointer } | ObjectError::WrongType { pointer, .. } => pointer,
        }
    }
}

/// Why an object could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such place.
    #[error(transparent)]
    Pointer(#[from] PointerError),
    /// The result would not be an object.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

fn required_text<'value>(value: &'value Value, pointer: &'static str) -> Result<&'value str, ObjectError> {
    match optional_text(value, pointer)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(ObjectError::Missing { pointer }),
    }
}

fn optional_text<'value>(
    value: &'value Value,
    pointer: &'static str,
) -> Result<Option<&'value str>, ObjectError> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(ObjectError::WrongType { pointer, wanted: "a string", found: kind_name(other) }),
    }
}

/// What a value is, for messages: `a list`.
pub fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// `/metadata/name` as people write it: `metadata.name`.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_key_comes_from_api_version_kind_and_metadata() {
        let check = |value: Value, key: &str| {
            assert_eq!(Object::from_value(value).unwrap().key().to_string(), key);
        };
        check(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}), "Service web");
        check(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"}}),
            "apps/Deployment a/web",
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |value: Value, message: &str| {
            assert_eq!(Object::from_value(value).unwrap_err().to_string(), message);
        };
        check(
            json!([]),
            "expected an object (a mapping with `apiVersion`, `kind` and `metadata.name`), found a list",
        );
        check(json!({"kind": "Pod"}), "the object has no `apiVersion`");
        check(json!({"apiVersion": "v1", "kind": ""}), "the object has no `kind`");
        check(json!({"apiVersion": "v1", "kind": "Pod"}), "the object has no `metadata.name`");
        check(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 1}}),
            "`metadata.name` must be a string, not a number",
        );
        check(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": []}),
            "`metadata` must be a mapping, not a list",
        );
    }

    #[test]
    fn an_edit_keeps_the_rest_and_the_key_follows() {
        let object =
            Object::from_value(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}))
                .unwrap();
        let edited = object.in_namespace("b").unwrap().with("/spec", json!({"x": 1})).unwrap();
        assert_eq!(edited.key().to_string(), "Pod b/a");
        assert_eq!(edited.get("/spec/x"), Some(&json!(1)));
        assert!(object.with("/spec/x", json!(1)).is_err());
    }

    #[test]
    fn debug_output_has_no_values() {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"k": "hush"}});
        assert_eq!(format!("{:?}", Object::from_value(secret).unwrap()), "Object(Secret a)");
    }

    #[test]
    fn a_stored_object_reads_back() {
        let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
        let object = Object::from_value(value).unwrap();
        let stored = serde_json::to_string(&object).unwrap();
        assert_eq!(serde_json::from_str::<Object>(&stored).unwrap(), object);
    }
}
