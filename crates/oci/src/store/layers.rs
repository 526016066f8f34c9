//! Unpacked layers, ready to be lower folders of an overlay mount.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{BlobWriter, Lease, Store, StoreError, failed, files};
use crate::layer::{self, Compression, Limits, UnpackError, UnpackOptions, WalkError};
use crate::{Descriptor, Digest, Digester};

const VERSION: u32 = 1;
/// The options of one mount fit into a page, and an image may have 127 layers: folder names are kept short. The
/// description inside has the whole digest.
const NAME_LENGTH: usize = 32;
/// A layer's time of last use is noted no more often than this.
const USE_RESOLUTION: Duration = Duration::from_secs(3600);

/// A layer of which the content lies in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The content in overlay form: whiteouts are character devices 0:0, opaque folders have overlayfs's attribute.
    pub path: PathBuf,
    /// Length of the uncompressed tar in bytes.
    pub size: u64,
    /// The compressed blob that it was unpacked from. A layer of Minato's own has none: its tar can be written again.
    pub blob: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    diff_id: Digest,
    size: u64,
    blob: Option<Digest>,
}

impl Store {
    /// The unpacked layer with this uncompressed digest, if it is there. Notes that it was used.
    ///
    /// # Errors
    /// When its description can't be read.
    pub fn layer(&self, diff_id: &Digest) -> Result<Option<Layer>, StoreError> {
        let folder = self.layer_folder(diff_id);
        let path = folder.join("layer.json");
        let Some(description) = files::read_json::<Description>(&path)? else { return Ok(None) };
        if description.version != VERSION || description.diff_id != *diff_id {
            return Err(files::damaged(&path, format!("does not describe layer {diff_id}")));
        }
        note_use(&path);
        let Description { size, blob, .. } = description;
        Ok(Some(Layer { diff_id: *diff_id, path: folder.join("tree"), size, blob }))
    }

    /// An empty folder to fill with a layer's content, on the file system of the store.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn stage_layer(&self) -> Result<StagedLayer, StoreError> {
        let lease = self.lease()?;
        let ingest = self.ingest_folder();
        let made = tempfile::Builder::new().prefix("layer-").rand_bytes(12).tempdir_in(&ingest);
        let folder = made.map_err(|source| failed("make folder in", &ingest, source))?.keep();
        let staged = StagedLayer { store: self.clone(), folder, committed: false, _lease: lease };
        for name in ["tree", "work"] {
            let path = staged.folder.join(name);
            let made = fs::create_dir(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
            made.map_err(|source| failed("make folder", &path, source))?;
        }
        Ok(staged)
    }

    /// Unpacks a compressed layer in one pass: it is decompressed, hashed and written as it is read. `blob` is read
    /// to its end.
    ///
    /// # Errors
    /// When the archive is refused, is not what `expected_diff_id` says, or can't be written. Nothing stays then.
    pub fn unpack_layer(
        &self,
        blob: impl Read,
        compression: Compression,
        expected_diff_id: &Digest,
        limits: Limits,
    ) -> Result<Layer, LayerError> {
        let unpacked = compression.reader(blob, limits).map_err(LayerError::Read)?;
        let (staged, size) = self.unpack_staged(unpacked, expected_diff_id, limits)?;
        Ok(staged.commit(expected_diff_id, size)?)
    }

    /// Keeps a layer's blob and unpacks it, both in the same pass. Its first bytes tell how it is compressed.
    ///
    /// # Errors
    /// As [`Store::unpack_layer`], and when the blob has not the descriptor's digest and size.
    pub fn ingest_layer(
        &self,
        blob: impl Read,
        descriptor: &Descriptor,
        expected_diff_id: &Digest,
        limits: Limits,
    ) -> Result<Layer, LayerError> {
        let mut writer = self.ingest(Some(&descriptor.digest), descriptor.size)?;
        let mut kept = Kept { input: blob, blob: &mut writer, failed: false };
        let unpacked = Compression::detecting_reader(&mut kept, limits)
            .map_err(LayerError::Read)
            .and_then(|unpacked| self.unpack_staged(unpacked, expected_diff_id, limits));
        // A lie shows as a malformed archive first: the whole blob is read to tell which of the two it is.
        let rest =
            if kept.failed { Err(io::ErrorKind::Other.into()) } else { io::copy(&mut kept, &mut io::sink()) };
        match (unpacked, rest) {
            (Err(error), Err(_)) => Err(error),
            (Ok(_), Err(error)) => Err(LayerError::Read(error)),
            (unpacked, Ok(_)) => {
                writer.commit()?;
                let (staged, size) = unpacked?;
                Ok(staged.commit_from(Some(descriptor.digest), expected_diff_id, size)?)
            }
        }
    }

