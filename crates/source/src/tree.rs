//! The files that a deployment may be made of.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minato_resource::{SourceFile, SourceFileError};

use crate::path::RelativePath;

/// How many files and folders a listing looks at.
pub(crate) const MAX_ENTRIES: usize = 100_000;

/// How deep folders are followed.
pub(crate) const MAX_DEPTH: usize = 32;

/// Folders of other people's files, which hold no deployment of this repository. Hidden folders are not looked into
/// either.
const VENDORED: [&str; 6] = ["node_modules", "target", "vendor", "__pycache__", "venv", "bower_components"];

/// Files by path. The work tree on disk is one, [`MemoryTree`] another.
pub trait Tree {
    /// Every file below a folder, sorted by path, without hidden and vendored folders. A folder that is not there
    /// has no files.
    fn list(&self, folder: &RelativePath) -> Result<Listing, TreeError>;

    /// What a path is, and its path without links; `None` when nothing is there.
    fn find(&self, path: &RelativePath) -> Result<Option<(EntryKind, RelativePath)>, TreeError>;

    /// What a path is; `None` when nothing is there.
    fn kind(&self, path: &RelativePath) -> Result<Option<EntryKind>, TreeError> {
        Ok(self.find(path)?.map(|(kind, _)| kind))
    }

    /// A file's text.
    fn read(&self, path: &RelativePath) -> Result<Arc<SourceFile>, TreeError>;

    /// A path as the user would write it, for messages.
    fn show(&self, path: &RelativePath) -> PathBuf;
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file, or a link to one inside the tree.
    File,
    /// A folder, or a link to one inside the tree.
    Folder,
}

/// The files below a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files and links to files.
    pub files: Vec<RelativePath>,
    /// Links to folders, which are not followed.
    pub linked_folders: Vec<RelativePath>,
    /// Submodules: commits of other repositories, whose files are not here.
    pub submodules: Vec<RelativePath>,
}

