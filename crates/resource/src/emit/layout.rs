//! The layout of mappings and lists.

use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::{number, order, scalar, style};

/// Readers look only so far for the colon behind a key; a longer one is written behind `?`.
const LONGEST_SIMPLE_KEY: usize = 128;

/// Writes one document, ending in a line break.
pub(super) fn document(out: &mut String, value: &Value) {
    let mut layout = Layout { cursor: Cursor::new(out), entries: Vec::new() };
    layout.value(value, Place { parent: None, within: Within::Root });
    layout.cursor.indent(0);
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place {
    /// The column of the mapping or list around it; `None` for the document's own value.
    parent: Option<usize>,
    within: Within,
}

#[derive(Clone, Copy, PartialEq)]
enum Within {
    Root,
    List,
    Mapping,
}

impl Place {
    /// The column of a collection's entries, or of a scalar's further lines.
    fn deeper(self) -> usize {
        self.parent.map_or(0, |parent| parent + 2)
    }
}

struct Layout<'out, 'value> {
    cursor: Cursor<'out>,
    /// The entries of all open mappings, each sorted: one allocation for the whole document.
    entries: Vec<(&'value str, &'value Value)>,
}

impl<'value> Layout<'_, 'value> {
    fn value(&mut self, value: &'value Value, place: Place) {
        match value {
            Value::Object(entries) if entries.is_empty() => self.empty("{", "}"),
            Value::Array(items) if items.is_empty() => self.empty("[", "]"),
            Value::Object(entries) => self.mapping(entries, place.deeper()),
            Value::Array(items) => self.list(items, place),
            Value::Null => scalar::plain_word(&mut self.cursor, "null"),
            Value::Bool(true) => scalar::plain_word(&mut self.cursor, "true"),
            Value::Bool(false) => scalar::plain_word(&mut self.cursor, "false"),
            Value::Number(number) => number::write(&mut self.cursor, number),
            Value::String(text) => self.text(text, place),
        }
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.cursor.indicator(open, true);
        self.cursor.indicator(close, false);
    }

    fn text(&mut self, text: &str, place: Place) {
        let indent = place.parent.map_or(2, |parent| parent + 2);
        scalar::write(&mut self.cursor, text, style::of_value(text), indent, true);
    }

    fn mapping(&mut self, entries: &'value Map<String, Value>, indent: usize) {
        let start = self.entries.len();
        self.entries.extend(entries.iter().map(|(key, value)| (key.as_str(), value)));
        order::sort(&mut self.entries[start..], |entry| entry.0);
        for index in start..start + entries.len() {
            let (key, value) = self.entries[index];
            self.cursor.indent(indent);
            self.key(key, indent);
            self.value(value, Place { parent: Some(indent), within: Within::Mapping });
        }
        self.entries.truncate(start);
    }

    fn key(&mut self, key: &str, indent: usize) {
        if key.len() <= LONGEST_SIMPLE_KEY && !style::is_multiline(key) {
            scalar::write(&mut self.cursor, key, style::of_value(key), indent + 2, false);
            self.cursor.indicator(":", false);
        } else {
            self.cursor.mark('?');
            scalar::write(&mut self.cursor, key, style::of_value(key), indent + 2, true);
            self.cursor.indent(indent);
            self.cursor.mark(':');
        }
    }

    /// Behind `key:` the dashes stand in the key's column; everywhere else they are indented.
    fn list(&mut self, items: &'value [Value], place: Place) {
        let in_the_keys_column = place.within == Within::Mapping && !self.cursor.indention;
        let indent = if in_the_keys_column { place.parent.unwrap_or(0) } else { place.deeper() };
        for item in items {
            self.cursor.indent(indent);
            self.cursor.mark('-');
            self.value(item, Place { parent: Some(indent), within: Within::List });
        }
    }
}
