//! The files of one commit, straight from Git's objects: no work tree is made.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minato_resource::{SourceFile, SourceFileError};

use super::objects::{Content, Entry, Kind, Objects};
use super::references::CommitId;
use crate::path::RelativePath;
use crate::tree::{EntryKind, Listing, MAX_DEPTH, MAX_ENTRIES, Tree, TreeError};

/// How many links one path may lead over.
const MAX_LINKS: usize = 16;

/// The longest target of a link, in bytes.
const MAX_LINK: u64 = 4096;

/// The files of one commit. Everything that was committed counts, hidden and vendored folders too.
#[derive(Debug)]
pub(crate) struct CommitTree {
    shown: PathBuf,
    commit: CommitId,
    read: Mutex<Read>,
}

/// What was read so far.
#[derive(Debug)]
struct Read {
    objects: Objects,
    /// Object → entries.
    folders: HashMap<String, Arc<Vec<Entry>>>,
}

/// Where a path ends, links resolved.
enum Place {
    /// The object of a folder.
    Folder(String),
    /// The object of a file.
    File(String),
    Nothing,
}

impl CommitTree {
    /// The files of a commit that the repository has. `shown` stands before their paths in messages.
    pub(crate) fn of(repository: &Path, commit: &CommitId, shown: &str) -> CommitTree {
        let read = Read { objects: Objects::of(repository), folders: HashMap::new() };
        CommitTree { shown: PathBuf::from(shown), commit: commit.clone(), read: Mutex::new(read) }
    }

    fn locked(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self, object: &str, path: &RelativePath) -> Result<Arc<Vec<Entry>>, TreeError> {
        let mut read = self.locked();
        if let Some(entries) = read.folders.get(object) {
            return Ok(Arc::clone(entries));
        }
        let entries = read.objects.tree(object).map_err(|source| self.unreadable(path, source))?;
        let entries = Arc::new(entries);
        read.folders.insert(object.to_owned(), Arc::clone(&entries));
        Ok(entries)
    }

    /// Follows a path from the root, over links; with its path without them.
    fn place(&self, path: &RelativePath) -> Result<(Place, RelativePath), TreeError> {
        let mut wanted = path.clone();
        for _ in 0..=MAX_LINKS {
            match self.walk(&wanted)? {
                Walked::Ended(place) => return Ok((place, wanted)),
                Walked::Link { at, object, rest } => wanted = self.follow(&at, &object, &rest)?,
            }
        }
        let message = format!("more than {MAX_LINKS} links lead to each other");
        Err(self.unreadable(path, io::Error::new(io::ErrorKind::InvalidData, message)))
    }

    /// Follows a path up to its end or to the first link.
    fn walk(&self, path: &RelativePath) -> Result<Walked, TreeError> {
        let mut folder = self.commit.as_str().to_owned();
        let mut here = RelativePath::root();
        let mut parts = path.as_str().split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let entries = self.entries(&folder, &here)?;
            here = here.child(part);
            let Some(entry) = entries.iter().find(|entry| entry.name == part) else {
                return Ok(Walked::Ended(Place::Nothing));
            };
            let object = entry.object.clone();
            match entry.kind {
                Kind::Folder => folder = object,
                Kind::File if parts.peek().is_none() => return Ok(Walked::Ended(Place::File(object))),
                Kind::File => return Ok(Walked::Ended(Place::Nothing)),
                Kind::Submodule => return Err(TreeError::Submodule { path: self.show(&here) }),
                Kind::Link => {
                    let rest = parts.collect::<Vec<_>>().join("/");
                    return Ok(Walked::Link { at: here, object, rest });
                }
            }
        }
        Ok(Walked::Ended(Place::Folder(folder)))
    }

    /// Where a link leads, with what follows it in the path.
    fn follow(&self, at: &RelativePath, object: &str, rest: &str) -> Result<RelativePath, TreeError> {
        let content = self.locked().objects.blob(object, MAX_LINK);
        let outside = || TreeError::Outside { path: self.show(at) };
        let Content::Bytes(target) = content.map_err(|source| self.unreadable(at, source))? else {
            return Err(outside());
        };
        let target = String::from_utf8(target).map_err(|_| outside())?;
        let path = at.folder().join(&target).map_err(|_| outside())?;
        if rest.is_empty() { Ok(path) } else { path.join(rest).map_err(|_| outside()) }
    }

    fn list_folder(
        &self,
        object: &str,
        path: &RelativePath,
        depth: usize,
        found: &mut Listing,
        count: &mut usize,
    ) -> Result<(), TreeError> {
        for entry in self.entries(object, path)?.iter() {
            let path = path.child(&entry.name);
            *count += 1;
            if *count > MAX_ENTRIES || depth > MAX_DEPTH {
                return Err(TreeError::TooMany { path: self.shown.clone() });
            }
            match entry.kind {
                Kind::File => found.files.push(path),
                Kind::Folder => self.list_folder(&entry.object, &path, depth + 1, found, count)?,
                Kind::Submodule => found.submodules.push(path),
                // A link that leads nowhere or outside is told when something needs the file behind it.
                Kind::Link => match self.place(&path) {
                    Ok((Place::Folder(_), _)) => found.linked_folders.push(path),
                    _ => found.files.push(path),
                },
            }
        }
        Ok(())
    }

    fn unreadable(&self, path: &RelativePath, source: io::Error) -> TreeError {
        TreeError::Unreadable { path: self.show(path), source }
    }
}

enum Walked {
    Ended(Place),
    Link { at: RelativePath, object: String, rest: String },
}

impl Tree for CommitTree {
    fn list(&self, folder: &RelativePath) -> Result<Listing, TreeError> {
        let mut found = Listing::default();
        if let (Place::Folder(object), _) = self.place(folder)? {
            self.list_folder(&object, folder, 0, &mut found, &mut 0)?;
        }
        found.files.sort();
        found.linked_folders.sort();
        Ok(found)
    }

    fn find(&self, path: &RelativePath) -> Result<Option<(EntryKind, RelativePath)>, TreeError> {
        let (place, real) = self.place(path)?;
        Ok(match place {
            Place::Folder(_) => Some((EntryKind::Folder, real)),
            Place::File(_) => Some((EntryKind::File, real)),
            Place::Nothing => None,
        })
    }

    fn read(&self, path: &RelativePath) -> Result<Arc<SourceFile>, TreeError> {
        let object = match self.place(path)?.0 {
            Place::File(object) => object,
            Place::Folder(_) => return Err(TreeError::NotAFile { path: self.show(path) }),
            Place::Nothing => return Err(self.unreadable(path, io::ErrorKind::NotFound.into())),
        };
        let limit = SourceFile::MAX_BYTES;
        let content = self.locked().objects.blob(&object, limit);
        let bytes = match content.map_err(|source| self.unreadable(path, source))? {
            Content::Bytes(bytes) => bytes,
            Content::TooLarge { size } => {
                return Err(SourceFileError::TooLarge { path: self.show(path), size, limit }.into());
            }
        };
        Ok(Arc::new(SourceFile::from_bytes(self.show(path), bytes)?))
    }

    fn show(&self, path: &RelativePath) -> PathBuf {
        if path.is_root() { self.shown.clone() } else { self.shown.join(path.as_str()) }
    }
}
