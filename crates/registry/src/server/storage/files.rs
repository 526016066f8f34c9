//! Small files written whole or not at all, links, and locks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Storage, StorageError, failed};

/// Far above what a tag or a version file is.
const JSON_LIMIT: u64 = 64 << 10;

impl Storage {
    /// Replaces the file at `path` in one step that survives a power cut.
    pub(super) fn replace_json(&self, path: &Path, value: &impl Serialize) -> Result<(), StorageError> {
        self.replace(path, &json_line(value))
    }

    /// As [`Storage::replace_json`], for any bytes.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
        let file = self.staged(bytes)?;
        fail::fail_point!("registry.serve.record.before-rename");
        file.persist(path).map_err(|error| failed("move to", path, error.error))?;
        sync_folder_of(path)
    }

    /// Writes the file at `path` in one step, unless there is one; tells whether it was written.
    pub(super) fn create(&self, path: &Path, bytes: &[u8]) -> Result<bool, StorageError> {
        let file = self.staged(bytes)?;
        fail::fail_point!("registry.serve.record.before-link");
        let linked = link(file.path(), path)?;
        sync_folder_of(path)?;
        Ok(linked)
    }

    fn staged(&self, bytes: &[u8]) -> Result<tempfile::NamedTempFile, StorageError> {
        let folder = self.staging();
        let write = || -> io::Result<tempfile::NamedTempFile> {
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_data()?;
            Ok(file)
        };
        write().map_err(|source| failed("write in", &folder, source))
    }
}

pub(super) fn json_line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("the registry's own types have string keys");
    bytes.push(b'\n');
    bytes
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StorageError> {
    let Some(bytes) = read(path, JSON_LIMIT)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(path, error.to_string()))
}

/// The file, if it is there.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StorageError> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|source| failed("read", path, source))?;
    if bytes.len() as u64 > limit {
        return Err(damaged(path, format!("it is longer than {limit} bytes")));
    }
    Ok(Some(bytes))
}

pub(super) fn open(path: &Path) -> Result<Option<File>, StorageError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("open", path, source)),
    }
}

/// Another name for the file at `from`; `false` when `to` is there already.
pub(super) fn link(from: &Path, to: &Path) -> Result<bool, StorageError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(failed("link to", to, source)),
    }
}

/// Removes the file; tells whether it was there.
pub(super) fn remove(path: &Path) -> Result<bool, StorageError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(failed("remove", path, source)),
    }
}

/// The paths in a folder, sorted; none when it is not there.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    match read() {
        Ok(mut paths) => {
            paths.sort();
            Ok(paths)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed("list", folder, source)),
    }
}

pub(super) fn make_folder(path: &Path) -> Result<(), StorageError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| failed("make folder", path, source))
}

pub(super) fn make_private_folder(path: &Path) -> Result<(), StorageError> {
    make_folder(path)?;
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(path, private).map_err(|source| failed("make private", path, source))
}

pub(super) fn clear_folder(folder: &Path) -> Result<(), StorageError> {
    entries(folder)?.iter().try_for_each(|path| remove(path).map(drop))
}

pub(super) fn open_lock(path: &Path) -> Result<File, StorageError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|source| failed("open", path, source))
}

pub(super) fn sync_folder_of(path: &Path) -> Result<(), StorageError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| failed("sync", folder, source))
}

pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> StorageError {
    StorageError::Damaged { path: path.to_owned(), reason: reason.into() }
}

/// The last part of a path of the registry's own making.
pub(super) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
