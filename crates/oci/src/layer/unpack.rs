//! An archive from outside, unpacked into a tree.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::archive::{Archive, ArchiveError};
use super::entry::{Entry, Kind, TreePath};
use super::tree::{TreeError, TreeWriter};
use super::writer::{OPAQUE_NAME, WHITEOUT_PREFIX};

/// How much an archive may make. The defaults are above every image that people publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries, headers that describe other headers included.
    pub entries: u64,
    /// Bytes of one file.
    pub entry_bytes: u64,
    /// Bytes of all files, and of the archive when it is uncompressed.
    pub total_bytes: u64,
    /// Bytes of one path.
    pub path_bytes: usize,
    /// How many times larger than the compressed archive the uncompressed one may be…
    pub ratio: u64,
    /// …once it has more bytes than this.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            entry_bytes: 32 << 30,
            total_bytes: 64 << 30,
            path_bytes: 3 << 10,
            ratio: 200,
            ratio_from: 1 << 30,
        }
    }
}

impl Limits {
    /// Why a stream that made `written` bytes of `read` compressed ones must end.
    pub(super) fn check_stream(&self, read: u64, written: u64) -> Option<String> {
        if written > self.total_bytes {
            return Some(format!(
                "uncompressed archive is longer than {} bytes; it is refused",
                self.total_bytes
            ));
        }
        if written > self.ratio_from && written / self.ratio > read {
            return Some(format!("archive grows more than {} times; it is refused as a bomb", self.ratio));
        }
        None
    }
}

/// How to unpack.
#[derive(Clone, Debug, Default)]
pub struct UnpackOptions {
    /// How much may be made.
    pub limits: Limits,
    /// Whether names like `.wh.NAME` mean removed files, as in a layer, or are just names, as in other archives.
    pub whiteouts: bool,
    /// The folder of the tree to unpack into.
    pub inside: TreePath,
    /// The owner and group that every entry gets in place of its own.
    pub owner: Option<(u32, u32)>,
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive is at fault.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry leads out of the tree, or the file system refused.
    #[error("archive entry {0}")]
    Tree(#[from] TreeError),
}

/// Unpacks an uncompressed archive into the folder `tree`, reading `archive` to its end.
///
/// # Errors
/// At the first entry that is refused. What was unpacked before it stays: the caller throws the folder away.
pub fn unpack(archive: impl Read, tree: &Path, options: &UnpackOptions) -> Result<Unpacked, UnpackError> {
    let mut archive = Archive::new(archive, options.limits);
    let mut tree = TreeWriter::open(tree)?;
    let mut unpacked = Unpacked::default();
    while let Some(entry) = archive.next_entry()? {
        fail::fail_point!("oci.layer.unpacking");
        let Some(entry) = meant(entry, options)? else { continue };
        unpacked.entries += 1;
        unpacked.bytes += entry.size();
        tree.add(&entry, &mut archive)?;
    }
    archive.drain()?;
    tree.finish()?;
    Ok(unpacked)
}

/// What an archive's entry means in the tree; `None` when it means nothing.
fn meant(mut entry: Entry, options: &UnpackOptions) -> Result<Option<Entry>, ArchiveError> {
    if options.whiteouts
        && let Some(name) = entry.path.name().map(OsStrExt::as_bytes)
        && let Some(removed) = name.strip_prefix(WHITEOUT_PREFIX)
    {
        let refused =
            || ArchiveError::Entry { name: entry.path.to_string(), reason: "is a malformed whiteout".into() };
        let parent = entry.path.parent().ok_or_else(refused)?;
        let (path, kind) = match removed {
            _ if name == OPAQUE_NAME => (parent, Kind::Opaque),
            // Notes that AUFS kept for itself.
            _ if removed.starts_with(WHITEOUT_PREFIX) => return Ok(None),
            b"" => return Err(refused()),
            _ => {
                let path = parent.join(std::ffi::OsStr::from_bytes(removed)).map_err(|_| refused())?;
                if path == parent {
                    return Err(refused());
                }
                (path, Kind::Whiteout)
            }
        };
        entry = Entry::new(path, kind, 0);
    }
    if !options.inside.is_root() {
        entry = moved(entry, &options.inside)?;
    }
    (entry.uid, entry.gid) = options.owner.unwrap_or((entry.uid, entry.gid));
    Ok(Some(entry))
}

fn moved(mut entry: Entry, inside: &TreePath) -> Result<Entry, ArchiveError> {
    let join = |path: &TreePath| {
        inside
            .join(path.as_path())
            .map_err(|error| ArchiveError::Entry { name: path.to_string(), reason: error.to_string() })
    };
    if let Kind::HardLink { target } = &entry.kind {
        entry.kind = Kind::HardLink { target: join(target)? };
    }
    entry.path = join(&entry.path)?;
    Ok(entry)
}
