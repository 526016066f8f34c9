//! The content store: blobs, unpacked layers, images, tags and pins below one folder.
//!
//! ```text
//! store.json                  {"version":1}
//! lock                        shared: something is being added; exclusive: garbage is being collected
//! blobs/sha256/HEX            content by digest; configs and manifests too
//! layers/HEX32/layer.json     what the layer is
//! layers/HEX32/tree/          the layer in overlay form
//! layers/HEX32/blob-X.json    the blob that the layer is under compression X
//! images/HEX.json             which registry manifest an image came with
//! tags/HEX.json               a reference and the image it means, or one for each platform
//! pins/HEX.json               images and layers that an owner keeps
//! ingest/                     what is not whole yet
//! ```
//!
//! Everything becomes visible by one rename on one file system, so that a killed process leaves only `ingest/` behind,
//! which the next [`Store::open`] or collection clears when nobody is adding. Tags and pins are synced to disk
//! before they are visible; blobs and layers are not, since they can be had again: they survive a killed process, not
//! always a power cut. Small blobs are verified again whenever they are read.

mod blobs;
mod collect;
mod exports;
mod files;
mod images;
mod layers;
mod lease;
mod tags;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use blobs::BlobWriter;
pub use collect::{CollectOptions, Collected};
pub use exports::LayerExport;
pub use images::Image;
pub use layers::{Layer, LayerError, StagedLayer};
pub use lease::Lease;

use crate::{Digest, Reference};

const VERSION: u32 = 1;

/// The content store. All methods take `&self`; several threads and processes may use one folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file of the store is not what the store wrote.
    #[error("{}: {reason}; the content store is damaged, remove this file and fetch or build the image again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another version of Minato wrote the folder.
    #[error("{}: content store has version {found}, this program reads version {VERSION}; use another data folder", path.display())]
    Version {
        /// The version file.
        path: PathBuf,
        /// The version in it.
        found: u32,
    },
    /// The content is not what its digest says.
    #[error("content has digest {found}, expected {expected}")]
    Digest {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The content is longer than its limit.
    #[error("content is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// The blob is not in the store.
    #[error("blob {0} is not in the content store")]
    NoBlob(Digest),
    /// The layer is not in the store.
    #[error("layer {0} is not in the content store")]
    NoLayer(Digest),
    /// The image is not in the store.
    #[error("image {0} is not in the content store")]
    NoImage(Digest),
    /// A tag was given a reference that has a digest.
    #[error("{0} has a digest, which cannot be tagged; leave the digest out")]
    TagWithDigest(Reference),
    /// A blob that should be a config is none.
    #[error("blob {id} is not an image config: {source}")]
    Config {
        /// The blob.
        id: Digest,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
}

impl Store {
    /// Opens the store below `root`, making it when it is not there, and clears what killed processes left.
    ///
    /// # Errors
    /// When the folder can't be made or another version wrote it.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self { root: root.to_owned() };
        for folder in ["", "blobs/sha256", "layers", "images", "tags", "pins", "ingest"] {
            store.make_folder(&root.join(folder))?;
        }
        store.check_version()?;
        store.clear_leftovers()?;
        Ok(store)
    }

    /// The folder that the store lives in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    // Layers hold set-user-id programs and device nodes of strangers: nobody else may reach them.
    fn make_folder(&self, path: &Path) -> Result<(), StoreError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| failed("make folder", path, source))?;
        if path == self.root {
            let private = fs::Permissions::from_mode(0o700);
            fs::set_permissions(path, private).map_err(|source| failed("make private", path, source))?;
        }
        Ok(())
    }

    fn check_version(&self) -> Result<(), StoreError> {
        let path = self.root.join("store.json");
        match files::read_json::<Header>(&path)? {
            None => self.write_json(&path, &Header { version: VERSION }),
            Some(Header { version: VERSION }) => Ok(()),
            Some(Header { version }) => Err(StoreError::Version { path, found: version }),
        }
    }

    fn ingest_folder(&self) -> PathBuf {
        self.root.join("ingest")
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { doing, path: path.to_owned(), source }
}
