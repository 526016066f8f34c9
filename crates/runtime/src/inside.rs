//! Looking into a root file system that a stranger made: links are followed as the container would see them, and never
//! out of it (`openat2` with `RESOLVE_IN_ROOT`).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2};

/// Largest passwd or group file that is read.
const FILE_LIMIT: u64 = 4 << 20;

/// A root file system, held open.
#[derive(Debug)]
pub(crate) struct Root(OwnedFd);

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Folder,
    /// A regular file with these permission bits.
    File(u32),
    Other,
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// What is at `path`, with links followed; `None` when nothing is.
    pub(crate) fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        let held = match self.open_at(path, OFlags::PATH) {
            Ok(held) => held,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = fstat(&held)?;
        Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Entry::Folder,
            FileType::RegularFile => Entry::File(stat.st_mode & 0o7777),
            _ => Entry::Other,
        }))
    }

    /// Where on this machine `path` is, with links followed; `None` when nothing is there.
    pub(crate) fn place(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match self.open_at(path, OFlags::PATH) {
            Ok(held) => std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).map(Some),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A small text file; `None` when there is none.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Option<String>> {
        let file = match self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => File::from(file),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it is larger than {FILE_LIMIT} bytes"),
            ));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Makes the folder and those above it where absent, 0755 and owned by root.
    pub(crate) fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut so_far = PathBuf::from("/");
        for name in path.iter().filter(|name| *name != OsStr::new("/")) {
            let above = self.open_at(&so_far, OFlags::PATH | OFlags::DIRECTORY)?;
            so_far.push(name);
            match mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY).map(drop)
    }

    /// Makes an empty file where nothing is, so that another can be mounted over it.
    pub(crate) fn make_file(&self, path: &Path) -> io::Result<()> {
        if self.entry(path)?.is_some() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_folder(parent)?;
        }
        self.open_at(path, OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW).map(drop)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o644) } else { Mode::empty() };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let relative = path.strip_prefix("/").unwrap_or(path);
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        loop {
            match openat2(&self.0, relative, flags | OFlags::CLOEXEC, mode, resolve) {
                // Something was renamed meanwhile; the kernel asks to try again.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_nowhere_outside() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "host").unwrap();
        let inside = tempfile::tempdir().unwrap();
        let root = Root::open(inside.path()).unwrap();
        symlink(outside.path().join("secret"), inside.path().join("absolute")).unwrap();
        symlink("../../../../../../../etc/passwd", inside.path().join("upwards")).unwrap();
        symlink(outside.path(), inside.path().join("folder")).unwrap();
        assert_eq!(root.read(Path::new("/absolute")).unwrap(), None);
        assert_eq!(root.read(Path::new("/upwards")).unwrap(), None);
        assert!(root.make_folder(Path::new("/folder/made")).is_err());
        assert!(!outside.path().join("made").exists());
        assert!(root.make_file(Path::new("/folder/file")).is_err());
        assert!(!outside.path().join("file").exists());
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let inside = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(CWD, inside.path().join("p"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap();
        assert!(Root::open(inside.path()).unwrap().read(Path::new("p")).is_err());
    }

    #[test]
    fn folders_and_files_are_made_where_absent() {
        let inside = tempfile::tempdir().unwrap();
        let root = Root::open(inside.path()).unwrap();
        root.make_folder(Path::new("/a/b")).unwrap();
        root.make_file(Path::new("/a/c/d")).unwrap();
        assert_eq!(root.entry(Path::new("/a/b")).unwrap(), Some(Entry::Folder));
        assert!(matches!(root.entry(Path::new("/a/c/d")).unwrap(), Some(Entry::File(_))));
        assert_eq!(root.entry(Path::new("/a/x")).unwrap(), None);
    }
}
