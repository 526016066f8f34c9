//! Blobs: content once, and a link in each repository that has it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::repositories::make_parent;
use super::{ContentDigest, Repository, Storage, StorageError, failed, files};

/// A question for a blob is noted no more often than this.
const USE_RESOLUTION: Duration = Duration::from_secs(1);

/// A blob to send.
#[derive(Debug)]
pub(crate) struct Blob {
    pub(crate) file: File,
    /// Its length in bytes.
    pub(crate) size: u64,
}

impl Repository {
    /// The blob, if the repository has it. Notes that it was asked for: who asks may name it in a manifest soon.
    pub(crate) fn blob(&self, digest: &ContentDigest) -> Result<Option<Blob>, StorageError> {
        let path = self.blob_link(digest);
        let Some(file) = files::open(&path)? else { return Ok(None) };
        let found = file.metadata().map_err(|source| failed("look at", &path, source))?;
        note_use(&file, &found);
        Ok(Some(Blob { file, size: found.len() }))
    }

    pub(crate) fn has_blob(&self, digest: &ContentDigest) -> bool {
        self.blob_link(digest).is_file()
    }

    /// Makes visible here what another repository has; tells whether it has it.
    pub(crate) fn mount(&self, digest: &ContentDigest, from: &Repository) -> Result<bool, StorageError> {
        self.link_blob(&from.blob_link(digest), digest)
    }

    /// Makes visible here what any repository has; tells whether one has it.
    pub(crate) fn mount_from_anywhere(&self, digest: &ContentDigest) -> Result<bool, StorageError> {
        self.link_blob(&self.storage.blob_path(digest), digest)
    }

    /// Takes the blob out of this repository; tells whether it was there.
    pub(crate) fn delete_blob(&self, digest: &ContentDigest) -> Result<bool, StorageError> {
        let _removing = self.removing()?;
        files::remove(&self.blob_link(digest))
    }

    /// Makes the verified file at `whole` a blob of this repository and takes it from where it is.
    pub(super) fn adopt(&self, whole: &Path, digest: &ContentDigest) -> Result<(), StorageError> {
        let kept = self.storage.blob_path(digest);
        // Content that is there already is linked once more; if it goes at this moment, the new file takes its place.
        if !self.mount_from_anywhere(digest)? {
            fail::fail_point!("registry.serve.blob.before-link");
            self.link_blob(whole, digest)?;
            fail::fail_point!("registry.serve.blob.linked");
            files::link(whole, &kept)?;
            fail::fail_point!("registry.serve.blob.kept");
        }
        files::remove(whole).map(drop)
    }

    /// `false` when `from` is not there, or not any more.
    fn link_blob(&self, from: &Path, digest: &ContentDigest) -> Result<bool, StorageError> {
        let Some(file) = files::open(from)? else { return Ok(false) };
        // Before it is linked: a collection must not find a new link that looks old.
        let _ = file.set_modified(SystemTime::now());
        let link = self.blob_link(digest);
        make_parent(&link)?;
        match files::link(from, &link) {
            Ok(_) => files::sync_folder_of(&link).map(|()| true),
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::TooManyLinks => {
                self.storage.copy_blob(from, &link).map(|()| true)
            }
            Err(error) => Err(error),
        }
    }
}

impl Storage {
    /// Some file systems allow some ten thousand links to one file: the empty config of artifacts may need more.
    fn copy_blob(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        let copy = tempfile::NamedTempFile::new_in(self.staging());
        let copy = copy.and_then(|copy| fs::copy(from, copy.path()).map(|_| copy));
        let copy = copy.map_err(|source| failed("copy to", &self.staging(), source))?;
        files::link(copy.path(), to).map(drop)
    }
}

/// What was asked for just now is not garbage: a client that was told "it is there" does not send it.
fn note_use(file: &File, found: &fs::Metadata) {
    let age = found.modified().ok().and_then(|time| time.elapsed().ok());
    if age.is_none_or(|age| age > USE_RESOLUTION) {
        // A folder that is read-only has no garbage collection either.
        let _ = file.set_modified(SystemTime::now());
    }
}
