//! Reading typed fields out of an ECS document, telling the place of each one that is wrong.

use std::cell::RefCell;
use std::collections::BTreeMap;

use minato_resource::{Diagnostic, Object, Severity, nearest, pointer};
use serde_json::{Map, Value};

/// A mapping within a document, and the diagnostics that everything read from the document shares.
///
/// A field of the wrong type is reported once and then counts as absent, so that reading never stops early. `null`
/// counts as absent, as in the AWS CLI's skeletons.
pub(crate) struct Fields<'object> {
    object: &'object Object,
    diagnostics: &'object RefCell<Vec<Diagnostic>>,
    pointer: String,
    values: &'object Map<String, Value>,
}

impl<'object> Fields<'object> {
    /// The fields of the document itself; `None`, reported, when it is not a mapping.
    pub(crate) fn of(
        object: &'object Object,
        diagnostics: &'object RefCell<Vec<Diagnostic>>,
    ) -> Option<Fields<'object>> {
        let Some(values) = object.get("/spec").and_then(Value::as_object) else {
            let message = "the ECS document under `spec` must be a mapping";
            diagnostics.borrow_mut().push(object.diagnostic(Severity::Error, "ecs-type", message, "/spec"));
            return None;
        };
        Some(Fields { object, diagnostics, pointer: "/spec".to_owned(), values })
    }

    /// The JSON pointer of a field within the object.
    pub(crate) fn pointer_to(&self, name: &str) -> String {
        pointer::join(&self.pointer, name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.typed(name, "text", |value| value.as_str().map(str::to_owned))
    }

    /// Text that must be there and not empty; reported and empty otherwise.
    pub(crate) fn required_text(&self, name: &str) -> String {
        match self.value(name) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::String(_)) | None => {
                self.error("ecs-missing", name, format!("`{name}` is missing"));
                String::new()
            }
            Some(_) => self.text(name).unwrap_or_default(),
        }
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.typed(name, "`true` or `false`", Value::as_bool)
    }

    /// A whole number that is not negative and fits.
    pub(crate) fn integer<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        self.typed(name, "a whole number", Value::as_u64).and_then(|value| {
            let fitting = T::try_from(value).ok();
            if fitting.is_none() {
                self.error("ecs-range", name, format!("`{name}` is {value}, which is out of range"));
            }
            fitting
        })
    }

    /// A whole number that must be there; reported and 0 otherwise.
    pub(crate) fn required_integer(&self, name: &str) -> i64 {
        if !self.has(name) {
            self.error("ecs-missing", name, format!("`{name}` is missing"));
        }
        self.typed(name, "a whole number", Value::as_i64).unwrap_or(0)
    }

    /// The value of a field that should be text, when it is a whole number instead.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.value(name).and_then(Value::as_u64)
    }

    /// A whole number from a range, else the default.
    pub(crate) fn within(&self, name: &str, range: std::ops::RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = self.integer::<u64>(name) else { return default };
        if !range.contains(&value) {
            let message = format!("`{name}` is {value}; ECS takes {} to {}", range.start(), range.end());
            self.error("ecs-range", name, message);
        }
        value.clamp(*range.start(), *range.end())
    }

    /// One of the words of a table.
    pub(crate) fn word<T: Copy>(&self, name: &str, table: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
            let message = format!("`{name}` is `{text}`; ECS knows {}", words.join(", "));
            self.error("ecs-value", name, message);
        }
        found
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.elements(name, |value, _| value.as_str().map(str::to_owned), "text")
    }

    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        self.elements(name, |value, _| value.as_i64(), "a whole number")
    }

    /// A mapping of text to text.
    pub(crate) fn text_map(&self, name: &str) -> BTreeMap<String, String> {
        let Some(fields) = self.mapping(name) else { return BTreeMap::new() };
        let names: Vec<&String> = fields.values.keys().collect();
        names.into_iter().filter_map(|key| Some((key.clone(), fields.text(key)?))).collect()
    }

    pub(crate) fn mapping(&self, name: &str) -> Option<Fields<'object>> {
        let values = self.typed(name, "a mapping", Value::as_object)?;
        Some(self.below(values, self.pointer_to(name)))
    }

    /// Reads each item of a list of mappings.
    pub(crate) fn list<T>(&self, name: &str, read: impl Fn(&Fields<'object>) -> T) -> Vec<T> {
        let one = |value: &'object Value, place: &str| {
            value.as_object().map(|values| read(&self.below(values, place.to_owned())))
        };
        self.elements(name, one, "a mapping")
    }

    pub(crate) fn error(&self, code: &str, name: &str, message: String) {
        self.report(Severity::Error, code, name, message, None);
    }

    pub(crate) fn warning(&self, code: &str, name: &str, message: String, hint: &str) {
        self.report(Severity::Warning, code, name, message, Some(hint));
    }

    /// Warns of a field that ECS does not know but nearly does. Others are left alone: AWS adds fields often.
    pub(crate) fn warn_of_slips(&self, known: &[&str]) {
        for name in self.values.keys().filter(|name| !known.contains(&name.as_str())) {
            if let Some(meant) = nearest(name, known.iter().copied()) {
                let message = format!("ECS knows no field `{name}` here");
                let place = self.pointer_to(name);
                let diagnostic = self.object.key_diagnostic(Severity::Warning, "ecs-field", message, &place);
                self.diagnostics.borrow_mut().push(diagnostic.with_hint(format!("did you mean `{meant}`?")));
            }
        }
    }

    fn below(&self, values: &'object Map<String, Value>, pointer: String) -> Fields<'object> {
        Fields { object: self.object, diagnostics: self.diagnostics, pointer, values }
    }

    fn value(&self, name: &str) -> Option<&'object Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    fn typed<T>(&self, name: &str, wanted: &str, read: impl Fn(&'object Value) -> Option<T>) -> Option<T> {
        let value = self.value(name)?;
        let read = read(value);
        if read.is_none() {
            self.error("ecs-type", name, format!("`{name}` must be {wanted}, not {}", describe(value)));
        }
        read
    }

    fn elements<T>(
        &self,
        name: &str,
        read: impl Fn(&'object Value, &str) -> Option<T>,
        wanted: &str,
    ) -> Vec<T> {
        let list = self.typed(name, "a list", Value::as_array).into_iter().flatten();
        let pointer = self.pointer_to(name);
        let read_one = |(index, value): (usize, &'object Value)| {
            let place = format!("{pointer}/{index}");
            let read = read(value, &place);
            if read.is_none() {
                let message = format!("each item of `{name}` must be {wanted}, not {}", describe(value));
                let diagnostic = self.object.diagnostic(Severity::Error, "ecs-type", message, &place);
                self.diagnostics.borrow_mut().push(diagnostic);
            }
            read
        };
        list.enumerate().filter_map(read_one).collect()
    }

    fn report(&self, severity: Severity, code: &str, name: &str, message: String, hint: Option<&str>) {
        let diagnostic = self.object.diagnostic(severity, code, message, &self.pointer_to(name));
        self.diagnostics.borrow_mut().push(match hint {
            Some(hint) => diagnostic.with_hint(hint),
            None => diagnostic,
        });
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
