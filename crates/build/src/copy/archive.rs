//! ADD of a local tar archive: what is in it comes to stand in the destination.
//!
//! Names from the archive never reach the file system of this machine. Each file's bytes go to a numbered scratch
//! file, and names, owners and modes go straight into the plan of the layer. Refused are absolute names and `..`, an
//! entry over the limits, and an entry that would go through a link that the archive itself brought.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minato_oci::layer::{Archive, ArchiveError as TarError, Entry as TarEntry, Kind as TarKind, Limits};

use super::{Copier, CopyError, Owner, uncompress};
use crate::layer::{Content, Entry};
use crate::tree::{CAPABILITY, Kind, Node, Tree, TreeError, normalise, resolve};
use rustix::fs::XattrFlags;

/// Why an archive can't or must not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is malformed, goes beyond a limit or names a path outside the destination.
    #[error("archive {archive}: {source}")]
    Tar {
        /// The source as it was found.
        archive: String,
        /// What is wrong with it.
        source: TarError,
    },
    /// An entry lies behind a symbolic link of the same archive.
    #[error(
        "archive {archive}: entry {entry:?} goes through {link:?}, a symbolic link that the archive brought; it is refused"
    )]
    ThroughLink {
        /// The source.
        archive: String,
        /// The entry.
        entry: String,
        /// The link.
        link: String,
    },
    /// A hard link to something else than an earlier file of the archive.
    #[error(
        "archive {archive}: entry {entry:?} is a hard link to {target:?}, which is no earlier file of the archive"
    )]
    HardLink {
        /// The source.
        archive: String,
        /// The entry.
        entry: String,
        /// What it links to.
        target: String,
    },
    /// A compression that can't be read here.
    #[error(
        "archive {archive} is compressed with {compression}, which can't be read yet; use gzip, zstd, xz or none"
    )]
    Compression {
        /// The source.
        archive: String,
        /// Its name.
        compression: &'static str,
    },
    /// A scratch file can't be written.
    #[error("archive {archive}: {source}")]
    Scratch {
        /// The source.
        archive: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Looks into a file: an archive is what starts with a tar header, once it is uncompressed.
pub(crate) fn is_archive(node: &Node) -> Result<bool, CopyError> {
    if node.kind != Kind::File || node.identity.size == 0 {
        return Ok(false);
    }
    match Archive::new(uncompress::open(node)?, Limits::default()).next_entry() {
        Ok(Some(_)) => Ok(true),
        Ok(None) | Err(TarError::Malformed(_) | TarError::Io(_)) => Ok(false),
        // A header that is one, with content that must not be: saying "no archive" would copy it in silence.
        Err(source) => {
            let archive = node.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(ArchiveError::Tar { archive, source }.into())
        }
    }
}

impl Copier<'_> {
    /// Unpacks the archive `node` into the folder `destination`; `scratch` is an empty folder of this machine that
    /// lives until the layer is written.
    pub(crate) fn unpack(&mut self, node: &Node, destination: &str, scratch: &Path) -> Result<(), CopyError> {
        let archive = node.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Whatever the mode of the files.
        let folder = self.make_folders_as(&normalise(Path::new(destination)), 0o755)?;
        let mut tar = Archive::new(uncompress::open(node)?, Limits::default());
        let mut unpacking = Unpacking {
            copier: self,
            archive,
            folder,
            scratch,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            count: 0,
        };
        while let Some(entry) = tar.next_entry().map_err(|source| unpacking.tar(source))? {
            unpacking.take(&entry, &mut tar)?;
        }
        unpacking.finish()
    }
}

/// One archive on the way.
struct Unpacking<'a, 'b> {
    copier: &'a mut Copier<'b>,
    archive: String,
    /// The destination, without links.
    folder: PathBuf,
    scratch: &'a Path,
    /// Files of the archive by their path in the layer; their bytes are in the scratch file.
    files: BTreeMap<PathBuf, (PathBuf, Entry)>,
    /// Symbolic links of the archive by their path in the layer.
    links: BTreeMap<PathBuf, String>,
    count: usize,
}

