//! Files of `crds`: OpenAPI definitions whose extensions say which fields hold labels, annotations and names.

use std::sync::Arc;

use minato_resource::document::{Data, Dialect, Node};
use minato_resource::{Diagnostic, SourceFile};

use super::{Configuration, NameReference};
use crate::field::FieldSpec;
use crate::identity::Gvk;
use crate::refusal::Refusal;

/// How deep definitions may refer to each other. A definition that refers to itself has no end.
const MAX_DEPTH: usize = 32;

/// How many properties are looked at in one file, references followed.
const MAX_PROPERTIES: usize = 100_000;

/// Reads a file of definitions: type name → `{Schema: {properties: …}}`.
pub(crate) fn from_crds(file: &Arc<SourceFile>) -> (Configuration, Vec<Diagnostic>) {
    let (documents, mut diagnostics) = crate::manifest::documents(file, Dialect::Kubectl);
    let mut configuration = Configuration::default();
    let Some(definitions) = documents.first() else { return (configuration, diagnostics) };
    for entry in definitions.entries() {
        if !matches!(entry.value.data, Data::Mapping(_) | Data::Null) {
            let message = "expected OpenAPI definitions by type name, not a resource";
            let hint = "generate the definitions from the types, or name the fields in a file under `configurations`";
            let diagnostic = Diagnostic::error("crd-definitions", message, file, entry.key_span);
            diagnostics.push(diagnostic.with_hint(hint));
            break;
        }
        let kind = entry.key.rsplit('.').next().unwrap_or(&entry.key);
        let Some(properties) = properties_of(&entry.value).filter(|properties| is_object(properties)) else {
            continue;
        };
        let gvk = Gvk { kind: kind.to_owned(), ..Gvk::default() };
        let mut reader = Reader { definitions, gvk, configuration: &mut configuration, properties: 0 };
        if let Err(refusal) = reader.properties(properties, &mut Vec::new()) {
            diagnostics.push(refusal.at(file, entry.key_span));
        }
    }
    configuration.sort();
    (configuration, diagnostics)
}

fn properties_of(definition: &Node) -> Option<&Node> {
    definition.get("Schema").or_else(|| definition.get("schema"))?.get("properties")
}

/// Only types of whole objects are looked at.
fn is_object(properties: &Node) -> bool {
    ["kind", "apiVersion", "metadata"].iter().all(|field| properties.get(field).is_some())
}

struct Reader<'run> {
    definitions: &'run Node,
    gvk: Gvk,
    configuration: &'run mut Configuration,
    properties: usize,
}

impl Reader<'_> {
    fn properties(&mut self, properties: &Node, path: &mut Vec<String>) -> Result<(), Refusal> {
        for entry in properties.entries() {
            self.properties += 1;
            if path.len() > MAX_DEPTH || self.properties > MAX_PROPERTIES {
                return Err(Refusal::new(
                    "crd-depth",
                    "this definition refers to itself, or is too deep to follow",
                ));
            }
            path.push(entry.key.clone());
            self.property(&entry.value, path)?;
            path.pop();
        }
        Ok(())
    }

    fn property(&mut self, property: &Node, path: &mut Vec<String>) -> Result<(), Refusal> {
        let spec = |path: &[String]| FieldSpec::new(self.gvk.clone(), path.join("/"), false);
        let has = |extension: &str| property.get(extension).and_then(Node::as_str);
        for (extension, list) in [
            ("x-kubernetes-annotation", &mut self.configuration.common_annotations),
            ("x-kubernetes-label-selector", &mut self.configuration.common_labels),
            ("x-kubernetes-identity", &mut self.configuration.name_prefix),
        ] {
            if has(extension).is_some() {
                super::add_all(list, &[spec(path)])?;
            }
        }
        let version = has("x-kubernetes-object-ref-api-version");
        if let (Some(version), Some(kind)) = (version, has("x-kubernetes-object-ref-kind")) {
            let target = Gvk { version: version.to_owned(), kind: kind.to_owned(), ..Gvk::default() };
            path.push(has("x-kubernetes-object-ref-name-key").unwrap_or("name").to_owned());
            let referrers = vec![spec(path)];
            path.pop();
            self.configuration.add_name_reference(&NameReference { target, referrers })?;
        }
        let definitions = self.definitions;
        let referred = has("$ref").and_then(|name| properties_of(definitions.get(name)?));
        referred.map_or(Ok(()), |properties| self.properties(properties, path))
    }
}
