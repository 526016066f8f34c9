//! Field paths of replacements and vars: `spec.template.spec.containers.[name=web].image`.

use regex::Regex;
use serde_json::{Map, Value};

use crate::field::split;
use crate::refusal::Refusal;
use crate::value;

/// How many levels and items a path may lead through; a `*` in each of many levels multiplies.
const MAX_VISITS: usize = 1_000_000;

/// A field that a path leads to.
pub(crate) struct Field<'value> {
    pub(crate) value: &'value mut Value,
    /// It was not there before.
    pub(crate) made: bool,
}

/// What is put where a field is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Scalar,
    Mapping,
    List,
}

impl Made {
    pub(crate) fn of(value: &Value) -> Made {
        match value {
            Value::Object(_) => Made::Mapping,
            Value::Array(_) => Made::List,
            _ => Made::Scalar,
        }
    }

    fn value(self) -> Value {
        match self {
            Made::Scalar => Value::Null,
            Made::Mapping => Value::Object(Map::new()),
            Made::List => Value::Array(Vec::new()),
        }
    }
}

/// The parts of a path. A part in brackets may have dots in it: `[name=a.b]`, or a key such as `[example.com/x]`.
pub(crate) fn parse(path: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = split(path, '.').into_iter();
    while let Some(part) = rest.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            parts.push(part);
            continue;
        }
        let mut bracketed = part;
        for part in rest.by_ref() {
            bracketed.push('.');
            bracketed.push_str(&part);
            if part.ends_with(']') {
                break;
            }
        }
        parts.push(match bracketed.contains('=') {
            true => bracketed,
            false => bracketed.trim_matches(['[', ']']).to_owned(),
        });
    }
    parts
}

/// The value at a path; `None` when a part is missing.
///
/// # Errors
/// A part asks for an item of something that is no list, or for a wildcard.
pub(crate) fn lookup<'value>(
    value: &'value Value,
    parts: &[String],
) -> Result<Option<&'value Value>, Refusal> {
    let mut found = value;
    for part in parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let next = match step(part)? {
            Step::Every => return Err(Refusal::new("field-path", "a source's path has no `*`")),
            Step::Index(index) => list(found)?.get(index),
            Step::Last => list(found)?.last(),
            Step::Item(field, wanted) => list(found)?.iter().find(|item| has(item, field, wanted)),
            Step::Field(name) if found.is_null() || found.is_object() => found.get(name),
            Step::Field(name) => {
                let message = format!("expected a mapping with `{name}`, found {}", value::kind_name(found));
                return Err(Refusal::new("wrong-type", message));
            }
        };
        match next {
            Some(next) => found = next,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

enum Step<'text> {
    Every,
    Index(usize),
    Last,
    Item(&'text str, &'text str),
    Field(&'text str),
}

fn step(part: &str) -> Result<Step<'_>, Refusal> {
    if let Ok(index) = part.parse::<i64>() {
        let index = usize::try_from(index);
        return index
            .map(Step::Index)
            .map_err(|_| Refusal::new("field-path", format!("`{part}` is no index of a list")));
    }
    match part {
        "-" => Ok(Step::Last),
        "*" => Ok(Step::Every),
        _ if part.starts_with('[') && part.ends_with(']') => {
            let inner = &part[1..part.len() - 1];
            let (field, wanted) = inner
                .split_once('=')
                .ok_or_else(|| Refusal::new("field-path", format!("`{part}` must be `[FIELD=VALUE]`")))?;
            Ok(Step::Item(field, wanted))
        }
        _ => Ok(Step::Field(part)),
    }
}

fn list(value: &Value) -> Result<&Vec<Value>, Refusal> {
    value.as_array().ok_or_else(|| {
        Refusal::new("wrong-type", format!("expected a list, found {}", value::kind_name(value)))
    })
}

fn has(item: &Value, field: &str, wanted: &str) -> bool {
    match field {
        "" => value::text(item) == wanted,
        _ => item.get(field).is_some_and(|found| value::text(found) == wanted),
    }
}

/// Calls `set` with every field that a path leads to. `*` is every item, and what stands after `=` is a pattern.
pub(crate) fn visit(
    value: &mut Value,
    parts: &[String],
    make: Option<Made>,
    set: &mut dyn FnMut(Field<'_>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut visitor = Visitor { make, set, visits: 0 };
    visitor.visit(value, parts, false)
}

struct Visitor<'run> {
    make: Option<Made>,
    set: &'run mut dyn FnMut(Field<'_>) -> Result<(), Refusal>,
    visits: usize,
}

