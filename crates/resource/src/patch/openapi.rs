//! A user's OpenAPI v2 document → which lists are merged.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::schema::{Field, MergeSchema, TypeId};

/// How deep schemas that are written inside each other are followed; references cost no depth.
const MAX_DEPTH: usize = 100;

/// Reads all definitions.
pub(super) fn read(definitions: &Map<String, Value>) -> MergeSchema {
    let mut reader = Reader { schema: MergeSchema::default(), named: HashMap::new() };
    for name in definitions.keys() {
        let id = reader.schema.add_type();
        reader.named.insert(name, id);
    }
    for (name, definition) in definitions {
        let id = reader.named[name.as_str()];
        reader.fields(id, definition, 0);
        for kind in
            definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array).into_iter().flatten()
        {
            reader.kind(kind, id);
        }
    }
    reader.schema
}

struct Reader<'document> {
    schema: MergeSchema,
    named: HashMap<&'document str, TypeId>,
}

impl Reader<'_> {
    fn kind(&mut self, kind: &Value, id: TypeId) {
        let part = |name: &str| kind.get(name).and_then(Value::as_str).unwrap_or_default();
        let api_version = match part("group") {
            "" => part("version").to_owned(),
            group => format!("{group}/{}", part("version")),
        };
        self.schema.add_kind(&api_version, part("kind"), id);
    }

    fn fields(&mut self, owner: TypeId, definition: &Value, depth: usize) {
        let properties = definition.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let field = self.field(property, depth);
            self.schema.add_field(owner, name.clone(), field);
        }
        // Kustomize does not follow a reference here.
        if let Some(any) = definition.get("additionalProperties").filter(|any| any.get("$ref").is_none()) {
            let field = self.field(any, depth);
            self.schema.add_field(owner, "*".to_owned(), field);
        }
    }

    fn field(&mut self, property: &Value, depth: usize) -> Field {
        let extension = |name: &str| property.get(name);
        let strategy = extension("x-kubernetes-patch-strategy").and_then(Value::as_str).unwrap_or_default();
        if !strategy.split(',').any(|strategy| strategy == "merge") {
            return Field { keys: None, target: self.target(property, depth) };
        }
        let texts = |value: &Value| value.as_str().map(str::to_owned);
        let keys = match (extension("x-kubernetes-list-map-keys"), extension("x-kubernetes-patch-merge-key"))
        {
            (Some(Value::Array(keys)), _) => keys.iter().filter_map(texts).collect(),
            (_, key) => key.and_then(texts).into_iter().collect(),
        };
        let target = property.get("items").and_then(|items| self.target(items, depth));
        Field { keys: Some(keys), target }
    }

    fn target(&mut self, schema: &Value, depth: usize) -> Option<TypeId> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.named.get(reference.strip_prefix("#/definitions/")?).copied();
        }
        if depth >= MAX_DEPTH
            || (schema.get("properties").is_none() && schema.get("additionalProperties").is_none())
        {
            return None;
        }
        let id = self.schema.add_type();
        self.fields(id, schema, depth + 1);
        Some(id)
    }
}
