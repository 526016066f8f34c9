//! What a registry keeps, below one folder.
//!
//! ```text
//! registry.json                        {"version":1}
//! lock                                 shared by every process that serves the folder
//! blobs/sha256/HEX  blobs/sha512/HEX   each content once
//! repositories/NAME/                   parts of a name never start with an underscore:
//!   _lock                              shared: a manifest is put; exclusive: something is removed
//!   _blobs/sha256/HEX                  hard link: the blob is visible in this repository
//!   _manifests/sha256/HEX              a line of JSON about it, then the manifest
//!   _tags/TAG                          which manifest it means, and since when
//!   _referrers/sha256/HEX/ALGORITHM-HEX  a manifest of which HEX is the subject
//!   _uploads/ID                        what came of a blob so far
//!   _gone                              a link that a collection is about to remove
//! staging/                             files that are not whole yet
//! ```
//!
//! Links make the file system keep the books: a blob's content lives until the last repository lets go of it, and an
//! entry of `blobs/` that nothing else links is garbage by itself, whoever adds a link meanwhile. So several
//! processes may serve, add, collect and be killed at the same time; a change is one rename or one link, and a blob is
//! on the disk before it is visible.

mod blobs;
mod collect;
mod files;
mod manifests;
mod referrers;
mod repositories;
mod retention;
mod tags;
mod uploads;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

pub(crate) use blobs::Blob;
pub use collect::Collected;
pub(crate) use collect::Collection;
pub(crate) use manifests::{Put, Stored, now_in_seconds};
pub(crate) use repositories::Repository;
pub(crate) use uploads::{UploadId, UploadWriter};

use super::content::{ContentDigest, Hasher};
use super::name::{RepositoryName, Tag};

const VERSION: u32 = 1;

/// The folder of a registry. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    // Held as long as this process uses the folder.
    _lock: File,
    /// Uploads between two requests: how far they were hashed. Without an entry the file is read again.
    hashing: Mutex<HashMap<UploadId, (u64, Hasher)>>,
}

/// Why something could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
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
    /// A file is not what the registry wrote.
    #[error("{}: {reason}; the registry's folder is damaged, remove this file and push again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another version wrote the folder.
    #[error("{}: registry has version {found}, this program reads version {VERSION}; use another folder", path.display())]
    Version {
        /// The version file.
        path: PathBuf,
        /// The version in it.
        found: u32,
    },
    /// The repository does not have the blob.
    #[error("blob {0} is not in this repository")]
    NoBlob(String),
    /// The repository does not have the manifest or tag.
    #[error("manifest {0} is not in this repository")]
    NoManifest(String),
    /// Nothing was ever pushed to the repository.
    #[error("repository {0} does not exist")]
    NoRepository(String),
    /// The upload is over, or never was.
    #[error("upload {0} does not exist or is over; start another one")]
    NoUpload(String),
    /// Another request is writing to the upload.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// The part does not follow what is there.
    #[error("this part starts at byte {asked}, the upload has {held}")]
    Range {
        /// Bytes that are there.
        held: u64,
        /// Where the part would start.
        asked: u64,
    },
    /// The content is longer than its limit.
    #[error("content is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// The content is not what its digest says.
    #[error("content does not have digest {expected}")]
    Digest {
        /// What was promised.
        expected: String,
    },
    /// A manifest needs what is not there.
    #[error("manifest needs what this repository does not have: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// The tag may not be changed.
    #[error("tag {0} is immutable here: it means another manifest and stays so; use another tag")]
    Immutable(String),
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
}

impl Storage {
    /// Opens the folder, making it when it is not there, and clears what killed processes left when nobody else uses it.
    ///
    /// # Errors
    /// When the folder can't be made or another version wrote it.
    pub(crate) fn open(root: &Path) -> Result<Self, StorageError> {
        files::make_private_folder(root)?;
        for folder in ["blobs/sha256", "blobs/sha512", "repositories", "staging"] {
            files::make_folder(&root.join(folder))?;
        }
        let lock = files::open_lock(&root.join("lock"))?;
        if lock.try_lock().is_ok() {
            files::clear_folder(&root.join("staging"))?;
        }
        // Taking the shared lock gives the exclusive one back.
        lock.lock_shared().map_err(|source| failed("lock", &root.join("lock"), source))?;
        let inner = Inner { root: root.to_owned(), _lock: lock, hashing: Mutex::default() };
        let storage = Self { inner: Arc::new(inner) };
        storage.check_version()?;
        Ok(storage)
    }

    /// The repository of this name, whether or not something is in it.
    pub(crate) fn repository(&self, name: &RepositoryName) -> Repository {
        Repository::new(self.clone(), name)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.inner.root
    }

    fn check_version(&self) -> Result<(), StorageError> {
        let path = self.root().join("registry.json");
        match files::read_json::<Header>(&path)? {
            None => self.replace_json(&path, &Header { version: VERSION }),
            Some(Header { version: VERSION }) => Ok(()),
            Some(Header { version }) => Err(StorageError::Version { path, found: version }),
        }
    }

    fn blob_path(&self, digest: &ContentDigest) -> PathBuf {
        self.root().join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    fn staging(&self) -> PathBuf {
        self.root().join("staging")
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> StorageError {
    StorageError::Io { doing, path: path.to_owned(), source }
}
