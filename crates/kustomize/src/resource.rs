//! One resource while it is being transformed.

use std::sync::Arc;

use minato_resource::{SourceFile, Span};
use serde_json::{Map, Value};

use crate::identity::{Gvk, Id, PreviousId};
use crate::provenance::Step;
use crate::value;

/// What a generator says about a resource of its name that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Behaviour {
    #[default]
    Create,
    Replace,
    Merge,
}

/// Where a resource was written.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) span: Span,
}

/// A value with what is known about it beside its text: Kustomize keeps these things in annotations that it removes
/// at the end; here they are fields.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) value: Value,
    id: Id,
    /// What it was before, oldest first.
    pub(crate) previous: Vec<PreviousId>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) suffixes: Vec<String>,
    pub(crate) behaviour: Behaviour,
    pub(crate) needs_hash: bool,
    /// Names of the vars whose values are read from it.
    pub(crate) vars: Vec<String>,
    pub(crate) origin: Option<Step>,
    pub(crate) transformations: Vec<Step>,
    pub(crate) place: Option<Place>,
}

impl Resource {
    pub(crate) fn new(value: Value, place: Option<Place>) -> Resource {
        let id = id_of(&value);
        Resource {
            value,
            id,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behaviour: Behaviour::Create,
            needs_hash: false,
            vars: Vec::new(),
            origin: None,
            transformations: Vec::new(),
            place,
        }
    }

    /// What it is now.
    pub(crate) fn id(&self) -> &Id {
        &self.id
    }

    /// Reads the identity again. Whoever changes `apiVersion`, `kind` or `metadata` in [`Resource::value`] calls this.
    pub(crate) fn refresh(&mut self) {
        self.id = id_of(&self.value);
    }

    /// True when a patch deleted it.
    pub(crate) fn is_deleted(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        }
    }

    /// Remembers what it is now, before that changes.
    pub(crate) fn remember(&mut self) {
        self.previous.push(PreviousId {
            kind: self.id.gvk.kind.clone(),
            name: self.id.name.clone(),
            namespace: self.id.effective_namespace().to_owned(),
        });
    }

    /// True when Kustomize has written notes of its own among the annotations by now, so that there are annotations.
    pub(crate) fn has_notes(&self) -> bool {
        let named = !self.previous.is_empty() || !self.prefixes.is_empty() || !self.suffixes.is_empty();
        named || self.needs_hash || self.origin.is_some()
    }

    /// Kind and name as they were written, before any transformation.
    pub(crate) fn original_kind(&self) -> &str {
        self.previous.first().map_or(&self.id.gvk.kind, |previous| &previous.kind)
    }

    pub(crate) fn original_name(&self) -> &str {
        self.previous.first().map_or(&self.id.name, |previous| &previous.name)
    }

    pub(crate) fn original_namespace(&self) -> &str {
        self.previous.first().map_or(self.id.effective_namespace(), |previous| &previous.namespace)
    }

    /// True when it is, or was, what the id says.
    pub(crate) fn is_or_was(&self, id: &Id) -> bool {
        let same_group = self.id.gvk.group == id.gvk.group && self.id.gvk.version == id.gvk.version;
        self.id.is_same(id)
            || (same_group
                && self.previous.iter().any(|previous| {
                    previous.name == id.name
                        && previous.kind == id.gvk.kind
                        && previous.namespace == id.effective_namespace()
                }))
    }

    /// Every name that it has or had.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.previous.iter().map(|previous| previous.name.as_str()).chain([self.id.name.as_str()])
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        if let Some(metadata) = metadata_of(&mut self.value) {
            metadata.insert("name".to_owned(), Value::String(name.to_owned()));
        }
        name.clone_into(&mut self.id.name);
    }

    /// Sets the namespace, or removes the field when it is empty.
    pub(crate) fn set_namespace(&mut self, namespace: &str) {
        if let Some(metadata) = metadata_of(&mut self.value) {
            if namespace.is_empty() {
                metadata.shift_remove("namespace");
            } else {
                metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
            }
        }
        namespace.clone_into(&mut self.id.namespace);
    }

    /// The text of an annotation.
    pub(crate) fn annotation(&self, key: &str) -> Option<String> {
        self.value.get("metadata")?.get("annotations")?.get(key).map(value::text)
    }

    /// Labels or annotations as texts.
    pub(crate) fn texts(&self, field: &str) -> Vec<(String, String)> {
        texts_of(self.value.get("metadata").and_then(|metadata| metadata.get(field)))
    }

    /// Becomes what a generator says of a resource that is there: labels and annotations of both, its own winning,
    /// the old one's name, namespace and history; and with `merge` the data of both.
    pub(crate) fn take_over(&mut self, old: &Resource, merge: bool) {
        for field in ["labels", "annotations"] {
            self.set_texts(field, united(old.texts(field), self.texts(field)));
        }
        self.set_name(&old.id.name);
        self.set_namespace(&old.id.namespace);
        self.previous.clone_from(&old.previous);
        self.prefixes.clone_from(&old.prefixes);
        self.suffixes.clone_from(&old.suffixes);
        self.vars.clone_from(&old.vars);
        self.transformations.clone_from(&old.transformations);
        self.behaviour = old.behaviour;
        self.needs_hash &= old.needs_hash;
        if merge {
            for field in ["data", "binaryData"] {
                self.unite_data(field, old);
            }
            if old.origin.is_some() {
                self.origin.clone_from(&old.origin);
            }
        }
    }

    fn unite_data(&mut self, field: &str, old: &Resource) {
        let data = united(texts_of(old.value.get(field)), texts_of(self.value.get(field)));
        let Some(fields) = self.value.as_object_mut() else { return };
        if data.is_empty() {
            fields.shift_remove(field);
        } else {
            let entries = data.into_iter().map(|(key, text)| (key, Value::String(text)));
            fields.insert(field.to_owned(), Value::Object(entries.collect()));
        }
    }

    /// Replaces labels or annotations; none at all removes the field.
    pub(crate) fn set_texts(&mut self, field: &str, texts: impl IntoIterator<Item = (String, String)>) {
        let entries: Map<String, Value> =
            texts.into_iter().map(|(key, text)| (key, Value::String(text))).collect();
        let Some(metadata) = metadata_of(&mut self.value) else { return };
        if entries.is_empty() {
            metadata.shift_remove(field);
        } else {
            metadata.insert(field.to_owned(), Value::Object(entries));
        }
    }
}

/// `metadata` as a mapping; made when the resource has none.
fn metadata_of(value: &mut Value) -> Option<&mut Map<String, Value>> {
    let fields = value.as_object_mut()?;
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut()
}

/// The entries of a mapping as texts; null is empty.
fn texts_of(value: Option<&Value>) -> Vec<(String, String)> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| if value.is_null() { String::new() } else { value::text(value) };
    entries.map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Both, sorted by key; the second wins.
fn united(first: Vec<(String, String)>, second: Vec<(String, String)>) -> Vec<(String, String)> {
    let both: std::collections::BTreeMap<String, String> = first.into_iter().chain(second).collect();
    both.into_iter().collect()
}

fn id_of(value: &Value) -> Id {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(value) => value::text(value),
    };
    let metadata = value.get("metadata");
    let gvk = Gvk::new(&text(value.get("apiVersion")), &text(value.get("kind")));
    let name = text(metadata.and_then(|metadata| metadata.get("name")));
    Id::new(gvk, name, text(metadata.and_then(|metadata| metadata.get("namespace"))))
}
