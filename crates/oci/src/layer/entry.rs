//! One entry of a layer, whichever way it goes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An entry of a layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it is.
    pub path: TreePath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky: `0o7777` at most.
    pub mode: u32,
    /// Owner by number.
    pub uid: u32,
    /// Group by number.
    pub gid: u32,
    /// When the content was changed.
    pub modified: Timestamp,
    /// Extended attributes by full name, `security.capability` for example.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A file; its content comes beside the entry.
    File {
        /// Length of the content in bytes.
        size: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it points to, as it is written.
        target: PathBuf,
    },
    /// A second name of an earlier entry.
    HardLink {
        /// The first name.
        target: TreePath,
    },
    /// A character device.
    Character(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
    /// The name is removed from the layers below (OCI: `.wh.NAME`).
    Whiteout,
    /// The folder at the entry's path hides its content in the layers below (OCI: `.wh..wh..opq` in it).
    Opaque,
}

/// A device's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// The driver's device.
    pub minor: u32,
}

/// A point in time since 1970 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after them, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// A path inside a tree: relative, without `.` and `..`. The empty path is the tree itself.
///
/// Ordered by components, so that a folder's content follows it directly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(PathBuf);

/// Why a path can't be inside a tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum TreePathError {
    /// It starts with `/`.
    #[error("path is absolute")]
    Absolute,
    /// It has a component `..`.
    #[error("path has a component \"..\"")]
    Parent,
    /// It has a NUL.
    #[error("path has a NUL byte")]
    Nul,
    /// One component is longer than the 255 bytes that Linux allows.
    #[error("path has a name longer than 255 bytes")]
    NameTooLong,
}

const NAME_LIMIT: usize = 255;

impl TreePath {
    /// The tree itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes a path as archives write it: `./a//b/` is `a/b`.
    ///
    /// # Errors
    /// When it could leave the tree or can't be a path on Linux.
    pub fn new(path: impl AsRef<OsStr>) -> Result<Self, TreePathError> {
        let path = path.as_ref();
        if path.as_bytes().contains(&0) {
            return Err(TreePathError::Nul);
        }
        let mut inside = PathBuf::with_capacity(path.len());
        for component in Path::new(path).components() {
            match component {
                Component::Normal(name) if name.len() > NAME_LIMIT => return Err(TreePathError::NameTooLong),
                Component::Normal(name) => inside.push(name),
                Component::CurDir => {}
                Component::ParentDir => return Err(TreePathError::Parent),
                Component::RootDir | Component::Prefix(_) => return Err(TreePathError::Absolute),
            }
        }
        Ok(Self(inside))
    }

    /// Whether it is the tree itself.
    pub fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// The path relative to the tree.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The folder it lies in; `None` for the tree itself.
    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    /// The last component; `None` for the tree itself.
    pub fn name(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// `name` in the folder at this path.
    ///
    /// # Errors
    /// When `name` is no path inside a tree.
    pub fn join(&self, name: impl AsRef<OsStr>) -> Result<Self, TreePathError> {
        Ok(Self(self.0.join(Self::new(name)?.0)))
    }

    /// Whether it is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    /// Whether the kernel or `openat` handed the name out, so that it needs no check.
    pub(super) fn child(&self, name: &OsStr) -> Self {
        Self(self.0.join(name))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { self.0.display().fmt(f) }
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Entry {
    /// An entry of root's, changed in 1970, without extended attributes.
    pub fn new(path: TreePath, kind: Kind, mode: u32) -> Self {
        Self { path, kind, mode, uid: 0, gid: 0, modified: Timestamp::default(), xattrs: BTreeMap::new() }
    }

    /// Bytes of content that come beside the entry.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }
}

impl Device {
    /// The device that overlayfs takes as a whiteout.
    pub(super) fn is_whiteout(self) -> bool {
        self.major == 0 && self.minor == 0
    }
}
