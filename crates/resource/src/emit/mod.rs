//! Values to text: what `-o yaml` and `-o json` print.
//!
//! The YAML has the layout of `kubectl get -o yaml` (block style, list dashes not indented, text quoted only when a
//! reader would take it for something else) and keeps the order of keys. Reading it gives the value back.

mod scalar;
mod yaml;

use serde_json::Value;

pub use yaml::yaml;

/// Several documents, divided by `---`.
pub fn yaml_documents<'value>(values: impl IntoIterator<Item = &'value Value>) -> String {
    values.into_iter().map(yaml).collect::<Vec<_>>().join("---\n")
}

/// JSON indented by two spaces, with a line break at the end.
pub fn json(value: &Value) -> String {
    format!("{value:#}\n")
}
