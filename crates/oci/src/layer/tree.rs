//! Writes a tree in overlay form, entry by entry, never outside its root.
//!
//! As root every entry gets its owner, mode and attributes. An ordinary user owns what he writes: root's entries
//! stand as his own, and whatever else the file system refuses (other owners, devices, privileged attributes) goes
//! into `attributes.json`. Nothing is dropped.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::dress::times;
use super::entry::{Entry, Kind, Timestamp, TreePath};
use super::folder::{Folder, Found, Root, failed};

const BUFFER: usize = 128 << 10;
const IMPLIED_MODE: u32 = 0o755;
pub(super) const OPAQUE_XATTRS: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// Writes entries into a folder on disk.
#[derive(Debug)]
pub struct TreeWriter {
    tree: PathBuf,
    root: Root,
    pub(super) attributes: Attributes,
    pub(super) is_root: bool,
    /// Modes and times of folders are set at the end: writing into a folder needs the one and changes the other.
    pub(super) folders: BTreeMap<TreePath, (u32, Timestamp)>,
    buffer: Vec<u8>,
}

/// Why an entry can't be written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The tree can't be opened.
    #[error("{}: open layer folder: {source}", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file system said no.
    #[error("{path}: {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The entry, in the tree.
        path: TreePath,
        /// The system's answer.
        source: io::Error,
    },
    /// A link on the way leads out of the tree.
    #[error("{path}: a symbolic link on its path leads out of the layer; it is refused")]
    Escape {
        /// The entry.
        path: TreePath,
    },
    /// Links on the way lead to each other.
    #[error("{path}: too many symbolic links on its path; it is refused")]
    LinkLoop {
        /// The entry.
        path: TreePath,
    },
    /// Something on the way is no folder.
    #[error("{path}: {parent} is not a folder; it is refused")]
    NotAFolder {
        /// The entry.
        path: TreePath,
        /// What is no folder.
        parent: TreePath,
    },
    /// A hard link without its first name.
    #[error("{path}: hard link to {target}, which is not in this layer; it is refused")]
    NoLinkTarget {
        /// The entry.
        path: TreePath,
        /// What it links to.
        target: TreePath,
    },
    /// The entry would mean something to overlayfs.
    #[error("{path}: {what}, which is overlayfs's own; it is refused")]
    Reserved {
        /// The entry.
        path: TreePath,
        /// What it has.
        what: &'static str,
    },
    /// The content ended early or went on.
    #[error("{path}: has not the {expected} bytes that it should have")]
    Length {
        /// The entry.
        path: TreePath,
        /// Length by the entry.
        expected: u64,
    },
    /// The root of a layer can only be a folder.
    #[error("the root of a layer must be a folder")]
    Root,
}

