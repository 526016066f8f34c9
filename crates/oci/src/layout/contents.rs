//! What a layout holds besides images for this machine: documents by name, blobs by digest.

use std::path::Path;

use super::read::{is_called, take_layer};
use super::source::Source;
use super::{INDEX_FILE, LayoutError, blob_name};
use crate::export::Document;
use crate::layer::Limits;
use crate::{Descriptor, Digest, Index, Layer, Store};

const DOCUMENT_LIMIT: u64 = 4 << 20;

/// An opened layout, a folder or a tar. Nothing in it is believed.
pub struct Contents(Source);

impl Contents {
    /// Opens the layout at `path`.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        Source::open(path).map(Self)
    }

    /// The manifest or index called `name`; without a name the only one.
    ///
    /// # Errors
    /// When there is no such one, or not just one, or its digest is not its own.
    pub fn document(&self, name: Option<&str>) -> Result<Document, LayoutError> {
        let json = self.0.read(INDEX_FILE, DOCUMENT_LIMIT)?;
        let index: Index =
            serde_json::from_slice(&json).map_err(|error| self.0.malformed(INDEX_FILE, error.to_string()))?;
        let wanted = |entry: &&Descriptor| name.is_none_or(|name| is_called(entry, name));
        let found: Vec<&Descriptor> = index.manifests.iter().filter(wanted).collect();
        let [entry] = found.as_slice() else {
            return Err(LayoutError::Choice {
                path: self.0.path().to_owned(),
                reason: format!("{} documents fit", found.len()),
                names: index.manifests.iter().map(|entry| entry.digest.to_string()).collect(),
            });
        };
        let bytes = self.0.read_blob(entry, DOCUMENT_LIMIT)?;
        Ok(Document { descriptor: (*entry).clone(), bytes })
    }

    /// A small blob, verified.
    ///
    /// # Errors
    /// When it is missing, too long, or not what its digest says.
    pub fn read_blob(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, LayoutError> {
        self.0.read_blob(blob, limit)
    }

    /// Brings a layer into the store.
    ///
    /// # Errors
    /// When it is missing, or refused, or not what its digests say.
    pub fn layer(
        &self,
        store: &Store,
        blob: &Descriptor,
        diff_id: &Digest,
        limits: Limits,
    ) -> Result<Layer, LayoutError> {
        let (content, _) = self.0.open_content(&blob_name(&blob.digest))?;
        take_layer(store, content, blob, diff_id, limits)?;
        Ok(store.layer(diff_id)?.ok_or(crate::StoreError::NoLayer(*diff_id))?)
    }
}
