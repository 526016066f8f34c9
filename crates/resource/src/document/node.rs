//! The tree.

use serde_json::{Map, Number, Value};

use crate::{Span, pointer};

/// A value and its place in the file. An alias's copy keeps the place of its anchor, where the text is.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value's text, quotes or brackets included; an empty span for a value that is not written.
    pub span: Span,
    /// The value.
    pub data: Data,
}

/// What a value is, as JSON knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`, `~`, or nothing.
    Null,
    /// `true` or `false`, and YAML 1.1's other spellings.
    Bool(bool),
    /// An integer of 64 bits or a float; integral floats are integers, as in Kubernetes' JSON.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of the file; keys are unique.
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as text (YAML's numbers and booleans are written out, as `kubectl` does).
    pub key: String,
    /// The key's place, quotes included.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A value at a place.
    pub fn new(data: Data, span: Span) -> Node {
        Node { span, data }
    }

    /// The value of a key, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key, when this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a mapping; empty for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; empty for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            Data::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The text, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(text) => Some(text),
            _ => None,
        }
    }

    /// True for `null` or a value that is not written.
    pub fn is_null(&self) -> bool {
        self.data == Data::Null
    }

    /// What this is, for messages: `a string`, `a mapping`.
    pub fn kind_name(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::String(_) => "a string",
            Data::Sequence(_) => "a list",
            Data::Mapping(_) => "a mapping",
        }
    }

    /// The node at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Node> {
        pointer::tokens(pointer).try_fold(self, |node, token| node.child(&token).map(|(_, child)| child))
    }

    /// The place of the key that leads to a pointer; `None` for list items and for what is not there.
    pub fn key_span(&self, pointer: &str) -> Option<Span> {
        let parent = self.at(pointer::parent(pointer)?)?;
        let last = pointer::tokens(&pointer[pointer.rfind('/')?..]).next()?;
        parent.child(&last)?.0
    }

    /// A copy without places, in the order of the file.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::String(text) => Value::String(text.clone()),
            Data::Sequence(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Data::Mapping(entries) => Value::Object(to_map(entries)),
        }
    }

    /// The child under a key or index, with the key's place.
    pub(crate) fn child(&self, token: &str) -> Option<(Option<Span>, &Node)> {
        match &self.data {
            Data::Mapping(_) => self.entry(token).map(|entry| (Some(entry.key_span), &entry.value)),
            Data::Sequence(items) => items.get(pointer::index(token)?).map(|item| (None, item)),
            _ => None,
        }
    }
}

fn to_map(entries: &[Entry]) -> Map<String, Value> {
    entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect()
}
