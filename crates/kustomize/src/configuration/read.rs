//! Files of `configurations`.

use std::sync::Arc;

use minato_resource::document::{Dialect, Node};
use minato_resource::{Diagnostic, SourceFile};

use super::{Configuration, NameReference};
use crate::decode::Decoder;
use crate::field::FieldSpec;
use crate::identity::Gvk;

/// Reads a file of field lists.
pub(crate) fn read(file: &Arc<SourceFile>) -> (Configuration, Vec<Diagnostic>) {
    const KNOWN: [&str; 11] = [
        "namePrefix",
        "nameSuffix",
        "namespace",
        "commonLabels",
        "labels",
        "templateLabels",
        "commonAnnotations",
        "nameReference",
        "varReference",
        "images",
        "replicas",
    ];
    let (documents, diagnostics) = crate::manifest::documents(file, Dialect::Kubectl);
    let mut decoder = Decoder { file, diagnostics, lenient: false };
    let mut configuration = Configuration::default();
    if let Some(root) = documents.first() {
        for (name, node) in decoder.fields(root, "a transformer configuration", &KNOWN) {
            let list = match name {
                "nameReference" => {
                    configuration.name_reference = decoder.list(node, name_reference);
                    continue;
                }
                "namePrefix" => &mut configuration.name_prefix,
                "nameSuffix" => &mut configuration.name_suffix,
                "namespace" => &mut configuration.namespace,
                "commonLabels" => &mut configuration.common_labels,
                "labels" => &mut configuration.labels,
                "templateLabels" => &mut configuration.template_labels,
                "commonAnnotations" => &mut configuration.common_annotations,
                "varReference" => &mut configuration.var_reference,
                "images" => &mut configuration.images,
                _ => &mut configuration.replicas,
            };
            *list = field_specs(&mut decoder, node);
        }
    }
    configuration.sort();
    (configuration, decoder.diagnostics)
}

/// A list of fields: `group`, `version`, `kind`, `path`, `create`.
pub(crate) fn field_specs(decoder: &mut Decoder<'_>, node: &Node) -> Vec<FieldSpec> {
    decoder.list(node, |decoder, node| {
        let (mut gvk, mut path, mut create) = (Gvk::default(), String::new(), false);
        let known = ["group", "version", "kind", "path", "create"];
        for (name, node) in decoder.fields(node, "a field", &known) {
            match name {
                "path" => path = decoder.text(node),
                "create" => create = decoder.boolean(node),
                _ => gvk_part(&mut gvk, name, decoder.text(node)),
            }
        }
        FieldSpec::new(gvk, path, create)
    })
}

fn name_reference(decoder: &mut Decoder<'_>, node: &Node) -> NameReference {
    let (mut target, mut referrers) = (Gvk::default(), Vec::new());
    let known = ["group", "version", "kind", "fieldSpecs"];
    for (name, node) in decoder.fields(node, "a name reference", &known) {
        match name {
            "fieldSpecs" => referrers = field_specs(decoder, node),
            _ => gvk_part(&mut target, name, decoder.text(node)),
        }
    }
    NameReference { target, referrers }
}

fn gvk_part(gvk: &mut Gvk, name: &str, text: String) {
    match name {
        "group" => gvk.group = text,
        "version" => gvk.version = text,
        _ => gvk.kind = text,
    }
}
