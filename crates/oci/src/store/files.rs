//! Small files of the store, written whole or not at all, and folders of foreign content removed.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Store, StoreError, failed};

/// Far above what the store writes into a tag, a pin or a layer's description.
const JSON_LIMIT: u64 = 64 << 20;

impl Store {
    /// Replaces the file at `path` by `value` in one step that survives a power cut: for what can't be had again.
    /// Nothing is written when the file has this value already.
    pub(super) fn write_root(&self, path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
        let bytes = json_line(value);
        match fs::read(path) {
            Ok(found) if found == bytes => Ok(()),
            _ => self.replace(path, &bytes, true),
        }
    }

    /// Replaces the file at `path` by `value` in one step.
    pub(super) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
        self.replace(path, &json_line(value), false)
    }

    fn replace(&self, path: &Path, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        // The new file lies in `ingest/` for a moment, which others may clear when nobody adds.
        let _lease = self.lease()?;
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.ingest_folder())?;
            file.write_all(bytes)?;
            if durable {
                file.as_file().sync_all()?;
            }
            fail::fail_point!("oci.record.before-rename");
            file.persist(path)?;
            fail::fail_point!("oci.record.after-rename");
            if durable { sync_folder(path) } else { Ok(()) }
        };
        write().map_err(|source| failed("write", path, source))
    }
}

fn json_line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("the store's own types have string keys");
    bytes.push(b'\n');
    bytes
}

/// Reads a file that [`Store::write_json`] wrote; `None` when it is not there.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("open", path, source)),
    };
    let mut bytes = Vec::new();
    file.take(JSON_LIMIT).read_to_end(&mut bytes).map_err(|source| failed("read", path, source))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|source| damaged(path, source.to_string()))
}

/// The paths in a folder of the store, sorted.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = read().map_err(|source| failed("list", folder, source))?;
    paths.sort();
    Ok(paths)
}

/// Removes a file or a folder with everything in it, folders of which the modes forbid it included.
pub(super) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("look at", path, source)),
    };
    let remove = |path: &Path| if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    let removed = remove(path).or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied if found.is_dir() => open_up(path).and_then(|()| remove(path)),
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    removed.map_err(|source| failed("remove", path, source))
}

/// Lets an ordinary user into every folder of a tree of his own.
fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), reason: reason.into() }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
