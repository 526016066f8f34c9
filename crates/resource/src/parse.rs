//! Text to objects.

use std::sync::Arc;

use serde_json::Value;

use crate::document::{Comments, Data, Node, read_json, read_yaml};
use crate::{Diagnostic, Object, ObjectError, Origin, SourceFile, Span};

/// Reads a file of YAML documents (JSON ones too) into objects, as `kubectl apply -f` would: empty documents count
/// for nothing, and the items of a `List` stand for themselves.
///
/// Objects are returned for what is right even when something else is wrong; whoever applies them must not do so
/// while there is an error among the diagnostics.
pub fn parse_yaml(file: &Arc<SourceFile>) -> (Vec<Object>, Vec<Diagnostic>) {
    let (documents, diagnostics) = read_documents(file);
    objects(file, documents, diagnostics)
}

/// Reads a file of JSON values into objects; otherwise as [`parse_yaml`].
pub fn parse_json(file: &Arc<SourceFile>) -> (Vec<Object>, Vec<Diagnostic>) {
    let (documents, diagnostics) = read_json(file, Comments::Refused);
    objects(file, documents, diagnostics)
}

/// The documents of a YAML file. A text that starts with `{` is tried as JSON first, as `kubectl` does: JSON has
/// escapes and key lengths that YAML readers refuse.
fn read_documents(file: &Arc<SourceFile>) -> (Vec<Node>, Vec<Diagnostic>) {
    if file.text().trim_start().starts_with('{') {
        let (documents, diagnostics) = read_json(file, Comments::Refused);
        if diagnostics.is_empty() {
            return (documents, diagnostics);
        }
    }
    read_yaml(file)
}

fn objects(
    file: &Arc<SourceFile>,
    documents: Vec<Node>,
    diagnostics: Vec<Diagnostic>,
) -> (Vec<Object>, Vec<Diagnostic>) {
    let mut reader = Reader { file, objects: Vec::new(), diagnostics };
    for (index, document) in documents.into_iter().enumerate() {
        if !document.is_null() {
            reader.document(document, index, None);
        }
    }
    (reader.objects, reader.diagnostics)
}

/// What the items of a typed list (`DeploymentList`) may leave out.
struct ItemDefaults {
    api_version: String,
    kind: String,
}

struct Reader<'file> {
    file: &'file Arc<SourceFile>,
    objects: Vec<Object>,
    diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn document(&mut self, node: Node, index: usize, defaults: Option<&ItemDefaults>) {
        if is_list(&node) {
            return self.list(node, index);
        }
        let value = with_defaults(node.to_value(), defaults);
        match Object::from_value(value) {
            Ok(object) => {
                let origin = Origin::new(Arc::clone(self.file), index, Arc::new(node));
                self.objects.push(object.with_origin(Arc::new(origin)));
            }
            Err(error) => {
                let diagnostic = explain(self.file, index, node, &error);
                self.diagnostics.push(diagnostic);
            }
        }
    }

    fn list(&mut self, node: Node, index: usize) {
        let defaults = item_defaults(&node);
        let Data::Mapping(entries) = node.data else { return };
        let items = entries.into_iter().find(|entry| entry.key == "items").map(|entry| entry.value.data);
        let Some(Data::Sequence(items)) = items else { return };
        for item in items {
            self.document(item, index, defaults.as_ref());
        }
    }
}

/// A kind that ends in `List` and has `items`; nesting is bounded by the depth that documents may have.
fn is_list(node: &Node) -> bool {
    let named = node.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List"));
    named && node.get("items").is_some_and(|items| matches!(items.data, Data::Sequence(_)))
}

fn item_defaults(list: &Node) -> Option<ItemDefaults> {
    let kind = list.get("kind")?.as_str()?.strip_suffix("List").filter(|kind| !kind.is_empty())?;
    let api_version = list.get("apiVersion")?.as_str()?;
    Some(ItemDefaults { api_version: api_version.to_owned(), kind: kind.to_owned() })
}

fn with_defaults(mut value: Value, defaults: Option<&ItemDefaults>) -> Value {
    if let (Some(defaults), Value::Object(fields)) = (defaults, &mut value)
        && !fields.contains_key("kind")
    {
        fields.entry("apiVersion").or_insert_with(|| defaults.api_version.clone().into());
        fields.insert("kind".to_owned(), defaults.kind.clone().into());
    }
    value
}

/// The error at its line, with what this object is as far as it says so, and what to do.
fn explain(file: &Arc<SourceFile>, index: usize, node: Node, error: &ObjectError) -> Diagnostic {
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    let kind = text("kind");
    let generated = node.at("/metadata/generateName").is_some();
    let template = file.slice(node.span).contains("{{");
    let origin = Origin::new(Arc::clone(file), index, Arc::new(node));
    let span = match error {
        ObjectError::NotAMapping { .. } => first_line(file, origin.value_span("")),
        _ => origin.span(error.pointer()),
    };
    let message = match (kind, error.pointer()) {
        (Some(kind), "/apiVersion" | "/metadata/name") => format!("{error} (kind {kind})"),
        _ => error.to_string(),
    };
    let hint = match error.pointer() {
        _ if template => "this looks like a template: render it first",
        "/apiVersion" => "add `apiVersion`, for example `apiVersion: apps/v1` for a Deployment",
        "/kind" => "add `kind`; if the file is not a Kubernetes object, keep it out of this folder",
        "/metadata/name" if generated => {
            "`generateName` makes another object at every apply; give it a `name`"
        }
        "/metadata/name" => "add `metadata.name`",
        _ => "a file of objects holds mappings, divided by lines of `---`",
    };
    Diagnostic::error("not-an-object", message, file, span).with_hint(hint)
}

fn first_line(file: &SourceFile, span: Span) -> Span {
    let length = file.slice(span).lines().next().map_or(0, str::len);
    Span::new(span.start, span.start + length)
}
