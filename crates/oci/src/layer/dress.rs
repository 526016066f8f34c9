//! What a written entry gets: owner, mode, extended attributes, times. What the file system refuses is kept.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::entry::{Entry, Kind, Timestamp, TreePath};
use super::folder::{Folder, failed};
use super::tree::{TreeError, TreeWriter};

impl TreeWriter {
    pub(super) fn dress_folder(&mut self, folder: &Folder, entry: &Entry) -> Result<(), TreeError> {
        let path = folder.path();
        let fd = folder.readable().map_err(|error| failed("open", path, error))?;
        if self.must_own(path, entry) {
            let owned = rustix::fs::fchown(&fd, Some(uid(entry)), Some(gid(entry)));
            self.owned(owned, path, entry)?;
        }
        self.set_xattrs(path, entry, |name, value| {
            rustix::fs::fsetxattr(&fd, name, value, XattrFlags::empty())
        })?;
        let mode = self.mode_for(path, entry, 0o700);
        self.folders.insert(path.clone(), (mode, entry.modified));
        Ok(())
    }

    /// Gives an open file what the entry says. Owner first: changing it clears set-user-id and capabilities.
    pub(super) fn dress_open(
        &mut self,
        fd: &OwnedFd,
        path: &TreePath,
        entry: &Entry,
        least: u32,
    ) -> Result<(), TreeError> {
        if self.must_own(path, entry) {
            let owned = rustix::fs::fchown(fd, Some(uid(entry)), Some(gid(entry)));
            self.owned(owned, path, entry)?;
        }
        let mode = self.mode_for(path, entry, least);
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
            .map_err(|error| failed("set mode of", path, error))?;
        self.set_xattrs(path, entry, |name, value| {
            rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())
        })?;
        rustix::fs::futimens(fd, &times(entry.modified)).map_err(|error| failed("set time of", path, error))
    }

    /// As [`Self::dress_open`], for what can't be opened: links, devices, pipes.
    pub(super) fn dress(&mut self, parent: &Folder, name: &OsStr, entry: &Entry) -> Result<(), TreeError> {
        let path = parent.path().child(name);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if self.must_own(&path, entry) {
            let owned = rustix::fs::chownat(parent.fd(), name, Some(uid(entry)), Some(gid(entry)), flags);
            self.owned(owned, &path, entry)?;
        }
        if !matches!(entry.kind, Kind::Symlink { .. }) {
            let mode = Mode::from_raw_mode(self.mode_for(&path, entry, 0o600));
            rustix::fs::chmodat(parent.fd(), name, mode, AtFlags::empty())
                .map_err(|error| failed("set mode of", &path, error))?;
        }
        let place = parent.path_of(name);
        self.set_xattrs(&path, entry, |name, value| {
            rustix::fs::lsetxattr(&place, name, value, XattrFlags::empty())
        })?;
        rustix::fs::utimensat(parent.fd(), name, &times(entry.modified), flags)
            .map_err(|error| failed("set time of", &path, error))
    }

    /// An ordinary user's own files stand for root's.
    fn must_own(&mut self, path: &TreePath, entry: &Entry) -> bool {
        if !self.is_root && (entry.uid, entry.gid) != (0, 0) {
            self.attributes.keep(path).owner = Some((entry.uid, entry.gid));
        }
        self.is_root
    }

    fn owned(&mut self, result: Result<(), Errno>, path: &TreePath, entry: &Entry) -> Result<(), TreeError> {
        match result {
            // Root of a namespace that has only some owners.
            Err(Errno::PERM | Errno::INVAL) => {
                self.attributes.keep(path).owner = Some((entry.uid, entry.gid));
                Ok(())
            }
            other => other.map_err(|error| failed("set owner of", path, error)),
        }
    }

    /// The mode to set. An ordinary user must be able to read his own layer: `least` is always granted to him.
    fn mode_for(&mut self, path: &TreePath, entry: &Entry, least: u32) -> u32 {
        if self.is_root || entry.mode & least == least {
            return entry.mode;
        }
        self.attributes.keep(path).mode = Some(entry.mode);
        entry.mode | least
    }

    fn set_xattrs(
        &mut self,
        path: &TreePath,
        entry: &Entry,
        set: impl Fn(&str, &[u8]) -> Result<(), Errno>,
    ) -> Result<(), TreeError> {
        for (name, value) in &entry.xattrs {
            match set(name, value) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => {
                    self.attributes.keep(path).xattrs.insert(name.clone(), hex::encode(value));
                }
                Err(error) => return Err(failed("set extended attribute of", path, error)),
            }
        }
        Ok(())
    }
}

pub(super) fn times(modified: Timestamp) -> Timestamps {
    let time = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn uid(entry: &Entry) -> rustix::fs::Uid {
    rustix::fs::Uid::from_raw(entry.uid)
}

fn gid(entry: &Entry) -> rustix::fs::Gid {
    rustix::fs::Gid::from_raw(entry.gid)
}
