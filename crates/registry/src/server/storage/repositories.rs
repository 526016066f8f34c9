//! Repositories: which there are, and where their parts lie.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{ContentDigest, RepositoryName, Storage, StorageError, Tag, failed, files};
use crate::server::content::Algorithm;

/// One repository. What it does not have yet is made when something is put.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(super) storage: Storage,
    folder: PathBuf,
}

/// Manifests may be added, and nothing is removed while one of these lives.
pub(super) struct Adding {
    _lock: File,
}

/// Nobody else changes the repository's manifests while this lives.
pub(super) struct Removing {
    _lock: File,
}

impl Storage {
    /// The repositories that hold a manifest or a blob, sorted by name.
    pub(crate) fn repositories(&self) -> Result<Vec<RepositoryName>, StorageError> {
        let mut names = Vec::new();
        let mut folders = vec![(self.root().join("repositories"), String::new())];
        while let Some((folder, name)) = folders.pop() {
            for path in files::entries(&folder)? {
                match files::name_of(&path) {
                    "_blobs" | "_manifests" => names.extend(name.parse::<RepositoryName>()),
                    own if own.starts_with('_') => {}
                    part if name.is_empty() => folders.push((path.clone(), part.to_owned())),
                    part => folders.push((path.clone(), format!("{name}/{part}"))),
                }
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}

impl Repository {
    pub(super) fn new(storage: Storage, name: &RepositoryName) -> Self {
        let folder = storage.root().join("repositories").join(name.as_str());
        Self { storage, folder }
    }

    /// Whether something was ever pushed to it.
    pub(crate) fn exists(&self) -> bool {
        self.folder.join("_blobs").is_dir() || self.folder.join("_manifests").is_dir()
    }

    /// Whether it has a manifest.
    pub(crate) fn has_manifests(&self) -> Result<bool, StorageError> {
        for algorithm in Algorithm::ALL {
            if !files::entries(&self.part("_manifests").join(algorithm.name()))?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn adding(&self) -> Result<Adding, StorageError> {
        let (lock, path) = self.lock_file()?;
        lock.lock_shared().map_err(|source| failed("lock", &path, source))?;
        Ok(Adding { _lock: lock })
    }

    pub(super) fn removing(&self) -> Result<Removing, StorageError> {
        let (lock, path) = self.lock_file()?;
        lock.lock().map_err(|source| failed("lock", &path, source))?;
        Ok(Removing { _lock: lock })
    }

    pub(super) fn part(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn blob_link(&self, digest: &ContentDigest) -> PathBuf {
        self.by_digest("_blobs", digest)
    }

    pub(super) fn manifest_path(&self, digest: &ContentDigest) -> PathBuf {
        self.by_digest("_manifests", digest)
    }

    pub(super) fn referrers_folder(&self, subject: &ContentDigest) -> PathBuf {
        self.by_digest("_referrers", subject)
    }

    pub(super) fn tag_path(&self, tag: &Tag) -> PathBuf {
        self.part("_tags").join(tag.as_str())
    }

    /// Every digest that is a file name in one of the repository's parts.
    pub(super) fn digests_in(&self, part: &str) -> Result<Vec<(ContentDigest, PathBuf)>, StorageError> {
        let mut found = Vec::new();
        for algorithm in Algorithm::ALL {
            for path in files::entries(&self.part(part).join(algorithm.name()))? {
                let digest = format!("{}:{}", algorithm.name(), files::name_of(&path)).parse();
                found.extend(digest.ok().map(|digest| (digest, path)));
            }
        }
        Ok(found)
    }

    fn by_digest(&self, part: &str, digest: &ContentDigest) -> PathBuf {
        self.folder.join(part).join(digest.algorithm().name()).join(digest.hex())
    }

    fn lock_file(&self) -> Result<(File, PathBuf), StorageError> {
        files::make_folder(&self.folder)?;
        let path = self.part("_lock");
        Ok((files::open_lock(&path)?, path))
    }
}

/// Makes the folder that `path` will lie in.
pub(super) fn make_parent(path: &Path) -> Result<(), StorageError> {
    path.parent().map_or(Ok(()), files::make_folder)
}