    /// The staged layer and the length of its tar.
    fn unpack_staged(
        &self,
        tar: impl Read,
        expected: &Digest,
        limits: Limits,
    ) -> Result<(StagedLayer, u64), LayerError> {
        let staged = self.stage_layer()?;
        let mut hashed = Hashed { input: tar, digester: Digester::default() };
        let options = UnpackOptions { limits, whiteouts: true, ..UnpackOptions::default() };
        layer::unpack(&mut hashed, &staged.path(), &options)?;
        match hashed.digester.finish() {
            (found, size) if found == *expected => Ok((staged, size)),
            (found, _) => Err(StoreError::Digest { expected: *expected, found }.into()),
        }
    }

    /// Writes the layer's uncompressed tar, checked against its digest: from the blob that it came from, else from its
    /// tree.
    ///
    /// # Errors
    /// When neither gives the tar that the layer was made of. What was written by then is to be thrown away.
    pub fn write_layer<W: Write>(&self, layer: &Layer, out: W) -> Result<W, LayerError> {
        let mut tee = Tee { out, digester: Digester::default() };
        match layer.blob.filter(|blob| self.has_blob(blob)) {
            Some(blob) => {
                let file = self.open_blob(&blob)?;
                let tar = Compression::detecting_reader(file, Limits::default());
                let copied = tar.and_then(|mut tar| io::copy(&mut tar, &mut tee));
                copied.map_err(LayerError::Read)?;
            }
            None => tee = layer::write_tar(&layer.path, tee)?,
        }
        match tee.digester.finish().0 {
            found if found == layer.diff_id => Ok(tee.out),
            found => Err(StoreError::Digest { expected: layer.diff_id, found }.into()),
        }
    }

    pub(super) fn layer_folder(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(layer_name(diff_id))
    }
}

pub(super) fn layer_name(diff_id: &Digest) -> String {
    let mut name = diff_id.hex();
    name.truncate(NAME_LENGTH);
    name
}

// Failing to note a use costs a layer an earlier collection at worst.
fn note_use(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let age = file.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
    if age.is_none_or(|age| age > USE_RESOLUTION) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Why a layer can't be unpacked or written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The archive is refused.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The blob can't be read or decompressed.
    #[error("layer can't be read: {0}")]
    Read(io::Error),
    /// The tree can't be written as a tar.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The store is at fault, or the digest is not the expected one.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Hashes what is read.
struct Hashed<R> {
    input: R,
    digester: Digester,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.digester.update(&buffer[..count]);
        Ok(count)
    }
}

/// Writes what is read into a blob.
struct Kept<'a, R> {
    input: R,
    blob: &'a mut BlobWriter,
    /// Whether the input, or the disk, is at fault.
    failed: bool,
}

impl<R: Read> Read for Kept<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer).and_then(|count| {
            self.blob.write_all(&buffer[..count])?;
            Ok(count)
        });
        self.failed |= read.is_err();
        read
    }
}

/// Hashes what is written.
pub(super) struct Tee<W> {
    pub(super) out: W,
    pub(super) digester: Digester,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.digester.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A layer that is being made: a folder to fill, gone when dropped before [`StagedLayer::commit`].
#[derive(Debug)]
pub struct StagedLayer {
    store: Store,
    folder: PathBuf,
    committed: bool,
    _lease: Lease,
}

impl StagedLayer {
    /// The folder to fill, in overlay form; fit to be an overlay's upper folder.
    pub fn path(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// An empty folder beside it, fit to be that overlay's work folder. It is removed on commit.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Makes the content the layer `diff_id`, of which the tar is `size` bytes long.
    ///
    /// The caller vouches that [`crate::layer::write_tar`] of the folder has this digest. When the layer is there
    /// already, that one is kept.
    ///
    /// # Errors
    /// When the description can't be written or the folder can't be moved.
    pub fn commit(self, diff_id: &Digest, size: u64) -> Result<Layer, StoreError> {
        self.commit_from(None, diff_id, size)
    }

    fn commit_from(mut self, blob: Option<Digest>, diff_id: &Digest, size: u64) -> Result<Layer, StoreError> {
        if let Some(layer) = self.store.layer(diff_id)? {
            return Ok(layer);
        }
        files::remove_tree(&self.work())?;
        let description = Description { version: VERSION, diff_id: *diff_id, size, blob };
        self.store.write_json(&self.folder.join("layer.json"), &description)?;
        fail::fail_point!("oci.layer.before-rename");
        let folder = self.store.layer_folder(diff_id);
        match fs::rename(&self.folder, &folder) {
            Ok(()) => self.committed = true,
            // Another process was faster; both have the same content.
            Err(source) if is_occupied(&source) => {}
            Err(source) => return Err(failed("move layer to", &folder, source)),
        }
        fail::fail_point!("oci.layer.after-rename");
        self.store.layer(diff_id)?.ok_or(StoreError::NoLayer(*diff_id))
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        if !self.committed {
            // What can't be removed now is removed with the other leftovers.
            let _ = files::remove_tree(&self.folder);
        }
    }
}

/// Length and blob of a layer by its description; `None` when there is no description.
pub(super) fn described(folder: &Path) -> Result<Option<(u64, Option<Digest>)>, StoreError> {
    let description = files::read_json::<Description>(&folder.join("layer.json"))?;
    Ok(description.map(|description| (description.size, description.blob)))
}
