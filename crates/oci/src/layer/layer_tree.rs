//! A tree in overlay form, read file by file.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::entry::{Entry, Kind, Timestamp, TreePath};
use super::folder::device_of;
use super::tree::OPAQUE_XATTRS;
use super::writer::WriteError;

/// Why a tree can't be written as a tar.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Something in the tree can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// An entry can't be archived.
    #[error("layer entry {0}")]
    Write(#[from] WriteError),
    /// The tree needs the layers below it to be read.
    #[error("{}: overlayfs left only a part of this file here ({attribute}); mount with redirect_dir=off,metacopy=off", path.display())]
    Partial {
        /// The file or folder.
        path: PathBuf,
        /// The attribute that says so.
        attribute: String,
    },
}

/// The first name of each file that has several, by device and inode.
pub(super) type FirstNames = HashMap<(u64, u64), TreePath>;

/// One layer's tree. What `attributes.json` beside it says stands in for what an ordinary user could not give to a file.
pub(super) struct LayerTree<'a> {
    tree: &'a Path,
    root: OwnedFd,
    attributes: Attributes,
    own: Own,
}

/// Whose files stand for root's: an ordinary user's own.
struct Own(Option<(u32, u32)>);

impl Own {
    fn of_this_process() -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Self((!uid.is_root()).then(|| (uid.as_raw(), gid.as_raw())))
    }

    fn owner(&self, stat: &Stat) -> (u32, u32) {
        match self.0 {
            Some(own) if own.0 == stat.st_uid => (0, 0),
            _ => (stat.st_uid, stat.st_gid),
        }
    }
}

impl<'a> LayerTree<'a> {
    pub(super) fn open(tree: &'a Path) -> Result<Self, WalkError> {
        let io = |source: io::Error| WalkError::Io { path: tree.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(tree, flags, Mode::empty()).map_err(|error| io(error.into()))?;
        let attributes = Attributes::load(tree).map_err(io)?;
        Ok(Self { tree, root, attributes, own: Own::of_this_process() })
    }

    /// What stands at `path`, links not followed.
    pub(super) fn stat(&self, path: &TreePath) -> Result<Stat, WalkError> {
        let stat = rustix::fs::statat(&self.root, path.as_path(), AtFlags::SYMLINK_NOFOLLOW);
        stat.map_err(|error| self.failed(path, error))
    }

    pub(super) fn is_folder(&self, path: &TreePath) -> Result<bool, WalkError> {
        Ok(FileType::from_raw_mode(self.stat(path)?.st_mode) == FileType::Directory)
    }

    /// What kind of entry a file is; `None` for what an archive can't hold.
    pub(super) fn kind(
        &self,
        path: &TreePath,
        stat: &Stat,
        first_names: &mut FirstNames,
    ) -> Result<Option<Kind>, WalkError> {
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let is_whiteout = file_type == FileType::CharacterDevice && device_of(stat).is_whiteout();
        // overlayfs gives all its whiteouts one inode: they are no hard links.
        if !is_whiteout && file_type != FileType::Directory && stat.st_nlink > 1 {
            if let Some(target) = first_names.get(&(stat.st_dev, stat.st_ino)) {
                return Ok(Some(Kind::HardLink { target: target.clone() }));
            }
            first_names.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        Ok(match file_type {
            FileType::RegularFile => Some(Kind::File { size: stat.st_size.cast_unsigned() }),
            FileType::Directory => Some(Kind::Directory),
            FileType::Symlink => Some(Kind::Symlink { target: self.link_target(path)? }),
            FileType::CharacterDevice if is_whiteout => Some(Kind::Whiteout),
            FileType::CharacterDevice => Some(Kind::Character(device_of(stat))),
            FileType::BlockDevice => Some(Kind::Block(device_of(stat))),
            FileType::Fifo => Some(Kind::Fifo),
            _ => None,
        })
    }

    /// What the archive says of a file, `kind` being known.
    pub(super) fn described(&self, path: &TreePath, kind: Kind, stat: &Stat) -> Result<Entry, WalkError> {
        let (uid, gid) = self.own.owner(stat);
        let mut entry = Entry {
            path: path.clone(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            modified: Timestamp {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
            xattrs: self.xattrs(path)?,
        };
        self.attributes.apply(&mut entry).map_err(|source| self.failed(path, source))?;
        Ok(entry)
    }

    pub(super) fn content(&self, path: &TreePath) -> Result<File, WalkError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, path.as_path(), flags, Mode::empty());
        Ok(File::from(file.map_err(|error| self.failed(path, error))?))
    }

    /// The names in a folder, sorted.
    pub(super) fn names(&self, path: &TreePath) -> Result<Vec<OsString>, WalkError> {
        let read = || -> Result<Vec<OsString>, Errno> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let place = if path.is_root() { Path::new(".") } else { path.as_path() };
            let fd = rustix::fs::openat(&self.root, place, flags, Mode::empty())?;
            let mut names = Vec::new();
            for entry in Dir::new(fd)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if !matches!(name, b"." | b"..") {
                    names.push(OsStr::from_bytes(name).to_owned());
                }
            }
            Ok(names)
        };
        let mut names = read().map_err(|error| self.failed(path, error))?;
        names.sort();
        Ok(names)
    }

