//! The blobs of an export, ready to be copied.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{Document, Documents, Export};
use crate::layer::Compression;
use crate::store::LayerExport;
use crate::{Descriptor, Digest, Image, Layer, LayerError, Store, media_type};

/// An export of which every blob is known.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The manifests and the index.
    pub documents: Documents,
    /// The images, sorted by platform as the manifests are.
    pub images: Vec<Image>,
    /// The layers' blobs by uncompressed digest.
    pub layers: BTreeMap<Digest, Descriptor>,
    blobs: Vec<Blob>,
}

/// A config's or a layer's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) descriptor: Descriptor,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Stored,
    /// An uncompressed layer, written from its tree.
    Tar(Box<Layer>),
}

/// A layer that can't be made a blob.
#[derive(Debug, thiserror::Error)]
#[error("layer {layer}: {source}")]
pub struct PackError {
    /// Its uncompressed digest.
    pub layer: Digest,
    /// Why.
    pub source: Box<LayerError>,
}

impl Export {
    /// Compresses what is not compressed yet into the store. Whoever copies it holds a [`crate::Lease`].
    ///
    /// # Errors
    /// When a layer's content is not what its digest says, or a blob can't be written.
    pub fn pack(&self, store: &Store) -> Result<Packed, PackError> {
        let mut layers = BTreeMap::new();
        let mut blobs = Vec::new();
        for layer in self.layers() {
            let blob = self.blob(store, layer);
            let blob = blob.map_err(|source| PackError { layer: layer.diff_id, source: Box::new(source) })?;
            layers.insert(layer.diff_id, blob.descriptor.clone());
            blobs.push(blob);
        }
        let stored =
            |descriptor: &Descriptor| Blob { descriptor: descriptor.clone(), content: Content::Stored };
        blobs.extend(self.configs().map(stored));
        let documents = self.documents(&layers);
        Ok(Packed { documents, images: self.images().cloned().collect(), layers, blobs })
    }

    /// How its layers are made blobs.
    pub fn layer_export(&self) -> LayerExport {
        LayerExport { encoding: self.options().encoding, force: self.options().force }
    }

    /// An uncompressed layer need not be written down: its digest and length are known.
    fn blob(&self, store: &Store, layer: &Layer) -> Result<Blob, LayerError> {
        let export = self.layer_export();
        let known = store.exported_layer(layer, export)?.filter(|known| store.has_blob(&known.digest));
        if known.is_none() && export.encoding.compression() == Compression::None {
            let descriptor = Descriptor::new(media_type::LAYER, layer.diff_id, layer.size);
            return Ok(Blob { descriptor, content: Content::Tar(Box::new(layer.clone())) });
        }
        Ok(Blob { descriptor: store.export_layer(layer, export)?, content: Content::Stored })
    }
}

impl Packed {
    /// A document that is no image, and the blobs of the store that it names.
    pub fn of_document(document: Document, blobs: Vec<Descriptor>) -> Self {
        let documents = Documents { manifests: vec![document], index: None };
        let blobs =
            blobs.into_iter().map(|descriptor| Blob { descriptor, content: Content::Stored }).collect();
        Self { documents, images: Vec::new(), layers: BTreeMap::new(), blobs }
    }

    /// Everything that its documents name.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs.iter().map(|blob| &blob.descriptor)
    }

    /// What a tag points at.
    pub fn root(&self) -> &Document {
        self.documents.root()
    }

    pub(crate) fn blobs(&self) -> &[Blob] {
        &self.blobs
    }
}

impl Blob {
    pub(crate) fn write(&self, store: &Store, mut out: &mut dyn Write) -> io::Result<()> {
        match &self.content {
            Content::Stored => {
                let mut blob = store.open_blob(&self.descriptor.digest).map_err(io::Error::other)?;
                io::copy(&mut blob, out).map(drop)
            }
            Content::Tar(layer) => store.write_layer(layer, &mut out).map(drop).map_err(io::Error::other),
        }
    }
}
