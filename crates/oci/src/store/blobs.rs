//! Blobs by digest.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::{Lease, Store, StoreError, failed, files};
use crate::{Digest, Digester};

impl Store {
    /// Whether the blob is there.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// The blob's length in bytes, or `None` when it is not there.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.blob_path(digest).metadata().ok().map(|found| found.len())
    }

    /// The whole blob, verified again.
    ///
    /// # Errors
    /// When it is not there, is longer than `limit` bytes, or is not what its digest says.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        let read = self.open_blob(digest)?.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| failed("read", &path, source))?;
        if bytes.len() as u64 > limit {
            return Err(StoreError::TooLong { limit });
        }
        match Digest::sha256(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(files::damaged(&path, format!("content has digest {found}"))),
        }
    }

    /// The blob as a file to stream from.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NoBlob(*digest),
            _ => failed("open", &path, source),
        })
    }

    /// Stores `bytes` and tells their digest.
    ///
    /// # Errors
    /// When writing fails.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::sha256(bytes);
        if self.has_blob(&digest) {
            return Ok(digest);
        }
        let mut writer = self.ingest(Some(&digest), bytes.len() as u64)?;
        writer.write_all(bytes).map_err(|source| failed("write", &self.ingest_folder(), source))?;
        writer.commit()
    }

    /// Starts a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn ingest(&self, expected: Option<&Digest>, limit: u64) -> Result<BlobWriter, StoreError> {
        let lease = self.lease()?;
        let folder = self.ingest_folder();
        let file =
            NamedTempFile::new_in(&folder).map_err(|source| failed("make file in", &folder, source))?;
        Ok(BlobWriter {
            store: self.clone(),
            file,
            digester: Digester::default(),
            expected: expected.copied(),
            limit,
            _lease: lease,
        })
    }

    /// Where the blob's file is, when it is there: to be read by whoever can't block.
    pub fn blob_file(&self, digest: &Digest) -> PathBuf {
        self.blob_path(digest)
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }
}

/// A blob that is being written. It is hashed on the way, and gone when dropped before [`BlobWriter::commit`].
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    file: NamedTempFile,
    digester: Digester,
    expected: Option<Digest>,
    limit: u64,
    _lease: Lease,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.digester.written()
    }

    /// Makes the blob visible under its digest.
    ///
    /// # Errors
    /// When the digest is not the expected one, or the file can't be moved.
    pub fn commit(self) -> Result<Digest, StoreError> {
        let (digest, _) = self.digester.finish();
        if let Some(expected) = self.expected.filter(|expected| *expected != digest) {
            return Err(StoreError::Digest { expected, found: digest });
        }
        fail::fail_point!("oci.blob.before-rename");
        let path = self.store.blob_path(&digest);
        self.file.persist(&path).map_err(|error| failed("move blob to", &path, error.error))?;
        fail::fail_point!("oci.blob.after-rename");
        Ok(digest)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written() + bytes.len() as u64 > self.limit {
            return Err(io::Error::other(StoreError::TooLong { limit: self.limit }));
        }
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
