//! A whole tree in overlay form, written as a layer's tar.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::entry::{Entry, Kind, Timestamp, TreePath};
use super::folder::device_of;
use super::tree::OPAQUE_XATTRS;
use super::writer::{TarWriter, WriteError};

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

/// Writes the tree in overlay form at `tree` as a layer's tar and gives `out` back.
///
/// The same tree gives the same bytes: entries are sorted, and nothing but what a layer holds gets in. Sockets are
/// left out, since a tar can't hold them. What `attributes.json` beside the tree says stands in for what an ordinary
/// user could not give to a file.
///
/// # Errors
/// When a file can't be read or changes meanwhile, or has what a layer can't hold.
pub fn write_tar<W: Write>(tree: &Path, out: W) -> Result<W, WalkError> {
    let io = |source: io::Error| WalkError::Io { path: tree.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(tree, flags, Mode::empty()).map_err(|error| io(error.into()))?;
    let mut walk = Walk {
        tree,
        root,
        tar: TarWriter::new(out),
        attributes: Attributes::load(tree).map_err(io)?,
        own: Own::of_this_process(),
        first_names: HashMap::new(),
    };
    walk.run()?;
    walk.tar.finish().map_err(io)
}

struct Walk<'a, W: Write> {
    tree: &'a Path,
    root: OwnedFd,
    tar: TarWriter<W>,
    attributes: Attributes,
    own: Own,
    /// The first name of each file that has several, by device and inode.
    first_names: HashMap<(u64, u64), TreePath>,
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

impl<W: Write> Walk<'_, W> {
    fn run(&mut self) -> Result<(), WalkError> {
        // Paths still to write, the next one last: a tree may be deeper than a stack of calls.
        let mut paths = self.open_folder(&TreePath::root())?;
        while let Some(path) = paths.pop() {
            if self.entry(&path)? {
                paths.extend(self.open_folder(&path)?);
            }
        }
        Ok(())
    }

    /// Writes what a folder says about itself and gives its content, last name first.
    fn open_folder(&mut self, path: &TreePath) -> Result<Vec<TreePath>, WalkError> {
        if self.is_opaque(path)? {
            self.write(&Entry::new(path.clone(), Kind::Opaque, 0))?;
        }
        Ok(self.names(path)?.iter().rev().map(|name| path.child(name)).collect())
    }

    /// Writes one entry and tells whether it is a folder.
    fn entry(&mut self, path: &TreePath) -> Result<bool, WalkError> {
        let stat = rustix::fs::statat(&self.root, path.as_path(), AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|error| self.failed(path, error))?;
        let entry = match self.kind(path, &stat)? {
            None => return Ok(false),
            Some(Kind::Whiteout) => Entry::new(path.clone(), Kind::Whiteout, 0),
            Some(kind) => self.described(path, kind, &stat)?,
        };
        match entry.kind {
            Kind::File { .. } => self.file(&entry)?,
            _ => self.write(&entry)?,
        }
        Ok(entry.kind == Kind::Directory)
    }

    fn kind(&mut self, path: &TreePath, stat: &Stat) -> Result<Option<Kind>, WalkError> {
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let is_whiteout = file_type == FileType::CharacterDevice && device_of(stat).is_whiteout();
        // overlayfs gives all its whiteouts one inode: they are no hard links.
        if !is_whiteout && file_type != FileType::Directory && stat.st_nlink > 1 {
            if let Some(target) = self.first_names.get(&(stat.st_dev, stat.st_ino)) {
                return Ok(Some(Kind::HardLink { target: target.clone() }));
            }
            self.first_names.insert((stat.st_dev, stat.st_ino), path.clone());
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

    fn described(&self, path: &TreePath, kind: Kind, stat: &Stat) -> Result<Entry, WalkError> {
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

    fn file(&mut self, entry: &Entry) -> Result<(), WalkError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, entry.path.as_path(), flags, Mode::empty());
        let mut file = File::from(file.map_err(|error| self.failed(&entry.path, error))?);
        Ok(self.tar.append(entry, &mut file)?)
    }

    fn write(&mut self, entry: &Entry) -> Result<(), WalkError> {
        Ok(self.tar.append(entry, &mut io::empty())?)
    }

    fn names(&self, path: &TreePath) -> Result<Vec<OsString>, WalkError> {
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

    fn is_opaque(&self, path: &TreePath) -> Result<bool, WalkError> {
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
