//! The files of a layout, whether they lie in a folder or in a tar.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::LayoutError;
use crate::layer::{Archive, ArchiveError, Kind, Limits, TreePath};
use crate::{Descriptor, Digest};

/// Links of a `docker save` archive that lead to links.
const LINK_LIMIT: usize = 8;

/// Where a layout's files are.
pub(super) struct Source {
    path: PathBuf,
    place: Place,
}

enum Place {
    Folder,
    Archive(HashMap<TreePath, Member>),
}

/// A file's content and its length in bytes.
pub(super) type Opened = (Box<dyn Read>, u64);

/// A member of an archive.
enum Member {
    Content { offset: u64, size: u64 },
    Link(TreePath),
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, LayoutError> {
        let io = |source| LayoutError::Io { path: path.to_owned(), source };
        let place = if path.metadata().map_err(io)?.is_dir() {
            Place::Folder
        } else {
            let file = File::open(path).map_err(io)?;
            let members = members(file);
            Place::Archive(members.map_err(|source| LayoutError::Archive { path: path.to_owned(), source })?)
        };
        Ok(Self { path: path.to_owned(), place })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file `name` and tells its length; `None` when it is not there.
    pub(super) fn find(&self, name: &str) -> Result<Option<Opened>, LayoutError> {
        let wanted = TreePath::new(name).map_err(|error| self.malformed(name, error.to_string()))?;
        let io = |source| LayoutError::Io { path: self.path.clone(), source };
        let opened = match &self.place {
            Place::Folder => open_file(&self.path.join(wanted.as_path())),
            Place::Archive(members) => open_member(&self.path, members, &wanted),
        };
        match opened {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error)),
        }
    }

    pub(super) fn open_content(&self, name: &str) -> Result<Opened, LayoutError> {
        let missing = || LayoutError::Missing { path: self.path.clone(), name: name.to_owned() };
        self.find(name)?.ok_or_else(missing)
    }

    /// The whole of a small file.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let (content, size) = self.open_content(name)?;
        if size > limit {
            return Err(self.malformed(name, format!("is longer than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        let read = content.take(limit).read_to_end(&mut bytes);
        read.map_err(|source| LayoutError::Io { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// The whole of a small blob, verified.
    pub(super) fn read_blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let name = super::blob_name(&descriptor.digest);
        let bytes = self.read(&name, limit)?;
        let (found, size) = (Digest::sha256(&bytes), bytes.len() as u64);
        if found != descriptor.digest || size != descriptor.size {
            let expected = (descriptor.size, descriptor.digest);
            return Err(
                self.malformed(&name, format!("has {size} bytes and digest {found}, expected {expected:?}"))
            );
        }
        Ok(bytes)
    }

    pub(super) fn malformed(&self, name: &str, reason: impl Into<String>) -> LayoutError {
        LayoutError::Malformed { path: self.path.clone(), name: name.to_owned(), reason: reason.into() }
    }
}

fn open_file(path: &Path) -> io::Result<Opened> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other(format!("{} is not a file", path.display())));
    }
    Ok((Box::new(file), found.len()))
}

fn open_member(path: &Path, members: &HashMap<TreePath, Member>, wanted: &TreePath) -> io::Result<Opened> {
    let mut wanted = wanted;
    for _ in 0..LINK_LIMIT {
        match members.get(wanted) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Member::Link(target)) => wanted = target,
            Some(Member::Content { offset, size }) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                return Ok((Box::new(file.take(*size)), *size));
            }
        }
    }
    Err(io::Error::other(format!("{wanted}: too many links")))
}

/// Where each member's content begins.
fn members(file: File) -> Result<HashMap<TreePath, Member>, ArchiveError> {
    let position = Rc::new(std::cell::Cell::new(0));
    let counted = Positioned { input: BufReader::new(file), position: position.clone() };
    let mut archive = Archive::new(counted, Limits::default());
    let mut members = HashMap::new();
    while let Some(entry) = archive.next_entry()? {
        let member = match &entry.kind {
            Kind::File { size } => Member::Content { offset: position.get(), size: *size },
            Kind::HardLink { target } => Member::Link(target.clone()),
            // `docker save` once wrote a layer that two images share as a link to the other's.
            Kind::Symlink { target } => match beside(&entry.path, target) {
                Some(target) => Member::Link(target),
                None => continue,
            },
            _ => continue,
        };
        members.insert(entry.path, member);
    }
    Ok(members)
}

/// `target` as a link in `path`'s folder means it; `None` when it leads out of the archive.
fn beside(path: &TreePath, target: &Path) -> Option<TreePath> {
    let mut place = path.parent()?;
    for part in target {
        place = match part.to_str()? {
            ".." => place.parent()?,
            part => place.join(part).ok()?,
        };
    }
    Some(place)
}

/// Knows how far it was read.
struct Positioned<R> {
    input: R,
    position: Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Positioned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.position.set(self.position.get() + count as u64);
        Ok(count)
    }
}
