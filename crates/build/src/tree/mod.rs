//! Reading file trees: the build context, and the root file system that a chain of layers makes.
//!
//! Both are read without mounting anything, so a COPY needs no privileges and no kernel feature. Paths inside a
//! tree are relative to its root, without `.` and `..`; the empty path is the root. Nothing here follows a
//! symbolic link except [`resolve`], and that never leaves the tree.

mod context;
mod resolve;
mod snapshot;
mod stat_cache;

use std::cmp::Ordering;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

pub(crate) use context::Context;
pub(crate) use resolve::{normalise, resolve};
pub(crate) use snapshot::Snapshot;
pub(crate) use stat_cache::{Fingerprint, StatCache, ensure_unchanged, open_unchanged};

/// A tree of files that can be looked at, never written to.
pub(crate) trait Tree: Sync {
    /// What stands at `path`; `None` when there is nothing, or nothing that the tree shows.
    fn node(&self, path: &Path) -> Result<Option<Node>, TreeError>;

    /// The names in the folder `path`, sorted by bytes.
    fn names(&self, path: &Path) -> Result<Vec<OsString>, TreeError>;

    /// Everything under the folder `path`, parents before children, names of one folder sorted by bytes. Paths
    /// are relative to `path`.
    fn below(&self, path: &Path) -> Result<Vec<(PathBuf, Node)>, TreeError> {
        let mut found = Vec::new();
        let mut open = vec![(PathBuf::new(), self.names(path)?.into_iter())];
        while let Some((folder, names)) = open.last_mut() {
            let Some(name) = names.next() else {
                open.pop();
                continue;
            };
            let relative = folder.join(name);
            let Some(node) = self.node(&path.join(&relative))? else { continue };
            if node.kind == Kind::Directory {
                open.push((relative.clone(), self.names(&path.join(&relative))?.into_iter()));
            }
            found.push((relative, node));
        }
        Ok(found)
    }
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky: `mode & 0o7777`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Where it really is on this machine.
    pub(crate) place: PathBuf,
    /// What the kernel says of it; changes whenever content or metadata do.
    pub(crate) identity: Identity,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Symlink(PathBuf),
    Device { block: bool, number: u64 },
    Fifo,
    Socket,
}

/// The kernel's view of one inode: as long as it stays the same, so do the bytes.
///
/// The change time (`ctime`) is what makes this safe: no program can set it, so content that changed under a kept
/// size and modification time still shows. See [`StatCache`] for the one gap, two changes within one clock tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified_ns: i64,
    pub(crate) changed_ns: i64,
    pub(crate) mode: u32,
    /// More than one: the inode has other names.
    pub(crate) links: u32,
}

/// Why a tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The operating system refused.
    #[error("can't read {}: {source}", place.display())]
    Read {
        /// The file or folder.
        place: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A link leads to a link leads to a link.
    #[error("{} goes through more than {} symbolic links; break the loop", path.display(), resolve::MAX_LINKS)]
    TooManyLinks {
        /// The path that was followed.
        path: PathBuf,
    },
    /// More entries than a build may have.
    #[error("{} holds more than {limit} files; exclude what the image doesn't need in .dockerignore", place.display())]
    TooManyFiles {
        /// The folder.
        place: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The file was written to while it was read.
    #[error("{} changed while it was read; build again when nothing writes to it", place.display())]
    Changed {
        /// The file.
        place: PathBuf,
    },
}

impl TreeError {
    pub(crate) fn read(place: &Path) -> impl FnOnce(io::Error) -> TreeError {
        move |source| TreeError::Read { place: place.to_owned(), source }
    }
}

/// The order of paths by components, which is the order of a layer's archive. Much faster than comparing [`Path`]s.
///
/// Both are relative and clean, so a slash only separates; as the smallest byte it puts a folder's content right
/// behind it.
pub(crate) fn in_order(a: &Path, b: &Path) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    let (a, b) = (a.as_os_str().as_bytes(), b.as_os_str().as_bytes());
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(at) => key(&a[at]).cmp(&key(&b[at])),
        None => a.len().cmp(&b.len()),
    }
}

/// Turns "there is nothing" into `None`, whichever way the kernel puts it.
pub(crate) fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Node {
    /// Looks at `place` without following it.
    pub(crate) fn at(place: PathBuf) -> Result<Option<Self>, TreeError> {
        match absent_is_none(std::fs::symlink_metadata(&place)).map_err(TreeError::read(&place))? {
            Some(metadata) => Self::new(place, &metadata).map(Some),
            None => Ok(None),
        }
    }

    /// From what the kernel said of `place`; reads the target where it is a symbolic link.
    pub(crate) fn new(place: PathBuf, metadata: &Metadata) -> Result<Self, TreeError> {
        let kind = metadata.file_type();
        let kind = if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Directory
        } else if kind.is_symlink() {
            Kind::Symlink(std::fs::read_link(&place).map_err(TreeError::read(&place))?)
        } else if kind.is_fifo() {
            Kind::Fifo
        } else if kind.is_socket() {
            Kind::Socket
        } else {
            Kind::Device { block: kind.is_block_device(), number: metadata.rdev() }
        };
        let (uid, gid, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        Ok(Self { kind, mode, uid, gid, place, identity: Identity::of(metadata) })
    }
}

impl Node {
    /// The value of [`CAPABILITY`] on the file.
    pub(crate) fn capability(&self) -> Result<Option<Vec<u8>>, TreeError> {
        capability(&stat_cache::open_unchanged(self)?).map_err(TreeError::read(&self.place))
    }
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode(),
            links: u32::try_from(metadata.nlink()).unwrap_or(u32::MAX),
        }
    }
}

/// The extended attribute that gives a program privileges of root; the only one that layers keep, as Docker's do.
pub(crate) const CAPABILITY: &str = "security.capability";

/// The value of [`CAPABILITY`] on an open file.
pub(crate) fn capability(file: &std::fs::File) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 64];
    match rustix::fs::fgetxattr(file, CAPABILITY, &mut value) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
