//! Paths of fields: which fields a transformation looks at, and walking there.

use serde_json::{Map, Value};

use crate::identity::Gvk;
use crate::refusal::Refusal;
use crate::value;

/// A path into resources of a kind: `spec/template/spec/containers[]/image`. Lists on the way are entered item by
/// item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldSpec {
    /// Which resources have the field; empty parts stand for any.
    pub(crate) gvk: Gvk,
    /// As written, for messages and comparison.
    pub(crate) path: String,
    steps: Vec<Step>,
    /// Whether the field is made where it is missing.
    pub(crate) create: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    field: String,
    /// Written with `[]`: it is never made.
    list: bool,
}

/// What is put where a field is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Nothing,
    Scalar,
    Mapping,
}

impl FieldSpec {
    pub(crate) fn new(gvk: Gvk, path: impl Into<String>, create: bool) -> FieldSpec {
        let path = path.into();
        let steps = split(&path, '/').into_iter().map(|part| match part.strip_suffix("[]") {
            Some(field) => Step { field: field.to_owned(), list: true },
            None => Step { field: part, list: false },
        });
        FieldSpec { gvk, steps: steps.collect(), path, create }
    }

    /// Calls `set` with every value that the path leads to in a resource of kind `gvk`.
    pub(crate) fn visit(
        &self,
        gvk: &Gvk,
        value: &mut Value,
        make: Make,
        set: &mut dyn FnMut(&mut Value) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if !gvk.is_selected_by(&self.gvk) {
            return Ok(());
        }
        let make = if self.create { make } else { Make::Nothing };
        walk(&self.steps, value, make, set).map_err(|refusal| Refusal {
            message: format!("field `{}`: {}", self.path, refusal.message),
            ..refusal
        })
    }
}

fn walk(
    steps: &[Step],
    value: &mut Value,
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Some((step, rest)) = steps.split_first() else { return set(value) };
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(steps, item, make, set)),
        Value::Object(fields) => match enter(fields, step, rest.is_empty(), make)? {
            Some(field) => walk(rest, field, make, set),
            None => Ok(()),
        },
        other => Err(Refusal::new(
            "wrong-type",
            format!("expected a mapping or a list on the way, found {}", value::kind_name(other)),
        )),
    }
}

/// The field of a step; made, or given a value instead of null, where that is asked for.
fn enter<'value>(
    fields: &'value mut Map<String, Value>,
    step: &Step,
    last: bool,
    make: Make,
) -> Result<Option<&'value mut Value>, Refusal> {
    if step.field.is_empty() {
        return Err(Refusal::new("wrong-type", "the path has an empty part"));
    }
    let made = match make {
        _ if step.list => Value::Array(Vec::new()),
        Make::Nothing => return Ok(fields.get_mut(&step.field)),
        Make::Scalar if last => Value::String(String::new()),
        Make::Scalar | Make::Mapping => Value::Object(Map::new()),
    };
    if make == Make::Nothing || step.list {
        let field = fields.get_mut(&step.field);
        return Ok(field.map(|field| {
            if field.is_null() {
                *field = made;
            }
            field
        }));
    }
    let field = fields.entry(step.field.clone()).or_insert(Value::Null);
    if field.is_null() {
        *field = made;
    }
    Ok(Some(field))
}

/// Parts of a path; a backslash before the delimiter makes it part of a name. One delimiter at the start is dropped.
pub(crate) fn split(path: &str, delimiter: char) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut continues = false;
    let rest = if path.len() > 1 { path.strip_prefix(delimiter).unwrap_or(path) } else { path };
    for part in rest.split(delimiter) {
        match parts.last_mut().filter(|_| continues) {
            Some(last) => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            None => parts.push(part.to_owned()),
        }
        continues = parts.last().is_some_and(|last| last.ends_with('\\'));
    }
    parts
}

/// Sets a key of a mapping to a text; null and missing mappings stay as they are.
pub(crate) fn set_entry(target: &mut Value, key: &str, text: &str) -> Result<(), Refusal> {
    match target {
        Value::Object(fields) => {
            fields.insert(key.to_owned(), Value::String(text.to_owned()));
            Ok(())
        }
        Value::Null => Ok(()),
        other => {
            Err(Refusal::new("wrong-type", format!("expected a mapping, found {}", value::kind_name(other))))
        }
    }
}

/// Replaces a scalar; mappings and lists are refused.
pub(crate) fn set_scalar(target: &mut Value, new: Value) -> Result<(), Refusal> {
    match target {
        Value::Array(_) | Value::Object(_) => {
            Err(Refusal::new("wrong-type", format!("expected a scalar, found {}", value::kind_name(target))))
        }
        _ => {
            *target = new;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_backslash_keeps_the_delimiter() {
        assert_eq!(split(r"metadata/annotations/a.b\/c", '/'), ["metadata", "annotations", "a.b/c"]);
        assert_eq!(split("/a/b", '/'), ["a", "b"]);
        assert_eq!(split("a", '/'), ["a"]);
        assert_eq!(split(r"a\.b.c", '.'), ["a.b", "c"]);
    }

    #[test]
    fn lists_are_entered_and_missing_fields_made_on_demand() {
        let check = |path: &str, create: bool, mut value: Value, expected: Value| {
            let spec = FieldSpec::new(Gvk::default(), path, create);
            let set = &mut |field: &mut Value| set_scalar(field, json!("x"));
            spec.visit(&Gvk::default(), &mut value, Make::Scalar, set).unwrap();
            assert_eq!(value, expected, "{path}");
        };
        check("a/b", false, json!({"a": [{"b": 1}, {"c": 2}]}), json!({"a": [{"b": "x"}, {"c": 2}]}));
        check(
            "a/b",
            true,
            json!({"a": [{"b": 1}, {"c": 2}]}),
            json!({"a": [{"b": "x"}, {"c": 2, "b": "x"}]}),
        );
        check("a/b", true, json!({}), json!({"a": {"b": "x"}}));
        check("a/b", true, json!({"a": null}), json!({"a": {"b": "x"}}));
        check("a[]/b", true, json!({}), json!({}));
        check("a/b", false, json!({"a": null}), json!({"a": null}));
    }
}
