//! Writes a planned layer: one pass over the sources makes the tree, the tar's digest and missing fingerprints.
//!
//! ```text
//! readers, one per processor:  source ─► file in the tree (─► fingerprint) ─► window
//! caller:                      folders, links, devices; window ─► tar writer ─► digest, in the order of paths
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use minato_oci::layer::{Entry as TarEntry, Kind as TarKind, TarWriter, TreePath, WriteError};
use minato_oci::{Digest, Digester};
use rustix::fs::{
    self as sys, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use sha2::{Digest as _, Sha256};

use super::plan::{Content, Entry, FirstNames, LayerPlan};
use super::times::timestamp;
use super::window::Window;
use crate::tree::{
    CAPABILITY, Fingerprint, Node, StatCache, TreeError, capability, ensure_unchanged, open_unchanged,
};

const PART: usize = 256 << 10;

/// Why a layer can't be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The operating system refused.
    #[error("can't write /{} of the new layer: {source}", path.display())]
    Write {
        /// The path in the layer.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A source can't be read.
    #[error(transparent)]
    Source(#[from] TreeError),
    /// The layer's tar can't be made.
    #[error(transparent)]
    Tar(#[from] WriteError),
    /// The digest's end failed.
    #[error("can't finish the layer's archive: {0}")]
    Finish(io::Error),
}

/// A layer that stands in its folder.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) diff_id: Digest,
    /// Bytes of the uncompressed tar.
    pub(crate) size: u64,
    /// What was read for the first time, by the source's place.
    pub(crate) fingerprints: HashMap<PathBuf, Fingerprint>,
}

/// Writes `plan` into the empty folder `root`; every entry gets the time `modified`.
pub(crate) fn write(
    plan: &LayerPlan,
    modified: i64,
    root: &Path,
    cache: &StatCache,
) -> Result<Written, LayerError> {
    let writer = LayerWriter::new(plan, modified, root, cache)?;
    writer.make_folders()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8).min(writer.files.len());
    let (diff_id, size) = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| writer.read_files());
        }
        let result = writer.make_tar();
        // Whether it failed or not: nobody reads what the readers still have.
        writer.window.close();
        result
    })
    .map_err(|error| writer.cause_of(error))?;
    fail::fail_point!("build.layer.files-written");
    writer.finish_folders()?;
    let fingerprints = writer.fingerprints.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Written { diff_id, size, fingerprints })
}

struct LayerWriter<'a> {
    plan: &'a LayerPlan,
    names: FirstNames<'a>,
    modified: i64,
    root: OwnedFd,
    cache: &'a StatCache,
    /// The entries that readers copy, in order; their numbers are the window's.
    files: Vec<(&'a Path, &'a Entry, &'a Node)>,
    next: AtomicUsize,
    window: Window,
    fingerprints: Mutex<HashMap<PathBuf, Fingerprint>>,
    failed: Mutex<Option<LayerError>>,
}

impl<'a> LayerWriter<'a> {
    fn new(
        plan: &'a LayerPlan,
        modified: i64,
        root: &Path,
        cache: &'a StatCache,
    ) -> Result<Self, LayerError> {
        let names = plan.first_names();
        let is_first = |path: &Path, entry: &Entry| names.of(entry).is_none_or(|first| first == path);
        let files = plan.entries().iter().filter_map(|(path, entry)| match &entry.content {
            Content::File { source, .. } if is_first(path, entry) => {
                Some((path.as_path(), entry, source.as_ref()))
            }
            _ => None,
        });
        let files = files.collect();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = sys::open(root, flags, Mode::empty()).map_err(at(Path::new("")))?;
        Ok(Self {
            plan,
            names,
            modified,
            root,
            cache,
            files,
            next: AtomicUsize::new(0),
            window: Window::default(),
            fingerprints: Mutex::default(),
            failed: Mutex::default(),
        })
    }

    /// Folders come first, open for their content; they get their own metadata when it is there.
    fn make_folders(&self) -> Result<(), LayerError> {
        for (path, entry) in self.plan.entries() {
            if matches!(entry.content, Content::Directory) {
                let (parent, name) = self.parent_of(path)?;
                sys::mkdirat(&parent, name, Mode::RWXU).map_err(at(path))?;
            }
        }
        Ok(())
    }

