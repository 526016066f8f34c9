//! Documents as trees in which every key and value knows its place.
//!
//! A [`Node`] is what both readers make, before anything decides what the document means. Documents that are not
//! Kubernetes objects (`minato.yaml`, ECS definitions) are read from this tree, so that their mistakes have a
//! place too.

mod json;
mod node;
mod number;
pub(crate) mod yaml;

pub use json::{Comments, read_json};
pub use node::{Data, Entry, Node};
pub use yaml::{Dialect, read_yaml, read_yaml_as};

/// How deep values may be nested. Real objects reach about 60 (schemas in custom resource definitions); stored
/// JSON is read back by a reader that stops at 128.
pub const MAX_DEPTH: usize = 100;
