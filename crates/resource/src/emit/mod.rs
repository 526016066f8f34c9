//! Values to text: what `render`, `-o yaml` and `-o json` print.
//!
//! The YAML is, byte for byte, what sigs.k8s.io/yaml's `Marshal` (go-yaml v2) writes, which `kubectl`, Kustomize and
//! Helm print their objects with: keys in natural order, block style, list dashes not indented, lines folded behind
//! column 80, text quoted only when a YAML 1.1 reader would take it for something else. `oracle/yaml` holds the program
//! that it is checked against.
//!
//! ```text
//! Value ─► layout (mappings, lists; order) ─► style (plain, quoted, block) ─► scalar (folding, escapes) ─► cursor ─► String
//! ```
//!
//! Everything is written into one `String`; nothing is allocated for a single scalar.

mod cursor;
mod layout;
mod number;
mod order;
mod scalar;
mod style;

use serde_json::Value;

/// One document, ending in a line break.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    append_yaml(&mut out, value);
    out
}

/// Several documents, divided by `---`.
pub fn to_yaml_documents<'value>(values: impl IntoIterator<Item = &'value Value>) -> String {
    let mut out = String::new();
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        append_yaml(&mut out, value);
    }
    out
}

/// Puts one document behind a text that is empty or ends in a line break.
pub fn append_yaml(out: &mut String, value: &Value) {
    layout::document(out, value);
}

/// JSON indented by two spaces in the order of the value, with a line break at the end.
pub fn json(value: &Value) -> String {
    format!("{value:#}\n")
}
