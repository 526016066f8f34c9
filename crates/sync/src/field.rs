//! Reading an Object's fields: a cursor that knows its JSON pointer, so that every wrong type is
//! reported at the line where it is written.

use std::cell::RefCell;

use minato_resource::{Diagnostic, Object, Severity, pointer};
use serde_json::Value;

/// What was found while reading.
#[derive(Debug, Default)]
pub struct Findings(RefCell<Vec<Diagnostic>>);

impl Findings {
    /// Adds one.
    pub fn push(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(Diagnostic::is_error)
    }

    /// All of them, in order.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }
}

/// A place in an Object that may or may not be written. `null` counts as not written.
#[derive(Clone)]
pub struct Field<'a> {
    object: &'a Object,
    findings: &'a Findings,
    pointer: String,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    /// The whole Object.
    pub fn root(object: &'a Object, findings: &'a Findings) -> Self {
        Self { object, findings, pointer: String::new(), value: Some(object.value()) }
    }

    /// The field `name` of this mapping.
    pub fn get(&self, name: &str) -> Self {
        self.child(name, self.value.and_then(|value| value.get(name)))
    }

    /// Several steps of `get`: `at(&["spec", "template"])`.
    pub fn at(&self, path: &[&str]) -> Self {
        path.iter().fold(self.clone(), |field, name| field.get(name))
    }

    /// Whether it is written.
    pub fn is_present(&self) -> bool {
        self.value.is_some()
    }

    /// What is written.
    pub fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// The Object this is a part of.
    pub fn object(&self) -> &'a Object {
        self.object
    }

    /// Where findings go.
    pub fn findings(&self) -> &'a Findings {
        self.findings
    }

    /// Where it is: a JSON pointer.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The items of a list; none when not written.
    pub fn items(&self) -> Vec<Self> {
        let Some(items) = self.typed("a list", Value::as_array) else { return Vec::new() };
        let indexed = items.iter().enumerate();
        indexed.map(|(index, item)| self.child(&index.to_string(), Some(item))).collect()
    }

    /// The entries of a mapping; none when not written.
    pub fn entries(&self) -> Vec<(&'a str, Self)> {
        let Some(map) = self.typed("a mapping", Value::as_object) else { return Vec::new() };
        map.iter().map(|(name, value)| (name.as_str(), self.child(name, Some(value)))).collect()
    }

    /// A string.
    pub fn text(&self) -> Option<&'a str> {
        self.typed("a string", Value::as_str)
    }

    /// A string; an error when it is not written.
    pub fn required_text(&self) -> Option<&'a str> {
        if self.value.is_none() {
            self.error("missing-field", format!("`{}` is missing", self.name()));
        }
        self.text()
    }

    /// A list of strings.
    pub fn texts(&self) -> Vec<String> {
        self.items().iter().filter_map(Field::text).map(str::to_owned).collect()
    }

    /// A whole number.
    pub fn integer(&self) -> Option<i64> {
        self.typed("a whole number", Value::as_i64)
    }

    /// A whole number of 0 or more; anything larger than `u32` is an error too.
    pub fn count(&self) -> Option<u32> {
        let number = self.integer()?;
        let count = u32::try_from(number).ok();
        if count.is_none() {
            self.error("wrong-value", format!("`{}` can't be {number}", self.name()));
        }
        count
    }

    /// True or false.
    pub fn boolean(&self) -> Option<bool> {
        self.typed("true or false", Value::as_bool)
    }

    /// The field as people write it: `spec.template.spec`.
    pub fn name(&self) -> String {
        pointer::tokens(&self.pointer).collect::<Vec<_>>().join(".")
    }

    /// The last part of [`Field::name`].
    pub fn last_name(&self) -> String {
        pointer::tokens(&self.pointer).last().unwrap_or_default()
    }

    /// Reports an error here.
    pub fn error(&self, code: &str, message: impl Into<String>) {
        self.report(Severity::Error, code, message.into(), None);
    }

    /// Reports an error here, with advice.
    pub fn error_with_hint(&self, code: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Error, code, message.into(), Some(hint.into()));
    }

    /// Reports a warning here.
    pub fn warning(&self, code: &str, message: impl Into<String>) {
        self.report(Severity::Warning, code, message.into(), None);
    }

    /// Reports every written field of this mapping that is not in `known`.
    pub fn warn_unknown(&self, known: &[&str], code: &str, what: &str) {
        for (name, field) in self.entries() {
            if !known.contains(&name) {
                field.warning(code, format!("`{}` {what}", field.name()));
            }
        }
    }

    fn report(&self, severity: Severity, code: &str, message: String, hint: Option<String>) {
        let diagnostic = self.object.diagnostic(severity, code, message, &self.pointer);
        self.findings.push(match hint {
            Some(hint) => diagnostic.with_hint(hint),
            None => diagnostic,
        });
    }

    fn child(&self, token: &str, value: Option<&'a Value>) -> Self {
        Self {
            object: self.object,
            findings: self.findings,
            pointer: pointer::join(&self.pointer, token),
            value: value.filter(|value| !value.is_null()),
        }
    }

    /// Never prints the value: it may be a secret's.
    fn typed<T>(&self, wanted: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.value?;
        let read = read(value);
        if read.is_none() {
            self.error("wrong-type", format!("`{}` must be {wanted}", self.name()));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wrong_type_is_an_error_that_names_the_field_and_not_the_value() {
        let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
            "data": {"k": 5, "n": null}, "list": ["x", 1]});
        let object = Object::from_value(value).unwrap();
        let findings = Findings::default();
        let root = Field::root(&object, &findings);
        assert_eq!(root.at(&["data", "k"]).text(), None);
        assert!(!root.at(&["data", "n"]).is_present());
        assert_eq!(root.get("list").texts(), ["x"]);
        let messages: Vec<String> = findings.into_vec().into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages, ["Secret a: `data.k` must be a string", "Secret a: `list.1` must be a string"]);
    }
}
