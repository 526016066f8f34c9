//! Entries of `labels`, `patches`, `images` and `replicas`, and the selectors that say what they change.

use minato_resource::document::Node;

use super::fields::*;
use super::read::place_of;
use crate::configuration::field_specs;
use crate::decode::{Decoder, Spanned};
use crate::identity::IdSelector;

/// An entry of `labels`.
pub(super) fn read_labels(decoder: &mut Decoder<'_>, node: &Node) -> Labels {
    const KNOWN: [&str; 4] = ["pairs", "includeSelectors", "includeTemplates", "fields"];
    let mut labels = Labels::default();
    for (name, node) in decoder.fields(node, "an entry of `labels`", &KNOWN) {
        match name {
            "pairs" => labels.pairs = decoder.text_map(node),
            "includeSelectors" => labels.include_selectors = decoder.boolean(node),
            "includeTemplates" => labels.include_templates = decoder.boolean(node),
            _ => labels.fields = field_specs(decoder, node),
        }
    }
    labels
}

pub(super) fn patch(decoder: &mut Decoder<'_>, node: &Node) -> Patch {
    let mut patch = Patch::default();
    for (name, node) in decoder.fields(node, "a patch", &["path", "patch", "target", "options"]) {
        match name {
            "path" => patch.path = Some(decoder.spanned_text(node)).filter(|path| !path.value.is_empty()),
            "patch" => patch.text = Some(decoder.spanned_text(node)),
            "target" if node.is_null() => {}
            "target" => {
                patch.target =
                    Some(Spanned { value: read_patch_target(decoder, node), span: place_of(node) });
            }
            _ => {
                for (option, value) in decoder.boolean_map(node) {
                    patch.allow_name_change |= option == "allowNameChange" && value;
                    patch.allow_kind_change |= option == "allowKindChange" && value;
                }
            }
        }
    }
    patch
}

/// `target` of a patch, `select` and `reject` of a replacement.
pub(crate) fn read_patch_target(decoder: &mut Decoder<'_>, node: &Node) -> Selector {
    const KNOWN: [&str; 7] =
        ["group", "version", "kind", "name", "namespace", "annotationSelector", "labelSelector"];
    let mut selector = Selector::default();
    for (name, node) in decoder.fields(node, "a selector", &KNOWN) {
        let text = decoder.text(node);
        match name {
            "annotationSelector" => selector.annotations = text,
            "labelSelector" => selector.labels = text,
            _ => id_part(&mut selector.id, name, text),
        }
    }
    selector
}

pub(super) fn id_part(id: &mut IdSelector, name: &str, text: String) {
    match name {
        "group" => id.gvk.group = text,
        "version" => id.gvk.version = text,
        "kind" => id.gvk.kind = text,
        "name" => id.name = text,
        _ => id.namespace = text,
    }
}

/// An entry of `images`.
pub(crate) fn read_image(decoder: &mut Decoder<'_>, node: &Node) -> Image {
    let mut image = Image::default();
    let known = ["name", "newName", "newTag", "tagSuffix", "digest"];
    for (name, node) in decoder.fields(node, "an image", &known) {
        let text = decoder.text(node);
        match name {
            "name" => image.name = text,
            "newName" => image.new_name = text,
            "newTag" => image.new_tag = text,
            "tagSuffix" => image.tag_suffix = text,
            _ => image.digest = text,
        }
    }
    image
}

pub(super) fn replica(decoder: &mut Decoder<'_>, node: &Node) -> Replica {
    let mut replica = Replica::default();
    for (name, node) in decoder.fields(node, "an entry of `replicas`", &["name", "count"]) {
        match name {
            "name" => replica.name = decoder.text(node),
            _ => replica.count = decoder.integer(node),
        }
    }
    replica
}
