//! The file system as a kustomization's files.

use std::io::Read;
use std::path::{Path, PathBuf};

use minato_kustomize::{FileError, FilePath, Files, Found};

/// Everything on this machine, as `kubectl kustomize` sees it: a kustomization may use folders above its own, and
/// which files it may read is `minato_kustomize`'s to decide.
#[derive(Debug)]
pub struct Disk {
    /// The folder that is rendered, as the user wrote it, and without links.
    shown: PathBuf,
    root: PathBuf,
}

impl Disk {
    /// The file system, seen from a folder.
    ///
    /// # Errors
    /// The folder is not there.
    pub fn open(folder: &Path) -> std::io::Result<Disk> {
        Ok(Disk { shown: folder.to_owned(), root: folder.canonicalize()? })
    }

    /// The folder as a path of the tree; `None` when its name is not UTF-8.
    pub fn folder(&self) -> Option<FilePath> {
        FilePath::parse(self.root.to_str()?)
    }

    fn real(path: &FilePath) -> PathBuf {
        Path::new("/").join(path.as_str())
    }
}

impl Files for Disk {
    fn find(&self, path: &FilePath) -> Result<Option<Found>, FileError> {
        let real = match Disk::real(path).canonicalize() {
            Ok(real) => real,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(FileError(error.to_string())),
        };
        let found = real
            .to_str()
            .and_then(FilePath::parse)
            .ok_or_else(|| FileError("its name is not UTF-8".to_owned()))?;
        Ok(Some(if real.is_dir() { Found::Folder(found) } else { Found::File(found) }))
    }

    fn read(&self, path: &FilePath, limit: u64) -> Result<Vec<u8>, FileError> {
        let error = |error: std::io::Error| FileError(error.to_string());
        let real = Disk::real(path);
        // A pipe would block, a device may never end.
        if !std::fs::metadata(&real).map_err(error)?.is_file() {
            return Err(FileError("this is not a file".to_owned()));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&real).map_err(error)?.take(limit + 1).read_to_end(&mut bytes).map_err(error)?;
        if bytes.len() as u64 > limit {
            return Err(FileError(format!("the file is larger than the limit of {limit} bytes")));
        }
        Ok(bytes)
    }

    fn names(&self, folder: &FilePath) -> Vec<String> {
        const SHOWN: usize = 1000;
        let entries = std::fs::read_dir(Disk::real(folder)).into_iter().flatten().flatten();
        entries.take(SHOWN).filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn show(&self, path: &FilePath) -> PathBuf {
        let real = Disk::real(path);
        match real.strip_prefix(&self.root) {
            Ok(below) if below.as_os_str().is_empty() => self.shown.clone(),
            Ok(below) => self.shown.strip_prefix(".").unwrap_or(&self.shown).join(below),
            Err(_) => relative(&real, &self.root).map_or(real.clone(), |path| self.shown.join(path)),
        }
    }
}

/// A path outside a folder as seen from it: `../base/x.yaml`.
fn relative(path: &Path, from: &Path) -> Option<PathBuf> {
    let common = path.components().zip(from.components()).take_while(|(left, right)| left == right).count();
    // Nothing but the root in common: the whole path says more.
    if common < 2 {
        return None;
    }
    let up = from.components().skip(common).map(|_| std::path::Component::ParentDir);
    Some(up.chain(path.components().skip(common)).collect())
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_outside_is_shown_from_the_folder() {
        let seen = |path: &str| relative(Path::new(path), Path::new("/work/app/overlay"));
        assert_eq!(seen("/work/app/base/x.yaml"), Some(PathBuf::from("../base/x.yaml")));
        assert_eq!(seen("/etc/passwd"), None);
    }
}
