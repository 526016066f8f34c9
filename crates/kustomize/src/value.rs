//! Values as texts and texts as values, the way Kustomize's YAML nodes have both.

use minato_resource::document::{Data, Node};
use serde_json::{Map, Number, Value};

pub(crate) use minato_resource::kind_name;

/// The text of a scalar; empty for mappings and lists, whose nodes have no text of their own.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// True for null, an empty mapping and an empty list.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A document's value, without copying its texts.
pub(crate) fn of_node(node: Node) -> Value {
    match node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::Bool(value),
        Data::Number(number) => Value::Number(number),
        Data::String(text) => Value::String(text),
        Data::Sequence(items) => Value::Array(items.into_iter().map(of_node).collect()),
        Data::Mapping(entries) => {
            let mut fields = Map::with_capacity(entries.len());
            for entry in entries {
                fields.insert(entry.key, of_node(entry.value));
            }
            Value::Object(fields)
        }
    }
}

/// The scalar that a text is when it is written without quotes: `8080` is a number, `web` is text.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// The number that a plain text is; decimal notations only.
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        let digits = text.trim_start_matches(['+', '-']);
        let octal = digits.len() > 1 && digits.starts_with('0');
        return if octal {
            i64::from_str_radix(text, 8).ok().or(Some(whole)).map(Number::from)
        } else {
            Some(whole.into())
        };
    }
    let decimal =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value = text.parse::<f64>().ok().filter(|value| decimal && value.is_finite())?;
    // JSON writes a float without a fraction as an integer.
    if value.fract() == 0.0 && value.abs() < 1e15 {
        Some((value as i64).into())
    } else {
        Number::from_f64(value)
    }
}

/// Puts a text into a scalar that keeps its type, as Kustomize's replacements do: `8080` into a number is a number.
///
/// `None` when the text is no value of that type.
pub(crate) fn retyped(target: &Value, text: &str) -> Option<Value> {
    let typed = plain(text);
    match target {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Bool(_) => typed.is_boolean().then_some(typed),
        Value::Number(number) if number.is_f64() => typed.is_number().then_some(typed),
        Value::Number(_) => (typed.is_i64() || typed.is_u64()).then_some(typed),
        Value::Null => typed.is_null().then_some(typed),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_texts_are_typed() {
        for (text, expected) in [
            ("8080", json!(8080)),
            ("web", json!("web")),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("1.5", json!(1.5)),
            ("1.0", json!(1)),
            ("0777", json!(511)),
            ("1.2.3", json!("1.2.3")),
            ("", Value::Null),
            ("-", json!("-")),
            ("1e3x", json!("1e3x")),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn a_scalar_keeps_its_type() {
        assert_eq!(retyped(&json!(1), "8080"), Some(json!(8080)));
        assert_eq!(retyped(&json!("a"), "8080"), Some(json!("8080")));
        assert_eq!(retyped(&json!(1), "web"), None);
        assert_eq!(retyped(&json!(true), "false"), Some(json!(false)));
    }
}
