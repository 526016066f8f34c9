//! Files of manifests to resources, read as Kustomize reads them.

use std::sync::Arc;

use minato_resource::document::{Data, Dialect, Node, read_yaml_as};
use minato_resource::{Diagnostic, SourceFile, Span};
use serde_json::Value;

use crate::decode::first_line;
use crate::resource::{Place, Resource};
use crate::value;

/// The resources of a file; documents without content count for nothing, and items of lists stand for themselves.
///
/// # Errors
/// What is wrong with it, all of it.
pub(crate) fn read(file: &Arc<SourceFile>) -> Result<Vec<Resource>, Vec<Diagnostic>> {
    let (documents, mut diagnostics) = self::documents(file, Dialect::Kustomize);
    diagnostics.retain(Diagnostic::is_error);
    diagnostics.extend(wrong_separator(file));
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(documents.len());
    let alone = documents.len() == 1;
    for document in documents {
        if alone
            && matches!(text_of(&document, "kind"), Some("List" | "ResourceList"))
            && document.get("items").is_some()
        {
            nodes.extend(items_of(document));
        } else {
            nodes.push(document);
        }
    }
    resources(file, nodes)
}

/// Lists are replaced by their items, which come after everything else.
fn resources(file: &Arc<SourceFile>, nodes: Vec<Node>) -> Result<Vec<Resource>, Vec<Diagnostic>> {
    let (mut found, mut diagnostics) = (Vec::new(), Vec::new());
    let mut queue: std::collections::VecDeque<Node> = nodes.into();
    while let Some(node) = queue.pop_front() {
        if is_empty(&node) {
            continue;
        }
        if let Some(diagnostic) = incomplete(file, &node) {
            diagnostics.push(diagnostic);
            continue;
        }
        let is_list = text_of(&node, "kind").is_some_and(|kind| kind.ends_with("List"));
        match node.get("items") {
            Some(items) if is_list => match &items.data {
                Data::Null | Data::Sequence(_) => queue.extend(items_of(node)),
                _ => diagnostics.push(error(file, items.span, "`items` of a list must be a list")),
            },
            _ => found.push(resource(file, node)),
        }
    }
    if diagnostics.is_empty() { Ok(found) } else { Err(diagnostics) }
}

fn resource(file: &Arc<SourceFile>, mut node: Node) -> Resource {
    annotations_as_texts(file, &mut node);
    let place = Place { file: Arc::clone(file), span: first_line(file, node.span) };
    Resource::new(value::of_node(node), Some(place))
}

/// Annotations are texts in the end whatever they look like: `1.10` stays `1.10`.
fn annotations_as_texts(file: &SourceFile, node: &mut Node) {
    let annotations = entry_mut(node, "metadata").and_then(|metadata| entry_mut(metadata, "annotations"));
    let Some(Node { data: Data::Mapping(entries), .. }) = annotations else { return };
    for entry in entries {
        let text = match &entry.value.data {
            Data::Null | Data::Bool(_) | Data::Number(_) => file.slice(entry.value.span).to_owned(),
            _ => continue,
        };
        entry.value.data = Data::String(text);
    }
}

fn entry_mut<'node>(node: &'node mut Node, key: &str) -> Option<&'node mut Node> {
    match &mut node.data {
        Data::Mapping(entries) => {
            entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
        }
        _ => None,
    }
}

fn items_of(node: Node) -> Vec<Node> {
    let Data::Mapping(entries) = node.data else { return Vec::new() };
    let items = entries.into_iter().find(|entry| entry.key == "items").map(|entry| entry.value.data);
    match items {
        Some(Data::Sequence(items)) => items,
        _ => Vec::new(),
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.data {
        Data::Null => true,
        Data::Mapping(entries) => entries.is_empty(),
        Data::Sequence(items) => items.is_empty(),
        _ => false,
    }
}

fn text_of<'node>(node: &'node Node, field: &str) -> Option<&'node str> {
    node.get(field).and_then(Node::as_str).filter(|text| !text.is_empty())
}

/// What an object must say: its kind, and its name unless it is a list.
fn incomplete(file: &Arc<SourceFile>, node: &Node) -> Option<Diagnostic> {
    if !matches!(node.data, Data::Mapping(_)) {
        return Some(error(file, node.span, &format!("expected an object, found {}", node.kind_name())));
    }
    let Some(kind) = node.get("kind").filter(|kind| !is_empty(kind)) else {
        return Some(error(file, node.span, "the object has no `kind`"));
    };
    let is_list = kind.as_str().is_some_and(|kind| kind.ends_with("List"));
    let name = node.get("metadata").and_then(|metadata| metadata.get("name"));
    match name.filter(|name| !is_empty(name) && name.as_str() != Some("")) {
        None if !is_list => Some(error(file, node.span, "the object has no `metadata.name`")),
        _ => None,
    }
}

fn error(file: &Arc<SourceFile>, span: Span, message: &str) -> Diagnostic {
    Diagnostic::error("not-an-object", message, file, first_line(file, span))
}

/// Kustomize takes nothing but a comment behind `---`.
fn wrong_separator(file: &Arc<SourceFile>) -> Option<Diagnostic> {
    let text = file.text();
    let mut from = 0;
    while let Some(found) = text[from..].find("\n---") {
        let start = from + found + 1;
        let length = text[start..].find('\n')?;
        let rest = text[start + 3..start + length].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            let span = Span::new(start, start + length);
            let message = "a document begins with `---` alone on its line";
            return Some(Diagnostic::error("document-separator", message, file, span));
        }
        from = start + length;
    }
    None
}

/// A patch or plugin that is written inside another file, as a file of its own.
pub(crate) fn inline(file: &Arc<SourceFile>, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile::new(file.path(), text))
}

/// The documents of a file, in a dialect of YAML.
pub(crate) fn documents(file: &Arc<SourceFile>, dialect: Dialect) -> (Vec<Node>, Vec<Diagnostic>) {
    if file.text().ends_with('\n') || file.text().is_empty() {
        return read_yaml_as(file, dialect);
    }
    // The parser fails at the end of a block text that no line break ends; with one more, such a text has it, too.
    let ended = Arc::new(SourceFile::new(file.path(), format!("{}\n", file.text())));
    let (mut documents, diagnostics) = read_yaml_as(&ended, dialect);
    if let Some(document) = documents.last_mut() {
        drop_last_break(&ended, document);
    }
    (documents, diagnostics)
}

/// Takes the last line break from a block text that ends the file.
fn drop_last_break(file: &SourceFile, node: &mut Node) {
    let is_block = file.slice(node.span).starts_with(['|', '>']);
    match &mut node.data {
        Data::Mapping(entries) => {
            if let Some(last) = entries.last_mut() {
                drop_last_break(file, &mut last.value);
            }
        }
        Data::Sequence(items) => {
            if let Some(last) = items.last_mut() {
                drop_last_break(file, last);
            }
        }
        Data::String(text) if is_block && text.ends_with('\n') => drop(text.pop()),
        _ => {}
    }
}

/// The value of a YAML text that is not made of objects.
pub(crate) fn read_value(file: &Arc<SourceFile>) -> Result<Value, Vec<Diagnostic>> {
    let (documents, mut diagnostics) = self::documents(file, Dialect::Kustomize);
    diagnostics.retain(Diagnostic::is_error);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    Ok(documents.into_iter().next().map_or(Value::Null, value::of_node))
}