impl Unpacking<'_, '_> {
    fn take(&mut self, entry: &TarEntry, content: &mut impl Read) -> Result<(), CopyError> {
        if entry.path.is_root() {
            return Ok(());
        }
        let path = self.place(entry)?;
        self.make_room(&path, entry.kind == TarKind::Directory)?;
        let owner = self.copier.owner_of_unpacked.unwrap_or(Owner { uid: entry.uid, gid: entry.gid });
        let metadata = |content| Entry { content, mode: entry.mode, uid: owner.uid, gid: owner.gid };
        let made = match &entry.kind {
            TarKind::File { .. } => {
                let capability = entry.xattrs.get(CAPABILITY);
                return self.file(path, metadata(Content::Fifo), capability, content);
            }
            TarKind::HardLink { target } => return self.hard_link(path, entry, target.as_path()),
            TarKind::Directory => Content::Directory,
            TarKind::Symlink { target } => {
                self.links.insert(path.clone(), entry.path.to_string());
                Content::Symlink(target.clone())
            }
            TarKind::Character(device) => Content::Device { block: false, number: number(*device) },
            TarKind::Block(device) => Content::Device { block: true, number: number(*device) },
            TarKind::Fifo => Content::Fifo,
            TarKind::Whiteout | TarKind::Opaque => return Ok(()),
        };
        Ok(self.copier.target.put(path, metadata(made))?)
    }

    /// Where an entry goes: its folder's links are followed if the image has them, and refused if the archive does.
    fn place(&mut self, entry: &TarEntry) -> Result<PathBuf, CopyError> {
        let path = self.folder.join(entry.path.as_path());
        if let Some(link) = path.ancestors().skip(1).find_map(|parent| self.links.get(parent)) {
            let (archive, link) = (self.archive.clone(), link.clone());
            return Err(ArchiveError::ThroughLink { archive, entry: entry.path.to_string(), link }.into());
        }
        let parent = path.parent().unwrap_or(Path::new("")).to_owned();
        let owner = self.copier.owner.take();
        let parent = self.copier.make_folders_as(&parent, 0o755);
        self.copier.owner = owner;
        let path = parent?.join(path.file_name().unwrap_or_default());
        Ok(path)
    }

    /// A folder stays where a folder comes; everything else makes way.
    fn make_room(&mut self, path: &Path, for_folder: bool) -> Result<(), CopyError> {
        let there = self.copier.target.node(path)?.map(|node| node.kind);
        self.files.remove(path);
        self.links.remove(path);
        match there {
            None => {}
            Some(Kind::Directory) if for_folder => {}
            Some(_) => {
                self.copier.target.clear(path);
                self.files.retain(|file, _| !file.starts_with(path));
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: PathBuf,
        entry: Entry,
        capability: Option<&Vec<u8>>,
        content: &mut impl Read,
    ) -> Result<(), CopyError> {
        let place = self.scratch.join(format!("{}", self.count));
        self.count += 1;
        let written = File::create_new(&place).and_then(|mut file| {
            io::copy(content, &mut file)?;
            match capability {
                Some(value) => Ok(rustix::fs::fsetxattr(&file, CAPABILITY, value, XattrFlags::empty())?),
                None => Ok(()),
            }
        });
        written.map_err(|source| self.scratch_failed(source))?;
        // Something must stand there for the entries that follow; the real content comes at the end.
        self.copier.target.put(path.clone(), entry.clone())?;
        self.files.insert(path, (place, entry));
        Ok(())
    }

    fn hard_link(&mut self, path: PathBuf, entry: &TarEntry, target: &Path) -> Result<(), CopyError> {
        let first = resolve(&self.copier.target, &self.folder.join(target))?;
        let Some((place, metadata)) = self.files.get(&first).cloned() else {
            let (archive, target) = (self.archive.clone(), target.display().to_string());
            return Err(ArchiveError::HardLink { archive, entry: entry.path.to_string(), target }.into());
        };
        // A second name of the scratch file, so that the two are one inode for the plan as well.
        let second = self.scratch.join(format!("{}", self.count));
        self.count += 1;
        std::fs::hard_link(&place, &second).map_err(|source| self.scratch_failed(source))?;
        self.copier.target.put(path.clone(), metadata.clone())?;
        self.files.insert(path, (second, metadata));
        Ok(())
    }

    /// Now that all names of all files are there, the kernel's view of them stays.
    fn finish(self) -> Result<(), CopyError> {
        self.copier.copies += 1;
        let copy = self.copier.copies;
        for (path, (place, entry)) in self.files {
            let node = Node::at(place.clone())?.ok_or(TreeError::Changed { place })?;
            let content = Content::File { source: Arc::new(node), copy, capable: true };
            self.copier.target.put(path, Entry { content, ..entry })?;
        }
        Ok(())
    }

    fn tar(&self, source: TarError) -> CopyError {
        ArchiveError::Tar { archive: self.archive.clone(), source }.into()
    }

    fn scratch_failed(&self, source: io::Error) -> CopyError {
        ArchiveError::Scratch { archive: self.archive.clone(), source }.into()
    }
}

fn number(device: minato_oci::layer::Device) -> u64 {
    rustix::fs::makedev(device.major, device.minor)
}
