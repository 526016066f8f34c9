//! Documents as trees in which every key and value knows its place.
//!
//! A [`Node`] is what both readers make, before anything decides what the document means. Documents that are not
//! Kubernetes objects (`minato.yaml`, ECS definitions) are read from this tree, so that their mistakes have a
//! place too.

mod node;

pub use node::{Data, Entry, Node};
