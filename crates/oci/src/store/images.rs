//! Images, and the pins that keep them.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Layer, Store, StoreError, failed, files};
use crate::{Digest, ImageConfig};

const VERSION: u32 = 1;
/// Docker refuses configs above 8 MiB as well.
pub(super) const CONFIG_LIMIT: u64 = 8 << 20;

/// An image: its config and the config's digest, which is its identity on this machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Image {
    /// The digest of the config.
    pub id: Digest,
    /// The config.
    pub config: ImageConfig,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ImageRecord {
    version: u32,
    pub(super) id: Digest,
    pub(super) manifest: Digest,
    pub(super) index: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PinRecord {
    version: u32,
    owner: String,
    pub(super) ids: Vec<Digest>,
}

impl Store {
    /// Stores an image of which all layers are there.
    ///
    /// # Errors
    /// When a layer is missing or the config can't be written.
    pub fn save_image(&self, config: &ImageConfig) -> Result<Image, StoreError> {
        self.save_image_json(&config.to_json())
    }

    /// As [`Store::save_image`], for a config that came from elsewhere and keeps its exact bytes.
    ///
    /// # Errors
    /// When `json` is no config, a layer is missing or the config can't be written.
    pub fn save_image_json(&self, json: &[u8]) -> Result<Image, StoreError> {
        let id = Digest::sha256(json);
        let config: ImageConfig =
            serde_json::from_slice(json).map_err(|source| StoreError::Config { id, source })?;
        let image = Image { id, config };
        self.image_layers(&image)?;
        self.put_blob(json)?;
        Ok(image)
    }

    /// The image with this identity, if its config is there.
    ///
    /// # Errors
    /// When the config can't be read.
    pub fn image(&self, id: &Digest) -> Result<Option<Image>, StoreError> {
        let json = match self.read_blob(id, CONFIG_LIMIT) {
            Ok(json) => json,
            Err(StoreError::NoBlob(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let config =
            serde_json::from_slice(&json).map_err(|source| StoreError::Config { id: *id, source })?;
        Ok(Some(Image { id: *id, config }))
    }

    /// The image's layers, lowest first.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn image_layers(&self, image: &Image) -> Result<Vec<Layer>, StoreError> {
        let layer = |diff_id: &Digest| self.layer(diff_id)?.ok_or(StoreError::NoLayer(*diff_id));
        image.config.rootfs.diff_ids.iter().map(layer).collect()
    }

    /// Notes that the image came with the manifest `manifest`, a blob of this store, and was chosen from `index`.
    ///
    /// # Errors
    /// When the record can't be written.
    pub fn record_manifest(
        &self,
        id: &Digest,
        manifest: &Digest,
        index: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let record = ImageRecord { version: VERSION, id: *id, manifest: *manifest, index: index.copied() };
        self.write_json(&self.image_record_path(id), &record)
    }

    /// The manifest that the image came with, if it came from a registry or a layout.
    ///
    /// # Errors
    /// When the record can't be read.
    pub fn manifest_of(&self, id: &Digest) -> Result<Option<Digest>, StoreError> {
        let record = files::read_json::<ImageRecord>(&self.image_record_path(id))?;
        Ok(record.map(|record| record.manifest))
    }

    /// Keeps `ids` (images by identity, layers by uncompressed digest, blobs) for `owner`, in place of what the owner
    /// kept before.
    ///
    /// # Errors
    /// When the record can't be written.
    pub fn pin(&self, owner: &str, ids: &[Digest]) -> Result<(), StoreError> {
        let _lease = self.lease()?;
        let record = PinRecord { version: VERSION, owner: owner.to_owned(), ids: ids.to_vec() };
        self.write_root(&self.pin_path(owner), &record)
    }

    /// Ends what `owner` keeps; tells whether there was something.
    ///
    /// # Errors
    /// When the record can't be removed.
    pub fn unpin(&self, owner: &str) -> Result<bool, StoreError> {
        self.remove_record(&self.pin_path(owner))
    }

    /// Every owner and what it keeps, sorted by owner.
    ///
    /// # Errors
    /// When a record can't be read.
    pub fn pinned(&self) -> Result<Vec<(String, Vec<Digest>)>, StoreError> {
        let mut pins = Vec::new();
        for path in files::entries(&self.root.join("pins"))? {
            pins.extend(files::read_json::<PinRecord>(&path)?.map(|record| (record.owner, record.ids)));
        }
        pins.sort();
        Ok(pins)
    }

    pub(super) fn image_record_path(&self, id: &Digest) -> PathBuf {
        self.root.join("images").join(format!("{}.json", id.hex()))
    }

    // An owner may be longer than a file name: files are named by their digest.
    fn pin_path(&self, owner: &str) -> PathBuf {
        self.root.join("pins").join(format!("{}.json", Digest::sha256(owner).hex()))
    }

    pub(super) fn remove_record(&self, path: &std::path::Path) -> Result<bool, StoreError> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(failed("remove", path, source)),
        }
    }
}
