//! The layout of mappings and lists.

use serde_json::{Map, Value};

use super::scalar;

/// One document, ending in a line break.
pub fn yaml(value: &Value) -> String {
    let mut writer = Writer { out: String::new() };
    match value {
        Value::Object(entries) if !entries.is_empty() => writer.mapping(entries, 0),
        Value::Array(items) if !items.is_empty() => writer.sequence(items, 0),
        other => writer.scalar(other, 0),
    }
    writer.out
}

struct Writer {
    out: String,
}

impl Writer {
    /// The entries, one a line; the first starts where the text stands.
    fn mapping(&mut self, entries: &Map<String, Value>, indent: usize) {
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                self.indent(indent);
            }
            let key = scalar::key(key);
            // A key over 128 bytes is written with `?`, as libyaml does: readers look only so far for the colon.
            if key.len() > 128 {
                self.out.push_str(&format!("? {key}\n"));
                self.indent(indent);
            } else {
                self.out.push_str(&key);
            }
            self.out.push(':');
            self.entry_value(value, indent);
        }
    }

    /// The items, one after the other; the first dash starts where the text stands.
    fn sequence(&mut self, items: &[Value], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.indent(indent);
            }
            self.out.push_str("- ");
            match item {
                Value::Object(entries) if !entries.is_empty() => self.mapping(entries, indent + 2),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent + 2),
                other => self.scalar(other, indent),
            }
        }
    }

    /// What follows `key:`. A list's dashes stand in the key's column.
    fn entry_value(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                self.out.push('\n');
                self.indent(indent + 2);
                self.mapping(entries, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                self.out.push('\n');
                self.indent(indent);
                self.sequence(items, indent);
            }
            other => {
                self.out.push(' ');
                self.scalar(other, indent);
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => self.out.push_str(&scalar::number(number)),
            Value::String(text) if scalar::fits_literal(text) => return self.literal(text, indent + 2),
            Value::String(text) => self.out.push_str(&scalar::text(text)),
            Value::Array(_) => self.out.push_str("[]"),
            Value::Object(_) => self.out.push_str("{}"),
        }
        self.out.push('\n');
    }

    /// Text of several lines as a `|` block. `-` drops the last line break, `+` keeps more than one.
    fn literal(&mut self, text: &str, indent: usize) {
        let breaks = text.len() - text.trim_end_matches('\n').len();
        self.out.push_str(match breaks {
            0 => "|-\n",
            1 => "|\n",
            _ => "|+\n",
        });
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            if !line.is_empty() {
                self.indent(indent);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    fn indent(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(' ', columns));
    }
}