impl Visitor<'_> {
    fn visit(&mut self, value: &mut Value, parts: &[String], made: bool) -> Result<(), Refusal> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(Refusal::new("field-path", "the path leads to too many fields"));
        }
        let Some((part, rest)) = parts.split_first() else {
            return (self.set)(Field { value, made });
        };
        match step(part) {
            Ok(Step::Index(index)) => self.index(value, index, rest),
            Ok(Step::Item(field, wanted)) => self.items(value, field, wanted, rest),
            Ok(Step::Every) => {
                let items = list_mut(value)?;
                items.iter_mut().try_for_each(|item| self.visit(item, rest, false))
            }
            Ok(Step::Last | Step::Field(_)) => self.field(value, part, rest),
            Err(refusal) => Err(refusal),
        }
    }

    fn field(&mut self, value: &mut Value, name: &str, rest: &[String]) -> Result<(), Refusal> {
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => return Ok(()),
            other => {
                let message = format!("expected a mapping with `{name}`, found {}", value::kind_name(other));
                return Err(Refusal::new("wrong-type", message));
            }
        };
        let missing = !fields.contains_key(name);
        let made = missing.then(|| self.make.map(|make| next_kind(rest, make))).flatten();
        if let Some(made) = made {
            fields.insert(name.to_owned(), made.value());
        }
        match fields.get_mut(name) {
            Some(field) => self.visit(field, rest, made.is_some()),
            None => Ok(()),
        }
    }

    fn index(&mut self, value: &mut Value, index: usize, rest: &[String]) -> Result<(), Refusal> {
        let make = self.make;
        let items = list_mut(value)?;
        let mut made = false;
        if items.len() == index
            && let Some(make) = make
        {
            items.push(next_kind(rest, make).value());
            made = true;
        }
        let length = items.len();
        match items.get_mut(index) {
            Some(item) => self.visit(item, rest, made),
            None => Err(Refusal::new("missing-field", format!("there is no item {index} among {length}"))),
        }
    }

    fn items(
        &mut self,
        value: &mut Value,
        field: &str,
        wanted: &str,
        rest: &[String],
    ) -> Result<(), Refusal> {
        let pattern = Regex::new(wanted)
            .map_err(|_| Refusal::new("pattern", format!("`{wanted}` is no regular expression")))?;
        let matches = |item: &Value| match field {
            "" => pattern.is_match(&value::text(item)),
            _ => item.get(field).is_some_and(|found| pattern.is_match(&value::text(found))),
        };
        let items = list_mut(value)?;
        let none = !items.iter().any(matches);
        if none && self.make.is_some() {
            items.push(match field {
                "" => value::plain(wanted),
                _ => Value::Object(Map::from_iter([(field.to_owned(), value::plain(wanted))])),
            });
        }
        for item in items.iter_mut().filter(|item| matches(item)) {
            match field {
                // A scalar item is the field itself, whatever follows.
                "" => (self.set)(Field { value: item, made: false })?,
                _ => self.visit(item, rest, false)?,
            }
        }
        Ok(())
    }
}

fn list_mut(value: &mut Value) -> Result<&mut Vec<Value>, Refusal> {
    let kind = value::kind_name(value);
    value.as_array_mut().ok_or_else(|| Refusal::new("wrong-type", format!("expected a list, found {kind}")))
}

/// What a missing field is made as, by what follows it.
fn next_kind(rest: &[String], last: Made) -> Made {
    match rest.first() {
        None => last,
        Some(part) if part.parse::<usize>().is_ok() || (part.starts_with('[') && part.ends_with(']')) => {
            Made::List
        }
        Some(_) => Made::Mapping,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn brackets_keep_dots_together() {
        assert_eq!(parse("a.[name=x.y].b"), ["a", "[name=x.y]", "b"]);
        assert_eq!(
            parse("metadata.annotations.[example.com/x]"),
            ["metadata", "annotations", "example.com/x"]
        );
        assert_eq!(
            parse(r"metadata.annotations.example\.com/x"),
            ["metadata", "annotations", "example.com/x"]
        );
    }

    #[test]
    fn fields_are_found_and_made() {
        let check = |path: &str, make: bool, mut value: Value, expected: Value| {
            let set = &mut |field: Field<'_>| {
                *field.value = json!("x");
                Ok(())
            };
            visit(&mut value, &parse(path), make.then_some(Made::Scalar), set).unwrap();
            assert_eq!(value, expected, "{path}");
        };
        check(
            "a.[n=w].i",
            false,
            json!({"a": [{"n": "w", "i": 1}, {"n": "v", "i": 1}]}),
            json!({"a": [{"n": "w", "i": "x"}, {"n": "v", "i": 1}]}),
        );
        check("a.*.i", false, json!({"a": [{"i": 1}, {"i": 1}]}), json!({"a": [{"i": "x"}, {"i": "x"}]}));
        check("a.1", false, json!({"a": [1, 2]}), json!({"a": [1, "x"]}));
        check("a.b.c", true, json!({}), json!({"a": {"b": {"c": "x"}}}));
        check("a.[n=w].i", true, json!({}), json!({"a": [{"n": "w", "i": "x"}]}));
        check("a.0.i", true, json!({}), json!({"a": [{"i": "x"}]}));
        check("a.b", false, json!({}), json!({}));
    }
}
