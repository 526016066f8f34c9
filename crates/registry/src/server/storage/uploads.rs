//! Uploads: what came of a blob so far. They outlive requests that break and the process itself.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::repositories::make_parent;
use super::{ContentDigest, Repository, StorageError, failed, files};
use crate::server::content::{Algorithm, Hasher};

const READ_SIZE: usize = 1 << 20;
/// Uploads of which the state of the hash is kept between two requests.
const HASHED_LIMIT: usize = 1024;

/// Names an upload: 32 hex digits that nobody guesses.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct UploadId(String);

impl UploadId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }
}

impl FromStr for UploadId {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 32 && text.bytes().all(is_digit) {
            return Ok(Self(text.to_owned()));
        }
        Err(StorageError::NoUpload(text.chars().take(64).collect()))
    }
}

impl Repository {
    /// Begins an upload.
    pub(crate) fn start_upload(&self) -> Result<UploadId, StorageError> {
        let folder = self.part("_uploads");
        let id = UploadId::random().map_err(|source| failed("name an upload in", &folder, source))?;
        let path = self.upload_path(&id);
        make_parent(&path)?;
        File::create_new(&path).map_err(|source| failed("make", &path, source))?;
        fail::fail_point!("registry.serve.upload.started");
        Ok(id)
    }

    /// How many bytes the upload has.
    pub(crate) fn upload_size(&self, id: &UploadId) -> Result<u64, StorageError> {
        match fs::metadata(self.upload_path(id)) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(no_upload(id)),
            Err(source) => Err(failed("look at", &self.upload_path(id), source)),
        }
    }

    /// Ends the upload without a blob.
    pub(crate) fn cancel_upload(&self, id: &UploadId) -> Result<(), StorageError> {
        self.storage.inner.hashing.lock().expect("no panic while locked").remove(id);
        if files::remove(&self.upload_path(id))? { Ok(()) } else { Err(no_upload(id)) }
    }

    /// Goes on with an upload that nobody else is writing. With `from`, only if it has exactly so many bytes.
    /// `limit` is how long the blob may become.
    pub(crate) fn resume_upload(
        &self,
        id: &UploadId,
        from: Option<u64>,
        limit: u64,
    ) -> Result<UploadWriter, StorageError> {
        let path = self.upload_path(id);
        let opened = OpenOptions::new().read(true).append(true).open(&path);
        let file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => no_upload(id),
            _ => failed("open", &path, source),
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StorageError::UploadBusy),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
        }
        // Who ended it while the lock was taken has it under its digest by now.
        let size = self.upload_size(id)?;
        if let Some(asked) = from.filter(|from| *from != size) {
            return Err(StorageError::Range { held: size, asked });
        }
        let kept = self.storage.inner.hashing.lock().expect("no panic while locked").remove(id);
        let hasher = match kept {
            Some((hashed, hasher)) if hashed == size => Some(hasher),
            _ if size == 0 => Some(Hasher::new(Algorithm::Sha256)),
            _ => None,
        };
        Ok(UploadWriter { repository: self.clone(), id: id.clone(), path, file, size, limit, hasher })
    }

    fn upload_path(&self, id: &UploadId) -> PathBuf {
        self.part("_uploads").join(id.as_str())
    }
}

/// An upload while one request writes to it. Dropped, it keeps what it got.
#[derive(Debug)]
pub(crate) struct UploadWriter {
    repository: Repository,
    id: UploadId,
    path: PathBuf,
    // Locked: another request, in whatever process, is refused meanwhile.
    file: File,
    size: u64,
    limit: u64,
    /// Of the first `size` bytes; `None` when the file must be read for it.
    hasher: Option<Hasher>,
}

impl UploadWriter {
    /// The digest that the blob is going to have: it is hashed on the way then, whichever the algorithm.
    pub(crate) fn expect(&mut self, digest: &ContentDigest) {
        let fits = self.hasher.as_ref().is_some_and(|hasher| hasher.algorithm() == digest.algorithm());
        if !fits && self.size == 0 {
            self.hasher = Some(Hasher::new(digest.algorithm()));
        }
    }

    /// Adds the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let size = self.size + bytes.len() as u64;
        if size > self.limit {
            return Err(StorageError::TooLong { limit: self.limit });
        }
        if let Err(source) = self.file.write_all(bytes) {
            // Nobody knows how much of it is there: the hash starts anew from the file.
            self.hasher = None;
            return Err(failed("write", &self.path, source));
        }
        fail::fail_point!("registry.serve.upload.written");
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size = size;
        Ok(())
    }

    /// What is there so far, and what comes, to be read beside the writing.
    pub(crate) fn reader(&self) -> Result<File, StorageError> {
        File::open(&self.path).map_err(|source| failed("open", &self.path, source))
    }

    /// Ends the upload without a blob. What can't be removed goes with the uploads that nobody goes on with.
    pub(crate) fn discard(mut self) {
        self.hasher = None;
        let _ = files::remove(&self.path);
    }

    /// Ends the request, not the upload.
    pub(crate) fn pause(mut self) -> u64 {
        self.keep_hash();
        self.size
    }

    /// Makes the upload a blob of the repository. One that is not what `digest` says is thrown away.
    pub(crate) fn finish(mut self, digest: &ContentDigest) -> Result<(), StorageError> {
        let known = self.hasher.take().filter(|hasher| hasher.algorithm() == digest.algorithm());
        let hasher = known.map_or_else(|| self.read_again(digest.algorithm()), Ok)?;
        if hasher.finish() != *digest {
            files::remove(&self.path)?;
            return Err(StorageError::Digest { expected: digest.to_string() });
        }
        self.file.sync_data().map_err(|source| failed("sync", &self.path, source))?;
        self.repository.adopt(&self.path, digest)
    }

    fn read_again(&mut self, algorithm: Algorithm) -> Result<Hasher, StorageError> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; READ_SIZE];
        let mut read = || -> io::Result<()> {
            self.file.seek(SeekFrom::Start(0))?;
            loop {
                match self.file.read(&mut buffer)? {
                    0 => return Ok(()),
                    count => hasher.update(&buffer[..count]),
                }
            }
        };
        read().map_err(|source| failed("read", &self.path, source))?;
        Ok(hasher)
    }

    fn keep_hash(&mut self) {
        let Some(hasher) = self.hasher.take() else { return };
        let mut kept = self.repository.storage.inner.hashing.lock().expect("no panic while locked");
        if kept.len() < HASHED_LIMIT {
            kept.insert(self.id.clone(), (self.size, hasher));
        }
    }
}

impl Drop for UploadWriter {
    fn drop(&mut self) {
        self.keep_hash();
    }
}

fn no_upload(id: &UploadId) -> StorageError {
    StorageError::NoUpload(id.as_str().to_owned())
}

/// Whether another process or request is writing to the upload at `path`.
pub(super) fn is_written(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}