impl TreeWriter {
    /// Writes into the folder `tree`, which is there already.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(tree: &Path) -> Result<Self, TreeError> {
        let attributes =
            Attributes::load(tree).map_err(|source| TreeError::Open { path: tree.to_owned(), source })?;
        Ok(Self {
            tree: tree.to_owned(),
            root: Root::open(tree)?,
            attributes,
            is_root: rustix::process::geteuid().is_root(),
            folders: BTreeMap::new(),
            buffer: Vec::new(),
        })
    }

    /// Writes one entry, in place of what has its name. `content` is read for files only. Missing parents are made.
    ///
    /// # Errors
    /// When the entry would leave the tree or the file system refuses.
    pub fn add(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), TreeError> {
        check_reserved(entry)?;
        let (Some(parent), Some(name)) = (entry.path.parent(), entry.path.name()) else {
            return self.add_root(entry);
        };
        let parent = self.parent(&parent)?;
        match &entry.kind {
            Kind::File { size } => self.add_file(&parent, name, entry, content, *size),
            Kind::Directory => self.add_folder(&parent, name, entry),
            Kind::Opaque => self.add_opaque(&parent, name, entry),
            Kind::Whiteout => self.add_whiteout(&parent, name),
            Kind::HardLink { target } => self.add_hard_link(&parent, name, entry, target),
            Kind::Symlink { target } => {
                self.make(&parent, name, |folder| rustix::fs::symlinkat(target, folder.fd(), name))?;
                self.dress(&parent, name, entry)
            }
            Kind::Character(_) | Kind::Block(_) | Kind::Fifo => self.add_special(&parent, name, entry),
        }
    }

    /// Sets the modes and times of folders and writes `attributes.json`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn finish(mut self) -> Result<(), TreeError> {
        // Children before parents: a parent's mode may shut an ordinary user out.
        for (path, (mode, modified)) in std::mem::take(&mut self.folders).into_iter().rev() {
            let Some(folder) = self.root.open_plain(&path)? else { continue };
            let set = || -> Result<(), Errno> {
                let fd = folder.readable()?;
                rustix::fs::futimens(&fd, &times(modified))?;
                rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))
            };
            set().map_err(|error| failed("set mode and time of", &path, error))?;
        }
        let saved = self.attributes.save(&self.tree);
        saved.map_err(|source| TreeError::Open { path: self.tree.clone(), source })
    }

    fn parent(&mut self, path: &TreePath) -> Result<Folder, TreeError> {
        let walked = self.root.walk(path)?;
        for made in &walked.made {
            // No entry says anything about it: what every tool assumes, and never the time of day.
            self.folders.insert(made.path().clone(), (IMPLIED_MODE, Timestamp::default()));
        }
        for uncovered in &walked.uncovered {
            set_opaque(uncovered)?;
        }
        Ok(walked.folder)
    }

    fn add_root(&mut self, entry: &Entry) -> Result<(), TreeError> {
        let root = self.root.walk(&TreePath::root())?.folder;
        match entry.kind {
            Kind::Directory => self.dress_folder(&root, entry),
            Kind::Opaque => set_opaque(&root),
            _ => Err(TreeError::Root),
        }
    }

    fn add_file(
        &mut self,
        parent: &Folder,
        name: &OsStr,
        entry: &Entry,
        content: &mut dyn Read,
        size: u64,
    ) -> Result<(), TreeError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.make(parent, name, |folder| {
            rustix::fs::openat(folder.fd(), name, flags, Mode::RUSR | Mode::WUSR)
        })?;
        let mut file = File::from(fd);
        self.copy(entry, content, &mut file, size)?;
        self.dress_open(&file.into(), &parent.path().child(name), entry, 0o600)
    }

    fn add_folder(&mut self, parent: &Folder, name: &OsStr, entry: &Entry) -> Result<(), TreeError> {
        let path = parent.path().child(name);
        let found = parent.look(name).map_err(|error| failed("look at", &path, error))?;
        if found != Some(Found::Folder) {
            self.make(parent, name, |folder| folder.make_folder(name))?;
        }
        let folder = parent.enter(name).map_err(|error| failed("open", &path, error))?;
        if found == Some(Found::Whiteout) {
            set_opaque(&folder)?;
        }
        self.dress_folder(&folder, entry)
    }

    fn add_opaque(&mut self, parent: &Folder, name: &OsStr, entry: &Entry) -> Result<(), TreeError> {
        let path = parent.path().child(name);
        let folder = match parent.enter(name) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => {
                let implied = Entry::new(entry.path.clone(), Kind::Directory, IMPLIED_MODE);
                self.add_folder(parent, name, &implied)?;
                parent.enter(name).map_err(|error| failed("open", &path, error))?
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(TreeError::NotAFolder { path: entry.path.clone(), parent: path });
            }
            Err(error) => return Err(failed("open", &path, error)),
        };
        set_opaque(&folder)
    }

    /// A whiteout concerns the layers below only: what this layer has under the name stays and hides them itself.
    fn add_whiteout(&mut self, parent: &Folder, name: &OsStr) -> Result<(), TreeError> {
        let path = parent.path().child(name);
        match parent.look(name).map_err(|error| failed("look at", &path, error))? {
            None => rustix::fs::mknodat(parent.fd(), name, FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(|error| failed("make whiteout", &path, error)),
            Some(Found::Folder) => {
                set_opaque(&parent.enter(name).map_err(|error| failed("open", &path, error))?)
            }
            Some(_) => Ok(()),
        }
    }

    fn add_hard_link(
        &mut self,
        parent: &Folder,
        name: &OsStr,
        entry: &Entry,
        target: &TreePath,
    ) -> Result<(), TreeError> {
        let missing = || TreeError::NoLinkTarget { path: entry.path.clone(), target: target.clone() };
        let (Some(folder), Some(target_name)) = (target.parent(), target.name()) else {
            return Err(missing());
        };
        let folder = self.parent(&folder)?;
        let (first, second) = (folder.path().child(target_name), parent.path().child(name));
        let found = folder.look(target_name).map_err(|error| failed("look at", &first, error))?;
        if first == second {
            return found.map(drop).ok_or_else(missing);
        }
        if !matches!(found, Some(Found::Symlink | Found::Other)) {
            return Err(missing());
        }
        self.make(parent, name, |parent| {
            rustix::fs::linkat(folder.fd(), target_name, parent.fd(), name, AtFlags::empty())
        })
    }

    fn add_special(&mut self, parent: &Folder, name: &OsStr, entry: &Entry) -> Result<(), TreeError> {
        let (kind, device) = match entry.kind {
            Kind::Character(device) => (FileType::CharacterDevice, Some(device)),
            Kind::Block(device) => (FileType::BlockDevice, Some(device)),
            _ => (FileType::Fifo, None),
        };
        let number = device.map_or(0, |device| rustix::fs::makedev(device.major, device.minor));
        let private = Mode::RUSR | Mode::WUSR;
        let made = self.make(parent, name, |folder| {
            match rustix::fs::mknodat(folder.fd(), name, kind, private, number) {
                // An empty file stands for a device that only root may make.
                Err(Errno::PERM) if device.is_some() => {
                    rustix::fs::mknodat(folder.fd(), name, FileType::RegularFile, private, 0).map(|()| false)
                }
                other => other.map(|()| true),
            }
        })?;
        if !made {
            let kept = self.attributes.keep(&parent.path().child(name));
            match entry.kind {
                Kind::Character(device) => kept.character = Some(device),
                _ => kept.block = device,
            }
        }
        self.dress(parent, name, entry)
    }

    /// Makes something new under `name`, in place of what is there.
    fn make<T>(
        &mut self,
        parent: &Folder,
        name: &OsStr,
        make: impl Fn(&Folder) -> Result<T, Errno>,
    ) -> Result<T, TreeError> {
        let path = parent.path().child(name);
        match make(parent) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(|error| failed("make", &path, error)),
        }
        let is_folder =
            parent.look(name).map_err(|error| failed("look at", &path, error))? == Some(Found::Folder);
        let removed = if is_folder { parent.remove_folder(name) } else { parent.remove_file(name) };
        removed.map_err(|error| failed("replace", &path, error))?;
        self.root.forget();
        self.attributes.forget(&path);
        self.folders.retain(|folder, _| !folder.starts_with(&path));
        make(parent).map_err(|error| failed("make", &path, error))
    }

    fn copy(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
        file: &mut File,
        size: u64,
    ) -> Result<(), TreeError> {
        let io = |source| TreeError::Io { doing: "write", path: entry.path.clone(), source };
        self.buffer.resize(BUFFER, 0);
        let mut left = size;
        let mut ends_in_hole = false;
        while left > 0 {
            let wanted = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            let count = fill(content, &mut self.buffer[..wanted]).map_err(io)?;
            if count < wanted {
                return Err(TreeError::Length { path: entry.path.clone(), expected: size });
            }
            let chunk = &self.buffer[..count];
            // Zeros become a hole: a bomb of them costs no disk.
            ends_in_hole = count == BUFFER && chunk.iter().all(|byte| *byte == 0);
            if ends_in_hole {
                file.seek(SeekFrom::Current(count as i64)).map_err(io)?;
            } else {
                file.write_all(chunk).map_err(io)?;
            }
            left -= count as u64;
        }
        if ends_in_hole { file.set_len(size).map_err(io) } else { Ok(()) }
    }
}

/// What would change how overlayfs mounts the layer must come from a whiteout entry and from nothing else.
fn check_reserved(entry: &Entry) -> Result<(), TreeError> {
    let reserved = |what| Err(TreeError::Reserved { path: entry.path.clone(), what });
    let is_overlay =
        |name: &String| name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
    if entry.xattrs.keys().any(is_overlay) {
        return reserved("has an extended attribute for overlayfs");
    }
    match entry.kind {
        Kind::Character(device) if device.is_whiteout() => reserved("is the device 0:0"),
        _ => Ok(()),
    }
}

fn set_opaque(folder: &Folder) -> Result<(), TreeError> {
    let set = || -> Result<(), Errno> {
        let fd = folder.readable()?;
        match rustix::fs::fsetxattr(&fd, OPAQUE_XATTRS[0], b"y", XattrFlags::empty()) {
            // Without privilege overlayfs is mounted with `userxattr` and reads the other name.
            Err(Errno::PERM) => rustix::fs::fsetxattr(&fd, OPAQUE_XATTRS[1], b"y", XattrFlags::empty()),
            other => other,
        }
    };
    set().map_err(|error| failed("make opaque", folder.path(), error))
}

fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
