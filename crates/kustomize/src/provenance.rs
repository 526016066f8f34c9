//! Where resources come from and what transformed them: `buildMetadata`.

use serde_json::{Map, Value};

use crate::resource::Resource;

const ORIGIN: &str = "config.kubernetes.io/origin";
const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// Annotations that Kustomize and its tools keep for themselves.
const INTERNAL: [&str; 18] = [
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
];

/// A file, or the directive of a kustomization.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Step {
    /// The resource's file, relative to the kustomization that is rendered.
    pub(crate) path: String,
    /// The kustomization, or the file of the plugin.
    pub(crate) configured_in: String,
    /// What did it.
    pub(crate) configured_by: Option<Plugin>,
}

/// A builtin or a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plugin {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

impl Step {
    pub(crate) fn of_file(path: String) -> Step {
        Step { path, ..Step::default() }
    }

    pub(crate) fn of_builtin(configured_in: String, kind: &str) -> Step {
        let plugin = Plugin { api_version: "builtin".to_owned(), kind: kind.to_owned(), ..Plugin::default() };
        Step { configured_in, configured_by: Some(plugin), ..Step::default() }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let quoted = if needs_quotes(value) { format!("'{value}'") } else { value.to_owned() };
                text.push_str(&format!("{name}: {quoted}\n"));
            }
        };
        line("path", &self.path);
        line("configuredIn", &self.configured_in);
        if let Some(plugin) = &self.configured_by {
            text.push_str("configuredBy:\n");
            let mut line = |name: &str, value: &str| {
                if !value.is_empty() {
                    text.push_str(&format!("  {name}: {value}\n"));
                }
            };
            line("apiVersion", &plugin.api_version);
            line("kind", &plugin.kind);
            line("name", &plugin.name);
            line("namespace", &plugin.namespace);
        }
        text
    }
}

/// Paths that YAML would read as something else.
fn needs_quotes(text: &str) -> bool {
    text.starts_with(['@', '`', '!', '&', '*', '%', '#', '[', '{', '-', '?', ' '])
        || text.contains(": ")
        || text.contains(" #")
}

/// Writes the origin into the annotations.
pub(crate) fn annotate_origin(resource: &mut Resource) {
    if let Some(text) = resource.origin.as_ref().map(Step::text) {
        annotate(resource, ORIGIN, text);
    }
}

/// Writes the transformations into the annotations.
pub(crate) fn annotate_transformations(resource: &mut Resource) {
    let items = resource.transformations.iter().map(|step| {
        let text = step.text().trim_end().replace('\n', "\n  ");
        format!("- {text}\n")
    });
    let text: String = items.collect();
    if !text.is_empty() {
        annotate(resource, TRANSFORMATIONS, text);
    }
}

/// Texts for all annotations; an empty mapping is removed, and so are the annotations that this module writes.
pub(crate) fn clean_annotations(resource: &mut Resource) {
    let Some(metadata) = resource.value.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(annotations) = metadata.get_mut("annotations") else { return };
    if let Some(entries) = annotations.as_object_mut() {
        entries.retain(|key, _| {
            ![ORIGIN, TRANSFORMATIONS].contains(&key.as_str()) && !INTERNAL.contains(&key.as_str())
        });
        for value in entries.values_mut().filter(|value| !value.is_string()) {
            *value = Value::String(crate::value::text(value));
        }
    }
    if annotations.as_object().is_none_or(Map::is_empty) {
        metadata.shift_remove("annotations");
    }
}

fn annotate(resource: &mut Resource, key: &str, text: String) {
    let mut annotations = resource.texts("annotations");
    annotations.retain(|(known, _)| known != key);
    annotations.push((key.to_owned(), text));
    resource.set_texts("annotations", annotations);
}
