//! Manifests and indexes as bytes.

use serde::Serialize;

use crate::{Descriptor, Digest};

/// A manifest or an index, and what points at it.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// Media type, digest and size; platform and annotations as an index has them.
    pub descriptor: Descriptor,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

/// Every document of an export.
#[derive(Clone, PartialEq, Debug)]
pub struct Documents {
    /// One for each platform, sorted by platform.
    pub manifests: Vec<Document>,
    /// What names them all, where there are several.
    pub index: Option<Document>,
}

impl Document {
    /// The document that `value` is, in JSON.
    pub fn of(media_type: &str, value: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(value).expect("documents have string keys");
        Self::of_bytes(media_type, bytes)
    }

    pub(crate) fn of_bytes(media_type: &str, bytes: Vec<u8>) -> Self {
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        Self { descriptor, bytes }
    }
}

impl Documents {
    /// What a tag points at: the index, or the only manifest.
    pub fn root(&self) -> &Document {
        let only = || self.manifests.first().expect("an export has an image");
        self.index.as_ref().unwrap_or_else(only)
    }

    /// Innermost first, the root last.
    pub fn in_order(&self) -> impl Iterator<Item = &Document> {
        self.manifests.iter().chain(&self.index)
    }
}