/// Why files cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The root is no folder that can be read.
    #[error("{}: {source}; give the folder of a repository", path.display())]
    Root {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It lies outside the tree, or is a link that leads there.
    #[error("{}: this leads out of the repository and is not followed", path.display())]
    Outside {
        /// The path.
        path: PathBuf,
    },
    /// The files are in another repository.
    #[error(
        "{}: this is a Git submodule, whose files are in another repository; name that repository as a source of its own",
        path.display()
    )]
    Submodule {
        /// The submodule.
        path: PathBuf,
    },
    /// A pipe, device or socket where a file is needed.
    #[error("{}: this is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The text is too large or not UTF-8.
    #[error(transparent)]
    Text(#[from] SourceFileError),
    /// There is too much to look at.
    #[error("{}: more than {MAX_ENTRIES} files; name what to deploy with `deploy` in minato.yaml, or with --app", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

/// A folder on disk.
#[derive(Debug)]
pub struct WorkTree {
    /// As the user wrote it.
    shown: PathBuf,
    /// Without links.
    root: PathBuf,
}

impl WorkTree {
    /// Opens a folder.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is not a folder.
    pub fn open(folder: &Path) -> Result<WorkTree, TreeError> {
        let error = |source| TreeError::Root { path: folder.to_owned(), source };
        let root = folder.canonicalize().map_err(error)?;
        std::fs::read_dir(&root).map_err(error)?;
        Ok(WorkTree { shown: folder.to_owned(), root })
    }

    /// The folder without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the command line (relative to the working directory) as a path of the tree.
    ///
    /// # Errors
    /// It is not there, or outside the tree.
    pub fn relative(&self, path: &Path) -> Result<RelativePath, TreeError> {
        let unreadable = |source| TreeError::Unreadable { path: path.to_owned(), source };
        let real = path.canonicalize().map_err(unreadable)?;
        let outside = || TreeError::Outside { path: path.to_owned() };
        let below = real.strip_prefix(&self.root).ok().and_then(Path::to_str).ok_or_else(outside)?;
        RelativePath::parse(below).map_err(|_| outside())
    }

    /// Where a path is on disk, links resolved; refused when that is outside the root.
    fn locate(&self, path: &RelativePath) -> Result<PathBuf, TreeError> {
        let unreadable = |source| TreeError::Unreadable { path: self.show(path), source };
        let real = self.root.join(path.as_str()).canonicalize().map_err(unreadable)?;
        if real.starts_with(&self.root) {
            Ok(real)
        } else {
            Err(TreeError::Outside { path: self.show(path) })
        }
    }

    fn walk(&self, folder: &RelativePath, walk: &mut Walk) -> Result<(), TreeError> {
        let unreadable = |source| TreeError::Unreadable { path: self.show(folder), source };
        for entry in std::fs::read_dir(self.locate(folder)?).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = folder.child(&name);
            walk.entries += 1;
            if walk.entries > MAX_ENTRIES {
                return Err(TreeError::TooMany { path: self.shown.clone() });
            }
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_symlink() {
                // A link that leads nowhere or outside is told when something needs the file behind it.
                let is_folder = std::fs::metadata(entry.path()).is_ok_and(|target| target.is_dir());
                let list = if is_folder { &mut walk.found.linked_folders } else { &mut walk.found.files };
                list.push(path);
            } else if kind.is_file() {
                walk.found.files.push(path);
            } else if kind.is_dir() && is_ours(&name) && walk.depth < MAX_DEPTH {
                walk.depth += 1;
                self.walk(&path, walk)?;
                walk.depth -= 1;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Walk {
    found: Listing,
    entries: usize,
    depth: usize,
}

fn is_ours(folder: &str) -> bool {
    !folder.starts_with('.') && !VENDORED.contains(&folder)
}

impl Tree for WorkTree {
    fn list(&self, folder: &RelativePath) -> Result<Listing, TreeError> {
        let mut walk = Walk::default();
        if self.kind(folder)? == Some(EntryKind::Folder) {
            self.walk(folder, &mut walk)?;
        }
        walk.found.files.sort();
        walk.found.linked_folders.sort();
        Ok(walk.found)
    }

    fn find(&self, path: &RelativePath) -> Result<Option<(EntryKind, RelativePath)>, TreeError> {
        match self.locate(path) {
            Ok(real) => {
                let kind = if real.is_dir() { EntryKind::Folder } else { EntryKind::File };
                Ok(Some((kind, self.relative(&real)?)))
            }
            Err(TreeError::Unreadable { source, .. }) if is_absent(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &RelativePath) -> Result<Arc<SourceFile>, TreeError> {
        let unreadable = |source| TreeError::Unreadable { path: self.show(path), source };
        let real = self.locate(path)?;
        // A pipe would block, a device may never end.
        if !std::fs::metadata(&real).map_err(unreadable)?.is_file() {
            return Err(TreeError::NotAFile { path: self.show(path) });
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&real).map_err(unreadable)?;
        file.take(SourceFile::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(Arc::new(SourceFile::from_bytes(self.show(path), bytes)?))
    }

    fn show(&self, path: &RelativePath) -> PathBuf {
        if path.is_root() {
            return self.shown.clone();
        }
        let shown = self.shown.strip_prefix(".").unwrap_or(&self.shown);
        shown.join(path.as_str())
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Files in memory: for tests, and for trees that are not on disk.
#[derive(Debug, Default)]
pub struct MemoryTree {
    files: BTreeMap<RelativePath, String>,
}

impl MemoryTree {
    /// A tree of paths and texts. Paths that lead out are left out.
    pub fn new<'text>(files: impl IntoIterator<Item = (&'text str, &'text str)>) -> MemoryTree {
        let files = files
            .into_iter()
            .filter_map(|(path, text)| Some((RelativePath::parse(path).ok()?, text.to_owned())));
        MemoryTree { files: files.collect() }
    }
}

impl Tree for MemoryTree {
    fn list(&self, folder: &RelativePath) -> Result<Listing, TreeError> {
        let listed = |path: &&RelativePath| {
            let below =
                path.below(folder).map(|below| below.rsplit_once('/').map_or("", |(folders, _)| folders));
            below.is_some_and(|folders| folders.is_empty() || folders.split('/').all(is_ours))
        };
        Ok(Listing { files: self.files.keys().filter(listed).cloned().collect(), ..Listing::default() })
    }

    fn find(&self, path: &RelativePath) -> Result<Option<(EntryKind, RelativePath)>, TreeError> {
        if self.files.contains_key(path) {
            return Ok(Some((EntryKind::File, path.clone())));
        }
        let has_files = path.is_root() || self.files.keys().any(|file| file.below(path).is_some());
        Ok(has_files.then(|| (EntryKind::Folder, path.clone())))
    }

    fn read(&self, path: &RelativePath) -> Result<Arc<SourceFile>, TreeError> {
        let absent =
            || TreeError::Unreadable { path: self.show(path), source: std::io::ErrorKind::NotFound.into() };
        let text = self.files.get(path).ok_or_else(absent)?;
        Ok(Arc::new(SourceFile::new(self.show(path), text.clone())))
    }

    fn show(&self, path: &RelativePath) -> PathBuf {
        PathBuf::from(path.to_string())
    }
}
