//! From a document with places to Rust values, with a finding for everything that does not fit.

use std::sync::Arc;

use minato_resource::document::{Data, Node};
use minato_resource::{Diagnostic, SourceFile, Span, nearest};

/// A value and the place where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// Reads nodes of one file and collects what is wrong with them.
pub(crate) struct Decoder<'file> {
    pub(crate) file: &'file Arc<SourceFile>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Plugin configurations take numbers and booleans where text is expected, and skip fields they don't know.
    pub(crate) lenient: bool,
}

impl<'file> Decoder<'file> {
    pub(crate) fn strict(file: &'file Arc<SourceFile>) -> Decoder<'file> {
        Decoder { file, diagnostics: Vec::new(), lenient: false }
    }

    pub(crate) fn lenient(file: &'file Arc<SourceFile>) -> Decoder<'file> {
        Decoder { file, diagnostics: Vec::new(), lenient: true }
    }

    /// The fields of a mapping under the names by which they are known; upper and lower case count as equal, as in
    /// Go's JSON. Null has no fields.
    pub(crate) fn fields<'node>(
        &mut self,
        node: &'node Node,
        what: &str,
        known: &[&'static str],
    ) -> Vec<(&'static str, &'node Node)> {
        let Data::Mapping(entries) = &node.data else {
            if !node.is_null() {
                self.wrong_type(node, &format!("{what} must be a mapping"));
            }
            return Vec::new();
        };
        let mut fields = Vec::with_capacity(entries.len());
        for entry in entries {
            let exact = known.iter().find(|name| **name == entry.key);
            match exact.or_else(|| known.iter().find(|name| name.eq_ignore_ascii_case(&entry.key))) {
                Some(name) => fields.push((*name, &entry.value)),
                None if self.lenient => {}
                None => self.unknown_field(what, &entry.key, entry.key_span, known),
            }
        }
        fields
    }

    fn unknown_field(&mut self, what: &str, key: &str, span: Span, known: &[&'static str]) {
        let message = format!("{what} has no field `{key}`");
        let diagnostic = Diagnostic::error("unknown-field", message, self.file, span);
        self.diagnostics.push(match nearest(key, known.iter().copied()) {
            Some(near) => diagnostic.with_hint(format!("did you mean `{near}`?")),
            None => diagnostic,
        });
    }

    pub(crate) fn text(&mut self, node: &Node) -> String {
        match &node.data {
            Data::String(text) => text.clone(),
            Data::Null => String::new(),
            Data::Bool(value) if self.lenient => value.to_string(),
            Data::Number(number) if self.lenient => number.to_string(),
            _ => {
                self.wrong_type(node, "expected a string");
                String::new()
            }
        }
    }

    pub(crate) fn spanned_text(&mut self, node: &Node) -> Spanned<String> {
        Spanned { value: self.text(node), span: node.span }
    }

    pub(crate) fn boolean(&mut self, node: &Node) -> bool {
        match &node.data {
            Data::Bool(value) => *value,
            Data::Null => false,
            _ => {
                self.wrong_type(node, "expected a boolean");
                false
            }
        }
    }

    pub(crate) fn integer(&mut self, node: &Node) -> i64 {
        match &node.data {
            Data::Null => 0,
            Data::Number(number) if number.as_i64().is_some() => number.as_i64().unwrap_or_default(),
            _ => {
                self.wrong_type(node, "expected an integer");
                0
            }
        }
    }

    /// Every item of a list through `each`. Null is an empty list.
    pub(crate) fn list<T>(&mut self, node: &Node, mut each: impl FnMut(&mut Self, &Node) -> T) -> Vec<T> {
        match &node.data {
            Data::Sequence(items) => items.iter().map(|item| each(self, item)).collect(),
            Data::Null => Vec::new(),
            _ => {
                self.wrong_type(node, "expected a list");
                Vec::new()
            }
        }
    }

    pub(crate) fn texts(&mut self, node: &Node) -> Vec<Spanned<String>> {
        self.list(node, Decoder::spanned_text)
    }

    pub(crate) fn plain_texts(&mut self, node: &Node) -> Vec<String> {
        self.list(node, Decoder::text)
    }

    /// A mapping of texts, sorted by key.
    pub(crate) fn text_map(&mut self, node: &Node) -> Vec<(String, String)> {
        self.map(node, Decoder::text)
    }

    pub(crate) fn boolean_map(&mut self, node: &Node) -> Vec<(String, bool)> {
        self.map(node, Decoder::boolean)
    }

    fn map<T>(&mut self, node: &Node, each: impl Fn(&mut Self, &Node) -> T) -> Vec<(String, T)> {
        let Data::Mapping(entries) = &node.data else {
            if !node.is_null() {
                self.wrong_type(node, "expected a mapping");
            }
            return Vec::new();
        };
        let mut map: Vec<(String, T)> =
            entries.iter().map(|entry| (entry.key.clone(), each(self, &entry.value))).collect();
        map.sort_by(|left, right| left.0.cmp(&right.0));
        map
    }

    pub(crate) fn wrong_type(&mut self, node: &Node, expectation: &str) {
        let message = format!("{expectation}, found {}", node.kind_name());
        let diagnostic =
            Diagnostic::error("wrong-type", message, self.file, first_line(self.file, node.span));
        let scalar = matches!(node.data, Data::Bool(_) | Data::Number(_));
        self.diagnostics.push(if scalar && expectation == "expected a string" {
            diagnostic.with_hint(format!("write it in quotes: \"{}\"", self.file.slice(node.span)))
        } else {
            diagnostic
        });
    }
}

/// The part of a span on its first line.
pub(crate) fn first_line(file: &SourceFile, span: Span) -> Span {
    let length = file.slice(span).lines().next().map_or(0, str::len);
    Span::new(span.start, span.start + length)
}