    /// Innermost first: what is written into a folder changes its time.
    fn finish_folders(&self) -> Result<(), LayerError> {
        for (path, entry) in self.plan.entries().iter().rev() {
            if matches!(entry.content, Content::Directory) {
                let flags = OFlags::DIRECTORY | OFlags::RDONLY;
                let folder = self.open(path, flags, Mode::empty()).map_err(at(path))?;
                self.set_metadata(&folder, entry).map_err(at(path))?;
            }
        }
        let root = Entry::folder(0o755, 0, 0);
        self.set_metadata(&self.root, &root).map_err(at(Path::new("")))
    }

    /// One reader: takes the next file until none is left.
    fn read_files(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((path, entry, source)) = self.files.get(number) else { return };
            match self.copy_file(number, path, entry, source) {
                Ok(true) => self.window.end(number),
                Ok(false) => return,
                Err(error) => {
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return self.window.close();
                }
            }
        }
    }

    /// Copies one file; `false` when the rest is not wanted any more.
    fn copy_file(
        &self,
        number: usize,
        path: &Path,
        entry: &Entry,
        source: &Node,
    ) -> Result<bool, LayerError> {
        let started = SystemTime::now();
        let mut input = open_unchanged(source)?;
        let is_capable = matches!(entry.content, Content::File { capable: true, .. });
        let capability = match is_capable {
            true => capability(&input).map_err(TreeError::read(&source.place))?,
            false => None,
        };
        self.window.start(number, capability.clone());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let mut output = File::from(self.open(path, flags, Mode::RUSR | Mode::WUSR).map_err(at(path))?);
        let mut hash = self.cache.known(&source.identity).is_none().then(Sha256::new);
        let mut left = source.identity.size;
        while left > 0 {
            let mut part = self.window.buffer();
            let wanted = left.min(PART as u64);
            let read =
                (&mut input).take(wanted).read_to_end(&mut part).map_err(TreeError::read(&source.place))?;
            if read == 0 {
                break;
            }
            left -= read as u64;
            output
                .write_all(&part)
                .map_err(|error| LayerError::Write { path: path.to_owned(), source: error })?;
            if let Some(hash) = &mut hash {
                hash.update(&part);
            }
            if !self.window.push(number, part) {
                return Ok(false);
            }
        }
        ensure_unchanged(&input, source)?;
        if let Some(hash) = hash {
            self.learn(source, hash.finalize().into(), started);
        }
        self.set_metadata(&output, entry).map_err(at(path))?;
        if let Some(value) = capability {
            sys::fsetxattr(&output, CAPABILITY, &value, XattrFlags::empty()).map_err(at(path))?;
        }
        Ok(true)
    }

    fn learn(&self, source: &Node, fingerprint: Fingerprint, started: SystemTime) {
        self.cache.remember(source.identity, fingerprint, started);
        let mut learnt = self.fingerprints.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.insert(source.place.clone(), fingerprint);
    }

    /// Makes everything that is no copied file, and the digest of the whole.
    fn make_tar(&self) -> Result<(Digest, u64), LayerError> {
        let mut tar = TarWriter::new(Digester::default());
        let mut number = 0;
        for (path, entry) in self.plan.entries() {
            let mut header = self.header(path, entry)?;
            match &entry.content {
                Content::File { .. } if matches!(header.kind, TarKind::File { .. }) => {
                    let (capability, mut content) = self.window.reader(number).map_err(LayerError::Finish)?;
                    header.xattrs.extend(capability.map(|value| (CAPABILITY.to_owned(), value)));
                    tar.append(&header, &mut content)?;
                    number += 1;
                }
                Content::Text(text) => {
                    self.make_text(path, entry, text)?;
                    tar.append(&header, &mut text.as_bytes())?;
                }
                _ => {
                    self.make_special(path, entry, &header.kind)?;
                    tar.append(&header, &mut io::empty())?;
                }
            }
        }
        tar.finish().map(Digester::finish).map_err(LayerError::Finish)
    }

    fn header(&self, path: &Path, entry: &Entry) -> Result<TarEntry, LayerError> {
        let inside = |path: &Path| {
            TreePath::new(path.as_os_str()).map_err(|error| LayerError::Write {
                path: path.to_owned(),
                source: io::Error::new(io::ErrorKind::InvalidInput, error),
            })
        };
        let kind = match &entry.content {
            Content::Directory => TarKind::Directory,
            Content::File { source, .. } => match self.names.of(entry).filter(|first| *first != path) {
                Some(first) => TarKind::HardLink { target: inside(first)? },
                None => TarKind::File { size: source.identity.size },
            },
            Content::Text(text) => TarKind::File { size: text.len() as u64 },
            Content::Symlink(target) => TarKind::Symlink { target: target.clone() },
            Content::Device { block, number } => {
                let device = minato_oci::layer::Device {
                    major: rustix::fs::major(*number),
                    minor: rustix::fs::minor(*number),
                };
                if *block { TarKind::Block(device) } else { TarKind::Character(device) }
            }
            Content::Fifo => TarKind::Fifo,
        };
        let mut header = TarEntry::new(inside(path)?, kind, entry.mode);
        (header.uid, header.gid) = (entry.uid, entry.gid);
        header.modified = timestamp(self.modified);
        Ok(header)
    }

    fn make_text(&self, path: &Path, entry: &Entry, text: &str) -> Result<(), LayerError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let mut file = File::from(self.open(path, flags, Mode::RUSR | Mode::WUSR).map_err(at(path))?);
        let failed = |source| LayerError::Write { path: path.to_owned(), source };
        file.write_all(text.as_bytes()).map_err(failed)?;
        self.set_metadata(&file, entry).map_err(at(path))
    }

    /// Links, devices and pipes; folders are there already.
    fn make_special(&self, path: &Path, entry: &Entry, kind: &TarKind) -> Result<(), LayerError> {
        let (parent, name) = self.parent_of(path)?;
        let mode = Mode::from_raw_mode(entry.mode);
        let device = |device: &minato_oci::layer::Device| rustix::fs::makedev(device.major, device.minor);
        let made = match kind {
            TarKind::Directory => return Ok(()),
            TarKind::HardLink { target } => return self.link(path, target.as_path()),
            TarKind::Symlink { target } => sys::symlinkat(target, &parent, name),
            TarKind::Character(number) => {
                sys::mknodat(&parent, name, FileType::CharacterDevice, mode, device(number))
            }
            TarKind::Block(number) => {
                sys::mknodat(&parent, name, FileType::BlockDevice, mode, device(number))
            }
            _ => sys::mknodat(&parent, name, FileType::Fifo, mode, 0),
        };
        made.map_err(at(path))?;
        let follow = sys::AtFlags::SYMLINK_NOFOLLOW;
        if (entry.uid, entry.gid) != (0, 0) {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            sys::chownat(&parent, name, Some(uid), Some(gid), follow).map_err(at(path))?;
        }
        if !matches!(kind, TarKind::Symlink { .. }) {
            sys::chmodat(&parent, name, mode, sys::AtFlags::empty()).map_err(at(path))?;
        }
        sys::utimensat(&parent, name, &self.times(), follow).map_err(at(path))
    }

    /// The first name may still be on its way through a reader, but the window has it complete only after that.
    fn link(&self, path: &Path, first: &Path) -> Result<(), LayerError> {
        let (parent, name) = self.parent_of(path)?;
        let (first_parent, first_name) = self.parent_of(first)?;
        sys::linkat(&first_parent, first_name, &parent, name, sys::AtFlags::empty()).map_err(at(path))
    }

    /// Owner before mode: a change of owner takes the set-user-id bit away.
    fn set_metadata(&self, file: impl AsFd, entry: &Entry) -> rustix::io::Result<()> {
        if (entry.uid, entry.gid) != (0, 0) {
            sys::fchown(&file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
        }
        sys::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
        sys::futimens(&file, &self.times())
    }

    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.modified, tv_nsec: 0 };
        Timestamps { last_access: time, last_modification: time }
    }

    /// Opens a path of the layer. The kernel itself makes sure that no link leads out of it.
    fn open(&self, path: &Path, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        sys::openat2(&self.root, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, resolve)
    }

    fn parent_of<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p Path), LayerError> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::DIRECTORY | OFlags::PATH;
        let folder = self.open(parent, flags, Mode::empty()).map_err(at(path))?;
        Ok((folder, path.file_name().map_or(path, Path::new)))
    }

    /// What really went wrong when the window was closed under the hasher.
    fn cause_of(&self, error: LayerError) -> LayerError {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }
}

fn at(path: &Path) -> impl FnOnce(rustix::io::Errno) -> LayerError {
    move |error| LayerError::Write { path: path.to_owned(), source: error.into() }
}
