//! Patches by Kubernetes' schema, or by the one that `openapi` names.

use std::sync::Arc;

use minato_resource::document::{Comments, Dialect, read_json};
use minato_resource::patch::{self, MergeSchema, strategic_merge};
use minato_resource::{Diagnostic, SourceFile, Span};
use serde_json::Value;

use crate::refusal::Refusal;
use crate::value;

/// The version of Kubernetes' schema that is built in.
const BUILT_IN_VERSION: &str = "v1.21.2";

/// Which lists are merged by which keys. The first kustomization that names a schema decides for all.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    own: Option<MergeSchema>,
    chosen: bool,
}

impl Schema {
    /// Takes an OpenAPI document.
    ///
    /// # Errors
    /// It cannot be read, or has no definitions.
    pub(crate) fn read(&mut self, file: &Arc<SourceFile>) -> Result<(), Vec<Diagnostic>> {
        if self.chosen {
            return Ok(());
        }
        let document = crate::manifest::read_value(file)?;
        let error = |error: patch::SchemaError| {
            vec![Diagnostic::error("openapi", error.to_string(), file, Span::at(0))]
        };
        self.own = Some(MergeSchema::from_openapi(&document).map_err(error)?);
        self.chosen = true;
        Ok(())
    }

    /// Takes a schema that is built in.
    pub(crate) fn choose(&mut self, version: &str) -> Result<(), Refusal> {
        if self.chosen || version.is_empty() {
            return Ok(());
        }
        if version != BUILT_IN_VERSION {
            let message = format!("there is no built-in schema of version `{version}`");
            return Err(Refusal::new("openapi", message).with_hint(format!("there is {BUILT_IN_VERSION}")));
        }
        self.chosen = true;
        Ok(())
    }

    /// Merges a patch into a resource; one that is deleted becomes null.
    pub(crate) fn strategic_merge(&self, value: &mut Value, patch: &Value) -> Result<(), Refusal> {
        let schema = self.own.as_ref().unwrap_or_else(|| MergeSchema::built_in());
        match strategic_merge(value, patch, schema) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::new("patch", error.to_string())),
        }
    }
}

/// Operations on a resource (RFC 6902).
#[derive(Debug)]
pub(crate) struct JsonPatch {
    operations: patch::JsonPatch,
    count: usize,
}

impl JsonPatch {
    /// Reads operations from JSON, or from YAML when the text does not begin with `[`.
    pub(crate) fn parse(file: &Arc<SourceFile>) -> Result<JsonPatch, Refusal> {
        let (documents, diagnostics) = match file.text().starts_with('[') {
            true => read_json(file, Comments::Refused),
            false => crate::manifest::documents(file, Dialect::Kubectl),
        };
        if let Some(error) = diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
            return Err(Refusal::new("patch-text", error.message.clone()));
        }
        let document = documents.into_iter().next().map_or(Value::Null, value::of_node);
        let operations = patch::JsonPatch::from_value(&document);
        let operations = operations.map_err(|error| Refusal::new("patch-text", error.to_string()))?;
        Ok(JsonPatch { operations, count: document.as_array().map_or(0, Vec::len) })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True when all annotations of a resource are put, replaced or removed at once.
    pub(crate) fn takes_all_annotations(&self) -> bool {
        self.operations.paths().any(|path| matches!(path, "/metadata" | "/metadata/annotations"))
    }

    pub(crate) fn apply(&self, value: &mut Value) -> Result<(), Refusal> {
        patch::json_patch(value, &self.operations).map_err(|error| Refusal::new("patch", error.to_string()))
    }
}
