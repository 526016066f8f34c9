//! Images in files: the OCI image layout, and the archives of `docker save`.
//!
//! ```text
//!  folder | tar ─► Source ─► index.json or manifest.json ─► config, layers ─► Store
//!  Export, packed ─► folder (OCI layout)
//!  Export, packed ─► tar    (OCI layout, and what `docker load` takes in the same file where that is asked for)
//! ```

mod contents;
mod read;
mod source;
mod write;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use contents::Contents;
pub use read::{Loaded, Selection, read};
pub use write::{ArchiveForm, Item, write_archive, write_folder};

use crate::layer::{ArchiveError, WriteError};
use crate::{Digest, LayerError, ManifestError, StoreError};

/// The annotation that names an image in a layout's index.
const NAME_ANNOTATION: &str = "org.opencontainers.image.ref.name";
/// Where containerd and Docker put the whole reference.
const CONTAINERD_ANNOTATION: &str = "io.containerd.image.name";
const LAYOUT_FILE: &str = "oci-layout";
const INDEX_FILE: &str = "index.json";
const DOCKER_FILE: &str = "manifest.json";

/// Why images can't be read from or written to files.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is neither an OCI layout nor a `docker save` archive.
    #[error("{}: neither an OCI layout (oci-layout, index.json) nor an archive of docker save", path.display())]
    Unknown {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file that another one names is missing.
    #[error("{}: {name} is missing", path.display())]
    Missing {
        /// The layout.
        path: PathBuf,
        /// The file in it.
        name: String,
    },
    /// A file is not what it should be.
    #[error("{}: {name}: {reason}", path.display())]
    Malformed {
        /// The layout.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The archive can't be read.
    #[error("{}: {source}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// No image, or several, fit.
    #[error("{}: {reason}; it has {}", path.display(), list(names))]
    Choice {
        /// The layout.
        path: PathBuf,
        /// What was looked for.
        reason: String,
        /// The images in it.
        names: Vec<String>,
    },
    /// A manifest is malformed.
    #[error("{}: manifest {digest}: {source}", path.display())]
    Manifest {
        /// The layout.
        path: PathBuf,
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A layer is refused, or can't be written.
    #[error("layer {layer}: {source}")]
    Layer {
        /// The layer's blob or uncompressed digest.
        layer: Digest,
        /// What is wrong with it.
        source: Box<LayerError>,
    },
    /// `docker load` knows no index.
    #[error("an archive for `docker load` holds one platform; write an OCI layout for several")]
    DockerPlatforms,
    /// The archive can't be written.
    #[error("archive entry {0}")]
    Write(#[from] WriteError),
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The file `oci-layout`.
#[derive(Serialize, Deserialize)]
struct LayoutHeader {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

/// An image in `manifest.json`.
#[derive(Serialize, Deserialize)]
struct DockerEntry {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default)]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers", default)]
    layers: Option<Vec<String>>,
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
