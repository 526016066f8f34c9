//! Finding a place in a tree without ever leaving it.
//!
//! Paths are walked one name at a time from the tree's own descriptor. A symbolic link on the way is followed as a
//! container would follow it: an absolute one starts at the tree's root. A link that climbs out is an error.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::entry::{Device, TreePath};
use super::tree::TreeError;

/// As many as the kernel follows.
const LINK_LIMIT: usize = 40;
const WALK: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The root of a tree.
#[derive(Debug)]
pub(super) struct Root {
    folder: Folder,
    /// The last folder asked for: an archive names the files of a folder one after the other.
    last: Option<(TreePath, Folder)>,
}

/// An open folder in the tree and its path without links.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    fd: Arc<OwnedFd>,
    path: TreePath,
}

/// What a walk found to do on its way.
pub(super) struct Walked {
    pub(super) folder: Folder,
    /// Folders that were missing and were made.
    pub(super) made: Vec<Folder>,
    /// Those of them that took the place of a whiteout.
    pub(super) uncovered: Vec<Folder>,
}

impl Root {
    pub(super) fn open(tree: &Path) -> Result<Self, TreeError> {
        let fd = rustix::fs::open(tree, WALK, Mode::empty());
        let fd = fd.map_err(|error| TreeError::Open { path: tree.to_owned(), source: error.into() })?;
        Ok(Self { folder: Folder { fd: Arc::new(fd), path: TreePath::root() }, last: None })
    }

    /// Forgets what was found, because something was replaced.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// The folder at `path`. Missing folders are made.
    pub(super) fn walk(&mut self, path: &TreePath) -> Result<Walked, TreeError> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Ok(Walked { folder: folder.clone(), made: Vec::new(), uncovered: Vec::new() });
        }
        let walked = Walk::new(self.folder.clone(), path).run()?;
        self.last = Some((path.clone(), walked.folder.clone()));
        Ok(walked)
    }

    /// The folder at `path`, of which no part may be a link; `None` when there is no such folder any more.
    pub(super) fn open_plain(&self, path: &TreePath) -> Result<Option<Folder>, TreeError> {
        let mut folder = self.folder.clone();
        for name in path.as_path() {
            folder = match folder.enter(name) {
                Ok(folder) => folder,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(failed("open", path, error)),
            };
        }
        Ok(Some(folder))
    }
}

/// A walk that is under way.
struct Walk {
    root: Folder,
    at: Folder,
    wanted: TreePath,
    /// Names still to enter, the next one last.
    names: Vec<OsString>,
    links: usize,
    made: Vec<Folder>,
    uncovered: Vec<Folder>,
}

impl Walk {
    fn new(root: Folder, path: &TreePath) -> Self {
        let names = path.as_path().iter().rev().map(OsStr::to_owned).collect();
        let (made, uncovered) = (Vec::new(), Vec::new());
        Self { at: root.clone(), root, wanted: path.clone(), names, links: 0, made, uncovered }
    }

    fn run(mut self) -> Result<Walked, TreeError> {
        while let Some(name) = self.names.pop() {
            if name == ".." {
                self.leave()?;
                continue;
            }
            match self.at.enter(&name) {
                Ok(folder) => self.at = folder,
                Err(Errno::NOENT) => self.make(&name, false)?,
                Err(Errno::NOTDIR | Errno::LOOP) => self.pass(&name)?,
                Err(error) => return Err(failed("open", &self.at.path.child(&name), error)),
            }
        }
        Ok(Walked { folder: self.at, made: self.made, uncovered: self.uncovered })
    }

    fn leave(&mut self) -> Result<(), TreeError> {
        let parent = self.at.path.parent().ok_or_else(|| TreeError::Escape { path: self.wanted.clone() })?;
        let fd = rustix::fs::openat(&self.at.fd, "..", WALK, Mode::empty());
        let fd = fd.map_err(|error| failed("open", &parent, error))?;
        self.at = Folder { fd: Arc::new(fd), path: parent };
        Ok(())
    }

    fn make(&mut self, name: &OsStr, was_whiteout: bool) -> Result<(), TreeError> {
        let made = self.at.make_folder(name).and_then(|()| self.at.enter(name));
        self.at = made.map_err(|error| failed("make folder", &self.at.path.child(name), error))?;
        self.made.push(self.at.clone());
        if was_whiteout {
            self.uncovered.push(self.at.clone());
        }
        Ok(())
    }

    /// Gets past something that is no folder.
    fn pass(&mut self, name: &OsStr) -> Result<(), TreeError> {
        let path = self.at.path.child(name);
        match self.at.look(name).map_err(|error| failed("look at", &path, error))? {
            Some(Found::Symlink) => self.follow(name, &path),
            Some(Found::Whiteout) => {
                self.at.remove_file(name).map_err(|error| failed("replace", &path, error))?;
                self.make(name, true)
            }
            _ => Err(TreeError::NotAFolder { path: self.wanted.clone(), parent: path }),
        }
    }

    fn follow(&mut self, name: &OsStr, path: &TreePath) -> Result<(), TreeError> {
        self.links += 1;
        if self.links > LINK_LIMIT {
            return Err(TreeError::LinkLoop { path: self.wanted.clone() });
        }
        let target = rustix::fs::readlinkat(&self.at.fd, name, Vec::new());
        let target = target.map_err(|error| failed("read link", path, error))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.at = self.root.clone();
        }
        let is_name = |name: &&OsStr| !matches!(name.as_bytes(), b"/" | b".");
        self.names.extend(target.iter().rev().filter(is_name).map(OsStr::to_owned));
        Ok(())
    }
}

/// What lies under a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Folder,
    Symlink,
    Whiteout,
    Other,
}

impl Folder {
    pub(super) fn path(&self) -> &TreePath {
        &self.path
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn enter(&self, name: &OsStr) -> Result<Self, Errno> {
        let fd = rustix::fs::openat(&self.fd, name, WALK, Mode::empty())?;
        Ok(Self { fd: Arc::new(fd), path: self.path.child(name) })
    }

    /// A descriptor that attributes can be set through.
    pub(super) fn readable(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, ".", flags, Mode::empty())
    }

    // The umask of whoever runs this must not get into a layer.
    pub(super) fn make_folder(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU)
    }

    pub(super) fn look(&self, name: &OsStr) -> Result<Option<Found>, Errno> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(classify(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove_file(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
    }

    /// Removes a folder with all its content, never following a link.
    pub(super) fn remove_folder(&self, name: &OsStr) -> Result<(), Errno> {
        let folder = self.enter(name)?;
        for child in folder.names()? {
            match folder.look(&child)? {
                Some(Found::Folder) => folder.remove_folder(&child)?,
                _ => folder.remove_file(&child)?,
            }
        }
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
    }

    fn names(&self) -> Result<Vec<OsString>, Errno> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.readable()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// A path by which calls without a descriptor reach `name` in this folder.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        Path::new("/proc/self/fd").join(self.fd.as_fd().as_raw_fd().to_string()).join(name)
    }
}

fn classify(stat: &Stat) -> Found {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Found::Folder,
        FileType::Symlink => Found::Symlink,
        FileType::CharacterDevice if device_of(stat).is_whiteout() => Found::Whiteout,
        _ => Found::Other,
    }
}

pub(super) fn device_of(stat: &Stat) -> Device {
    Device { major: rustix::fs::major(stat.st_rdev), minor: rustix::fs::minor(stat.st_rdev) }
}

pub(super) fn failed(doing: &'static str, path: &TreePath, error: impl Into<io::Error>) -> TreeError {
    TreeError::Io { doing, path: path.clone(), source: error.into() }
}
