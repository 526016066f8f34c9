//! Layers as others get them: compressed blobs, made once.

use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layers::Tee;
use super::{Layer, LayerError, Store, StoreError, failed, files};
use crate::layer::{Compression, Encoding, EncodingWriter, write_tar};
use crate::{Descriptor, Digest, Digester, media_type};

const VERSION: u32 = 1;
const BUFFER: usize = 256 << 10;

/// How a layer is made a blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LayerExport {
    /// How it is compressed.
    pub encoding: Encoding,
    /// Whether a layer that came compressed in another way is compressed again.
    pub force: bool,
}

impl From<Encoding> for LayerExport {
    /// What came compressed keeps its bytes.
    fn from(encoding: Encoding) -> Self {
        Self { encoding, force: false }
    }
}

/// Beside the layer's description, so that it goes when the layer goes.
#[derive(Serialize, Deserialize)]
struct ExportRecord {
    version: u32,
    digest: Digest,
    size: u64,
}

impl Store {
    /// What [`Store::export_layer`] gave for the layer before, whether or not that blob is still there.
    ///
    /// # Errors
    /// When a record can't be read.
    pub fn exported_layer(
        &self,
        layer: &Layer,
        export: impl Into<LayerExport>,
    ) -> Result<Option<Descriptor>, StoreError> {
        let LayerExport { encoding, force } = export.into();
        let kind = media_type_of(encoding.compression());
        if let Some(original) = self.original(layer)?.filter(|found| !force || found.media_type == kind) {
            return Ok(Some(original));
        }
        let record = files::read_json::<ExportRecord>(&self.export_path(layer, encoding))?;
        let record = record.filter(|record| record.version == VERSION);
        Ok(record.map(|record| Descriptor::new(kind, record.digest, record.size)))
    }

    /// The layer as a blob of this store: the one that it came from, else its tar under `encoding`. One pass writes,
    /// compresses and hashes; the same layer gives the same bytes again, and is compressed again only when the blob
    /// was collected. Whoever sends the blob holds a [`super::Lease`].
    ///
    /// # Errors
    /// When the layer's content is not what its digest says any more, or the blob can't be written.
    pub fn export_layer(
        &self,
        layer: &Layer,
        export: impl Into<LayerExport>,
    ) -> Result<Descriptor, LayerError> {
        let export = export.into();
        let encoding = export.encoding;
        if let Some(known) = self.exported_layer(layer, export)?
            && self.has_blob(&known.digest)
        {
            return Ok(known);
        }
        let blob = BufWriter::with_capacity(BUFFER, self.ingest(None, u64::MAX)?);
        let blob = match encoding.compression() {
            Compression::None => self.write_layer(layer, blob)?,
            _ => {
                let written = self.write_layer(layer, EncodingWriter::new(encoding, blob))?;
                written.finish().map_err(LayerError::Read)?
            }
        };
        let blob = blob.into_inner().map_err(|error| LayerError::Read(error.into_error()))?;
        let size = blob.written();
        let digest = blob.commit()?;
        let record = ExportRecord { version: VERSION, digest, size };
        self.write_json(&self.export_path(layer, encoding), &record)?;
        Ok(Descriptor::new(media_type_of(encoding.compression()), digest, size))
    }

    /// Makes a folder that is no layer of this store a blob in a layer's form; gives its uncompressed digest, too.
    ///
    /// # Errors
    /// When the folder can't be read, or changes meanwhile, or the blob can't be written.
    pub fn pack_tree(&self, tree: &Path, encoding: Encoding) -> Result<(Digest, Descriptor), LayerError> {
        let blob = BufWriter::with_capacity(BUFFER, self.ingest(None, u64::MAX)?);
        let tee = Tee { out: EncodingWriter::new(encoding, blob), digester: Digester::default() };
        let Tee { out, digester } = write_tar(tree, tee)?;
        let blob = out.finish().map_err(LayerError::Read)?;
        let blob = blob.into_inner().map_err(|error| LayerError::Read(error.into_error()))?;
        let size = blob.written();
        let kind = media_type_of(encoding.compression());
        Ok((digester.finish().0, Descriptor::new(kind, blob.commit()?, size)))
    }

    /// The blob that the layer was unpacked from, where it is still there.
    fn original(&self, layer: &Layer) -> Result<Option<Descriptor>, StoreError> {
        let Some((digest, size)) = layer.blob.and_then(|blob| Some((blob, self.blob_size(&blob)?))) else {
            return Ok(None);
        };
        let mut start = Vec::with_capacity(4);
        let read = self.open_blob(&digest)?.take(4).read_to_end(&mut start);
        read.map_err(|source: io::Error| failed("read", &self.blob_path(&digest), source))?;
        Ok(Some(Descriptor::new(media_type_of(Compression::detect(&start)), digest, size)))
    }

    fn export_path(&self, layer: &Layer, encoding: Encoding) -> PathBuf {
        self.layer_folder(&layer.diff_id).join(format!("blob-{}.json", encoding.name()))
    }
}

fn media_type_of(compression: Compression) -> &'static str {
    match compression {
        Compression::None => media_type::LAYER,
        Compression::Gzip => media_type::LAYER_GZIP,
        Compression::Zstd => media_type::LAYER_ZSTD,
    }
}
