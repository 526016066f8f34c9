//! Entries of `replacements` and `vars`: values of one object that others take.

use minato_resource::document::Node;

use super::changes::{id_part, read_patch_target};
use super::fields::*;
use super::read::{place_of, spanned};
use crate::decode::{Decoder, Spanned};
use crate::identity::{Gvk, IdSelector};

/// `replacements`, or the content of a file of them.
pub(crate) fn read_replacements(decoder: &mut Decoder<'_>, node: &Node) -> Vec<Spanned<ReplacementEntry>> {
    decoder.list(node, spanned(replacement))
}

fn replacement(decoder: &mut Decoder<'_>, node: &Node) -> ReplacementEntry {
    let mut entry = ReplacementEntry::default();
    for (name, node) in decoder.fields(node, "a replacement", &["path", "source", "targets"]) {
        match name {
            "path" => entry.path = Some(decoder.spanned_text(node)).filter(|path| !path.value.is_empty()),
            _ if node.is_null() => {}
            "source" => {
                let source = source(decoder, node);
                entry.replacement.source = Some(Spanned { value: source, span: place_of(node) });
            }
            _ => entry.replacement.targets = Some(decoder.list(node, spanned(target))),
        }
    }
    entry
}

fn source(decoder: &mut Decoder<'_>, node: &Node) -> Source {
    const KNOWN: [&str; 7] = ["group", "version", "kind", "name", "namespace", "fieldPath", "options"];
    let mut source = Source::default();
    for (name, node) in decoder.fields(node, "a replacement's source", &KNOWN) {
        match name {
            "fieldPath" => source.field_path = decoder.text(node),
            "options" => source.options = field_options(decoder, node),
            _ => id_part(&mut source.id, name, decoder.text(node)),
        }
    }
    source
}

fn target(decoder: &mut Decoder<'_>, node: &Node) -> Target {
    let mut target = Target::default();
    let known = ["select", "reject", "fieldPaths", "options"];
    for (name, node) in decoder.fields(node, "a replacement's target", &known) {
        match name {
            "select" if node.is_null() => {}
            "select" => target.select = Some(read_patch_target(decoder, node)),
            "reject" => target.reject = decoder.list(node, read_patch_target),
            "fieldPaths" => target.field_paths = decoder.texts(node),
            _ => target.options = field_options(decoder, node),
        }
    }
    target
}

fn field_options(decoder: &mut Decoder<'_>, node: &Node) -> FieldOptions {
    let mut options = FieldOptions::default();
    for (name, node) in decoder.fields(node, "options", &["delimiter", "index", "encoding", "create"]) {
        match name {
            "delimiter" => options.delimiter = decoder.text(node),
            "index" => options.index = decoder.integer(node),
            "create" => options.create = decoder.boolean(node),
            _ => drop(decoder.text(node)),
        }
    }
    options
}

pub(super) fn var(decoder: &mut Decoder<'_>, node: &Node) -> Var {
    let mut var = Var { field_path: "metadata.name".to_owned(), ..Var::default() };
    for (name, node) in decoder.fields(node, "a var", &["name", "objref", "fieldref"]) {
        match name {
            "name" => var.name = decoder.text(node),
            "objref" => var.object = object_reference(decoder, node),
            _ => {
                for (_, node) in decoder.fields(node, "a var's fieldref", &["fieldPath"]) {
                    var.field_path =
                        Some(decoder.text(node)).filter(|path| !path.is_empty()).unwrap_or(var.field_path);
                }
            }
        }
    }
    var
}

fn object_reference(decoder: &mut Decoder<'_>, node: &Node) -> IdSelector {
    const KNOWN: [&str; 6] = ["apiVersion", "group", "version", "kind", "name", "namespace"];
    let mut id = IdSelector::default();
    let mut api_version = String::new();
    for (name, node) in decoder.fields(node, "a var's objref", &KNOWN) {
        match name {
            "apiVersion" => api_version = decoder.text(node),
            _ => id_part(&mut id, name, decoder.text(node)),
        }
    }
    match api_version.matches('/').count() {
        _ if api_version.is_empty() => {}
        0 => id.gvk.version = api_version,
        1 => id.gvk = Gvk::new(&api_version, &id.gvk.kind),
        _ => {}
    }
    id
}
