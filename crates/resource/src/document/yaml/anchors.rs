//! Values that aliases may name, and how much copying them is allowed.

use std::collections::{HashMap, HashSet};

use crate::document::{Data, Entry, MAX_DEPTH, Node};

/// How much memory copies of anchored values may take in one file, in bytes (see [`cost`]). A document of kilobytes
/// can ask for terabytes otherwise.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why an alias or anchor is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnchorError {
    #[error("`*{0}` stands inside the value it names")]
    Inside(String),
    #[error("`*{0}` names no anchor above it in this document")]
    Unknown(String),
    #[error("values are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("aliases make this file larger than {} MiB in memory", MAX_BYTES >> 20)]
    TooLarge,
}

/// The anchors of a document.
#[derive(Default)]
pub(super) struct Anchors {
    known: HashMap<String, Anchor>,
    /// Anchors of the collections that are being read.
    open: HashSet<String>,
    /// What all copies of the file take so far.
    bytes: usize,
}

struct Anchor {
    node: Node,
    cost: usize,
    height: usize,
}

impl Anchors {
    /// Forgets the anchors; each document has its own. What was copied still counts.
    pub(super) fn start_document(&mut self) {
        self.known.clear();
        self.open.clear();
    }

    /// A collection with an anchor begins: until it ends, an alias of that name would stand inside it.
    pub(super) fn open(&mut self, name: String) {
        self.open.insert(name);
    }

    /// Keeps a copy of a value under its name. `height` is how many levels it has below it.
    pub(super) fn keep(&mut self, name: String, node: &Node, height: usize) -> Result<(), AnchorError> {
        let cost = cost(node);
        charge(&mut self.bytes, cost)?;
        self.open.remove(&name);
        self.known.insert(name, Anchor { node: node.clone(), cost, height });
        Ok(())
    }

    /// A copy of the value of that name, to stand at a depth, with the levels it has below it.
    pub(super) fn copy(&mut self, name: &str, depth: usize) -> Result<(Node, usize), AnchorError> {
        if self.open.contains(name) {
            return Err(AnchorError::Inside(name.to_owned()));
        }
        let anchor = self.known.get(name).ok_or_else(|| AnchorError::Unknown(name.to_owned()))?;
        if depth + anchor.height > MAX_DEPTH {
            return Err(AnchorError::TooDeep);
        }
        charge(&mut self.bytes, anchor.cost)?;
        Ok((anchor.node.clone(), anchor.height))
    }
}

/// Counts a copy before it is made.
fn charge(bytes: &mut usize, cost: usize) -> Result<(), AnchorError> {
    *bytes = bytes.saturating_add(cost);
    if *bytes > MAX_BYTES { Err(AnchorError::TooLarge) } else { Ok(()) }
}

/// About how many bytes a copy takes.
fn cost(node: &Node) -> usize {
    let own = size_of::<Node>();
    own + match &node.data {
        Data::String(text) => text.len(),
        Data::Sequence(items) => items.iter().map(cost).sum(),
        Data::Mapping(entries) => {
            entries.iter().map(|entry| size_of::<Entry>() + entry.key.len() + cost(&entry.value)).sum()
        }
        _ => 0,
    }
}
