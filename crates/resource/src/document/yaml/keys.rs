//! The keys of mappings: text, or what each dialect makes text of.

use libyaml_safer::{Event, EventData, ScalarStyle};

use super::scalar::{self, Tag};
use super::{Composed, Composer, Dialect, Stop};
use crate::Span;
use crate::document::{Data, Node};

/// What stands before a colon.
pub(super) enum Key {
    Text(String),
    Merge,
    Refused,
}

impl Composer<'_> {
    pub(super) fn key(&mut self, event: Event, depth: usize) -> Result<Key, Stop> {
        let span = self.span(&event);
        let EventData::Scalar { anchor, tag, value, style, plain_implicit, .. } = event.data else {
            return self.other_key(event, depth);
        };
        let tag = tag.as_deref().map(scalar::short_tag);
        if value == "<<" && (plain_implicit || tag.as_deref() == Some("!!merge")) {
            return Ok(Key::Merge);
        }
        if anchor.is_some() {
            let data = self.scalar(&value, style, tag.as_deref(), span);
            self.anchored(anchor, Composed { node: Node::new(data, span), height: 0, end: span.end })?;
        }
        let tag = tag.as_deref().map_or(Tag::None, Tag::Named);
        if self.dialect == Dialect::Kustomize {
            return Ok(self.text_key(value, style, &tag, span, depth));
        }
        match scalar::key_text(&value, style == ScalarStyle::Plain, &tag) {
            Ok(Some(key)) => return Ok(Key::Text(key)),
            Ok(None) => {
                let message = "a key must not be null; quote it if it is text".to_owned();
                self.error("yaml-key", message, span, None);
            }
            Err(error) => self.error("yaml-value", error.to_string(), span, None),
        }
        Ok(Key::Refused)
    }

    /// A key of a resource of Kustomize: its output is JSON, and go-yaml v3 makes no text of other types. At the top alone
    /// it asks for text, and takes what is written.
    fn text_key(&mut self, text: String, style: ScalarStyle, tag: &Tag<'_>, span: Span, depth: usize) -> Key {
        self.refuse_slash(style, span);
        let plain = style == ScalarStyle::Plain;
        match scalar::typed(&text, plain, tag, Dialect::Kustomize) {
            Ok(Data::String(same)) if same == text => return Key::Text(text),
            Ok(_) if depth == 0 && !text.is_empty() => return Key::Text(text),
            Ok(_) => {
                let message = format!("the key `{text}` is not text for Kustomize");
                self.error("yaml-key", message, span, Some("put the key in quotes"));
            }
            Err(error) => self.error("yaml-value", error.to_string(), span, None),
        }
        Key::Refused
    }

    /// `\/` is an escape of JSON that Kustomize does not know.
    pub(super) fn refuse_slash(&mut self, style: ScalarStyle, span: Span) {
        if style == ScalarStyle::DoubleQuoted && escapes_slash(self.file.slice(span)) {
            let message = "`\\/` is not an escape that Kustomize knows".to_owned();
            self.error("yaml-syntax", message, span, Some("write `/` alone"));
        }
    }

    /// A key that is an alias counts as the text it names; one that is a collection is refused.
    fn other_key(&mut self, event: Event, depth: usize) -> Result<Key, Stop> {
        let span = self.span(&event);
        let node = self.value(event, depth + 1)?.node;
        Ok(match node.data {
            Data::String(key) => Key::Text(key),
            Data::Bool(key) => Key::Text(key.to_string()),
            Data::Number(key) => Key::Text(key.to_string()),
            _ => {
                let message = format!("a key must be text, a number or a boolean, not {}", node.kind_name());
                self.error("yaml-key", message, span, None);
                Key::Refused
            }
        })
    }
}

/// True when a double-quoted text has `\/` in it.
fn escapes_slash(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' && characters.next() == Some('/') {
            return true;
        }
    }
    false
}
