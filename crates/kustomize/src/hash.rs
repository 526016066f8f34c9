//! The suffix of generated names: a short hash of what the object holds.

use std::fmt::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::resource::Resource;
use crate::value;

/// How many digits of the hash a name gets.
const DIGITS: usize = 10;

/// Gives generated resources their suffix.
pub(crate) fn add_suffixes(resources: &mut [Resource]) {
    for resource in resources.iter_mut().filter(|resource| resource.needs_hash) {
        let name = format!("{}-{}", resource.id().name, suffix(&resource.value));
        resource.remember();
        resource.set_name(&name);
    }
}

/// The suffix of an object. Letters stand for digits that could make words.
fn suffix(object: &Value) -> String {
    let digest = hex::encode(Sha256::digest(canonical(object)));
    digest[..DIGITS]
        .chars()
        .map(|digit| match digit {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

/// What is hashed, as JSON with sorted keys. The name is always empty, for a reason lost in Kustomize's history.
fn canonical(object: &Value) -> String {
    let kind = object.get("kind").map(value::text).unwrap_or_default();
    let mut content = Map::new();
    let mut take = |field: &str, always: bool| {
        let found = object.get(field);
        if always || found.is_some_and(|value| value.is_object()) {
            let value = match found {
                None => Value::String(String::new()),
                Some(value) if value.is_object() || value.is_array() => value.clone(),
                Some(scalar) => Value::String(value::text(scalar)),
            };
            content.insert(field.to_owned(), value);
        }
    };
    take("data", true);
    if kind == "Secret" {
        take("stringData", false);
        take("type", true);
    } else {
        take("binaryData", false);
    }
    content.insert("kind".to_owned(), Value::String(kind));
    content.insert("name".to_owned(), Value::String(String::new()));
    let mut out = String::new();
    write_json(&mut out, &Value::Object(content));
    out
}

/// JSON as Go writes it: sorted keys, and characters that mean something in HTML escaped.
fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|left, right| left.0.cmp(right.0));
            out.push('{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_text(out, key);
                out.push(':');
                write_json(out, value);
            }
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
