//! Where an object was written.

use std::sync::Arc;

use crate::document::{Data, Node};
use crate::{SourceFile, Span, pointer};

/// Where an object was written: file, document within the file, and the place of each of its fields.
#[derive(Debug)]
pub struct Origin {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Which document of the file, from 0.
    pub document: usize,
    root: Arc<Node>,
    mount: &'static str,
}

impl Origin {
    /// The origin of an object whose value is the node's.
    pub fn new(file: Arc<SourceFile>, document: usize, root: Arc<Node>) -> Origin {
        Origin { file, document, root, mount: "" }
    }

    /// The origin of an object that wraps the node: the node's fields are found under the pointer `mount`
    /// (`/spec` for an ECS document).
    pub fn mounted(file: Arc<SourceFile>, document: usize, root: Arc<Node>, mount: &'static str) -> Origin {
        Origin { file, document, root, mount }
    }

    /// The part to underline for a pointer: a scalar's text, or the key of a mapping or list, of the nearest
    /// ancestor that is written.
    pub fn span(&self, pointer: &str) -> Span {
        let (key, node) = self.nearest(pointer);
        match (key, &node.data) {
            (Some(key), Data::Mapping(_) | Data::Sequence(_) | Data::Null) => key,
            (None, Data::Mapping(entries)) => entries.first().map_or(node.span, |entry| entry.key_span),
            _ => node.span,
        }
    }

    /// The whole text of the value at a pointer, of the nearest ancestor that is written.
    pub fn value_span(&self, pointer: &str) -> Span {
        self.nearest(pointer).1.span
    }

    /// The key that leads to a pointer, when it is written.
    pub fn key_span(&self, pointer: &str) -> Option<Span> {
        self.root.key_span(pointer.strip_prefix(self.mount)?)
    }

    /// Walks as far as the file goes.
    fn nearest(&self, pointer: &str) -> (Option<Span>, &Node) {
        let mut found = (None, self.root.as_ref());
        for token in pointer::tokens(pointer.strip_prefix(self.mount).unwrap_or("")) {
            match found.1.child(&token) {
                Some(child) => found = child,
                None => break,
            }
        }
        found
    }
}