    fn link_target(&self, path: &TreePath) -> Result<PathBuf, WalkError> {
        let target = rustix::fs::readlinkat(&self.root, path.as_path(), Vec::new());
        let target = target.map_err(|error| self.failed(path, error))?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// Whether a folder hides what lies below it.
    pub(super) fn is_opaque(&self, path: &TreePath) -> Result<bool, WalkError> {
        let place = self.tree.join(path.as_path());
        for name in OPAQUE_XATTRS {
            let mut value = [0; 8];
            match rustix::fs::lgetxattr(&place, name, &mut value) {
                Ok(length) if value[..length] == *b"y" => return Ok(true),
                Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => {}
                Err(error) => return Err(self.failed(path, error)),
            }
        }
        Ok(false)
    }

    fn xattrs(&self, path: &TreePath) -> Result<BTreeMap<String, Vec<u8>>, WalkError> {
        let place = self.tree.join(path.as_path());
        let mut xattrs = BTreeMap::new();
        for name in list_xattrs(&place).map_err(|error| self.failed(path, error))? {
            check_whole(&place, &name)?;
            if is_archived(&name) {
                let value = get_xattr(&place, &name).map_err(|error| self.failed(path, error))?;
                xattrs.insert(name, value);
            }
        }
        Ok(xattrs)
    }

    fn failed(&self, path: &TreePath, error: impl Into<io::Error>) -> WalkError {
        WalkError::Io { path: self.tree.join(path.as_path()), source: error.into() }
    }
}

/// Attributes that belong to the layer, not to overlayfs or to this machine's security modules.
fn is_archived(name: &str) -> bool {
    let machine = [
        "trusted.",
        "user.overlay.",
        "security.selinux",
        "security.ima",
        "security.evm",
        "security.apparmor",
    ];
    !machine.iter().any(|prefix| name.starts_with(prefix))
}

fn check_whole(place: &Path, name: &str) -> Result<(), WalkError> {
    let partial = ["overlay.redirect", "overlay.metacopy"];
    let bare = name.strip_prefix("trusted.").or_else(|| name.strip_prefix("user."));
    match bare.is_some_and(|bare| partial.contains(&bare)) {
        true => Err(WalkError::Partial { path: place.to_owned(), attribute: name.to_owned() }),
        false => Ok(()),
    }
}

fn list_xattrs(place: &Path) -> io::Result<Vec<String>> {
    let mut list = [0; 4096];
    let bytes = match rustix::fs::llistxattr(place, &mut list) {
        Ok(length) => list[..length].to_vec(),
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        // 64 KiB is the most that the kernel gives.
        Err(Errno::RANGE) => {
            let mut list = vec![0; 64 << 10];
            let length = rustix::fs::llistxattr(place, &mut list)?;
            list.truncate(length);
            list
        }
        Err(error) => return Err(error.into()),
    };
    let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let checked = names.map(|name| String::from_utf8(name.to_vec()).map_err(io::Error::other));
    checked.collect()
}

fn get_xattr(place: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 64 << 10];
    let length = rustix::fs::lgetxattr(place, name, &mut value)?;
    value.truncate(length);
    Ok(value)
}
