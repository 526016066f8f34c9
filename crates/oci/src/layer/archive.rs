//! Reads a tar archive that nobody vouches for: V7, ustar, pax, GNU, with limits on everything.
//!
//! Where the formats leave room it decides as Go's `archive/tar` does, because Docker reads with it and two readers
//! that disagree are an attack. Paths that could leave the tree are errors here already.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use super::entry::{Device, Entry, Kind, Timestamp, TreePath, TreePathError};
use super::extensions::Extensions;
use super::header::{BLOCK, checksum, field, padding};
use super::numbers;
use super::sparse::{self, Content, Region};
use super::unpack::Limits;

/// Go's limit for the headers that describe other headers.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// Deeper than any tree that people make, and shallow enough to be removed with the descriptors that a process has.
const DEPTH_LIMIT: usize = 256;

/// The entries of an archive, one after the other. Reading it reads the current entry's content.
pub struct Archive<R> {
    input: R,
    limits: Limits,
    entries: u64,
    total: u64,
    content: Content,
    padding: usize,
    ended: bool,
}

/// Why an archive can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The input said no, or ended early.
    #[error("archive can't be read: {0}")]
    Io(#[from] io::Error),
    /// A header that is none.
    #[error("archive is malformed: {0}")]
    Malformed(&'static str),
    /// An entry has something that it must not have.
    #[error("archive entry {name:?} {reason}")]
    Entry {
        /// Its name, as far as it can be shown.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A limit was reached.
    #[error("archive has {what} than {limit}; it is refused")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
}

impl<R: Read> Archive<R> {
    /// Starts reading.
    pub fn new(input: R, limits: Limits) -> Self {
        Self { input, limits, entries: 0, total: 0, content: Content::default(), padding: 0, ended: false }
    }

    /// The next entry, or `None` at the end. What is left of the current one's content is skipped.
    ///
    /// # Errors
    /// When the archive is malformed, over a limit, or an entry's path could leave the tree.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        self.skip_content()?;
        let mut extensions = Extensions::default();
        while let Some(block) = self.next_header()? {
            let flag = block[field::TYPE];
            match flag {
                b'x' | b'X' => {
                    let records = self.read_extension(&block)?;
                    extensions.take_pax(&records)?;
                }
                // Defaults for all entries; Docker ignores them too.
                b'g' => drop(self.read_extension(&block)?),
                b'L' => extensions.path = Some(without_nul(self.read_extension(&block)?)),
                b'K' => extensions.link = Some(without_nul(self.read_extension(&block)?)),
                _ => return self.entry(&block, extensions).map(Some),
            }
            self.count_entry()?;
        }
        Ok(None)
    }

    /// Reads what follows the last entry, so that a digest of the input covers all of it.
    ///
    /// # Errors
    /// When the input can't be read or goes on beyond the limit.
    pub fn drain(mut self) -> Result<(), ArchiveError> {
        let mut rest = (&mut self.input).take(self.limits.total_bytes);
        io::copy(&mut rest, &mut io::sink())?;
        if rest.limit() == 0 {
            return Err(too_much("more bytes", self.limits.total_bytes));
        }
        Ok(())
    }

    /// The next header block, or `None` at the end of the archive.
    fn next_header(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        let Some(block) = self.read_block()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return match self.read_block()? {
                Some(second) if second.iter().any(|byte| *byte != 0) => {
                    Err(ArchiveError::Malformed("a block follows a single empty block"))
                }
                _ => Ok(None),
            };
        }
        check_sum(&block)?;
        Ok(Some(block))
    }

    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(0) => return Err(ArchiveError::Malformed("it ends inside a block")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(block))
    }

    fn read_extension(&mut self, block: &[u8; BLOCK]) -> Result<Vec<u8>, ArchiveError> {
        let size = number(block, field::SIZE)?;
        if size > EXTENSION_LIMIT {
            return Err(too_much("an extended header of more bytes", EXTENSION_LIMIT));
        }
        let mut bytes = vec![0; size as usize + padding(size)];
        self.input.read_exact(&mut bytes)?;
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    fn count_entry(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        match self.entries > self.limits.entries {
            true => Err(too_much("more entries", self.limits.entries)),
            false => Ok(()),
        }
    }

    fn entry(&mut self, block: &[u8; BLOCK], mut extensions: Extensions) -> Result<Entry, ArchiveError> {
        self.count_entry()?;
        let written = extensions.path.take().unwrap_or_else(|| header_path(block));
        let is_folder = written.ends_with(b"/");
        let name = extensions.sparse.name.take().unwrap_or(written);
        let refused = |reason: String| {
            let name = String::from_utf8_lossy(&name[..name.len().min(256)]).into_owned();
            ArchiveError::Entry { name, reason }
        };
        let named = |error| match error {
            ArchiveError::Malformed(reason) => refused(format!("is malformed: {reason}")),
            ArchiveError::Entry { reason, .. } => refused(reason),
            other => other,
        };
        let path = self.path(&name).map_err(refused)?;
        let kind = self.kind(block, &mut extensions, is_folder).map_err(named)?;
        Ok(Entry {
            path,
            kind,
            mode: (number(block, field::MODE)? & 0o7777) as u32,
            uid: owner_id(extensions.uid, block, field::UID).map_err(named)?,
            gid: owner_id(extensions.gid, block, field::GID).map_err(named)?,
            modified: match extensions.modified {
                Some(time) => time,
                None => header_time(block)?,
            },
            xattrs: extensions.xattrs,
        })
    }

    fn path(&self, name: &[u8]) -> Result<TreePath, String> {
        if name.len() > self.limits.path_bytes {
            return Err(format!("has a path longer than {} bytes", self.limits.path_bytes));
        }
        let path = tree_path(name).map_err(|error| error.to_string())?;
        match path.as_path().iter().count() > DEPTH_LIMIT {
            true => Err(format!("lies more than {DEPTH_LIMIT} folders deep")),
            false => Ok(path),
        }
    }

    fn kind(
        &mut self,
        block: &[u8; BLOCK],
        extensions: &mut Extensions,
        is_folder: bool,
    ) -> Result<Kind, ArchiveError> {
        let link = extensions.link.take().unwrap_or_else(|| text(block, field::LINK).to_owned());
        match type_flag(block, is_folder, &extensions.sparse) {
            b'0' | b'7' | b'S' => {
                let stored = extensions.size.map_or_else(|| number(block, field::SIZE), Ok)?;
                let size = self.start_content(stored, block, &extensions.sparse)?;
                Ok(Kind::File { size })
            }
            b'1' => Ok(Kind::HardLink { target: self.link_target(&link).map_err(unnamed)? }),
            b'2' => Ok(Kind::Symlink { target: self.symlink_target(&link).map_err(unnamed)? }),
            b'3' => Ok(Kind::Character(device(block)?)),
            b'4' => Ok(Kind::Block(device(block)?)),
            b'5' => Ok(Kind::Directory),
            b'6' => Ok(Kind::Fifo),
            other => Err(unnamed(format!("has the unknown type {:?}", char::from(other)))),
        }
    }

    fn link_target(&self, link: &[u8]) -> Result<TreePath, String> {
        if link.len() > self.limits.path_bytes {
            return Err(format!("has a link target longer than {} bytes", self.limits.path_bytes));
        }
        tree_path(link).map_err(|error| format!("is a hard link whose target {error}"))
    }

    fn symlink_target(&self, link: &[u8]) -> Result<std::path::PathBuf, String> {
        if link.len() > self.limits.path_bytes {
            return Err(format!("has a link target longer than {} bytes", self.limits.path_bytes));
        }
        if link.is_empty() || link.contains(&0) {
            return Err("is a symbolic link without a valid target".to_owned());
        }
        Ok(OsStr::from_bytes(link).into())
    }

    /// Gets ready to hand out a file's content, of which `stored` bytes are in the archive, and tells its length.
    fn start_content(
        &mut self,
        stored: u64,
        block: &[u8; BLOCK],
        attributes: &sparse::Attributes,
    ) -> Result<u64, ArchiveError> {
        self.padding = padding(stored);
        let regions = if block[field::TYPE] == b'S' {
            Some(sparse::read_gnu(block, &mut self.input)?)
        } else {
            attributes.read(&mut self.input, stored)?
        };
        self.content = match regions {
            None => Content::plain(stored),
            Some((regions, map_bytes, size)) => sparse_content(regions, stored, map_bytes, size)?,
        };
        let size = self.content.left();
        if size > self.limits.entry_bytes {
            return Err(too_much("an entry of more bytes", self.limits.entry_bytes));
        }
        self.total = self.total.saturating_add(size);
        if self.total > self.limits.total_bytes {
            return Err(too_much("more bytes", self.limits.total_bytes));
        }
        Ok(size)
    }

    fn skip_content(&mut self) -> Result<(), ArchiveError> {
        let stored = std::mem::take(&mut self.content).stored_left();
        let left = stored + std::mem::take(&mut self.padding) as u64;
        let skipped = io::copy(&mut (&mut self.input).take(left), &mut io::sink())?;
        // The last file's padding is missing in some archives; its content must be there.
        match skipped < stored {
            true => Err(ArchiveError::Malformed("it ends inside a file")),
            false => Ok(()),
        }
    }
}

fn sparse_content(
    regions: Vec<Region>,
    stored: u64,
    map_bytes: u64,
    size: u64,
) -> Result<Content, ArchiveError> {
    let stored = stored.checked_sub(map_bytes).ok_or(ArchiveError::Malformed("its sparse map is cut"))?;
    Content::sparse(regions, stored, size).ok_or(ArchiveError::Malformed("its sparse map is inconsistent"))
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.read(&mut self.input, buffer)
    }
}

/// V7 had no type for folders but a closing slash; a pax sparse file has the type of a plain one.
fn type_flag(block: &[u8; BLOCK], is_folder: bool, attributes: &sparse::Attributes) -> u8 {
    match block[field::TYPE] {
        0 | b'0' if is_folder && !attributes.any() => b'5',
        0 => b'0',
        other => other,
    }
}

fn check_sum(block: &[u8; BLOCK]) -> Result<(), ArchiveError> {
    let written = numbers::read(&block[field::CHECKSUM]);
    // Some old tars added the bytes as signed numbers.
    let signed = |bytes: &[u8]| bytes.iter().map(|byte| i128::from(byte.cast_signed())).sum::<i128>();
    let (before, after) = (&block[..field::CHECKSUM.start], &block[field::CHECKSUM.end..]);
    let sums = [i128::from(checksum(block)), signed(before) + signed(after) + 8 * i128::from(b' ')];
    match written.is_some_and(|written| sums.contains(&written)) {
        true => Ok(()),
        false => Err(ArchiveError::Malformed("a header's checksum is wrong")),
    }
}

fn number(block: &[u8; BLOCK], field: std::ops::Range<usize>) -> Result<u64, ArchiveError> {
    let value = numbers::read(&block[field]).and_then(|value| u64::try_from(value).ok());
    value.ok_or(ArchiveError::Malformed("a header has a malformed number"))
}

fn header_time(block: &[u8; BLOCK]) -> Result<Timestamp, ArchiveError> {
    let seconds = numbers::read(&block[field::MTIME]).and_then(|value| i64::try_from(value).ok());
    match seconds {
        Some(seconds) => Ok(Timestamp { seconds, nanoseconds: 0 }),
        None => Err(ArchiveError::Malformed("a header has a malformed time")),
    }
}

fn header_path(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(block, field::NAME);
    // Old GNU headers keep other things where ustar has the prefix.
    let is_ustar = block[field::MAGIC] == *b"ustar\0";
    match if is_ustar { text(block, field::PREFIX) } else { b"" } {
        b"" => name.to_owned(),
        prefix => [prefix, b"/", name].concat(),
    }
}

fn text(block: &[u8; BLOCK], field: std::ops::Range<usize>) -> &[u8] {
    let field = &block[field];
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn tree_path(path: &[u8]) -> Result<TreePath, TreePathError> {
    TreePath::new(OsStr::from_bytes(path))
}

fn device(block: &[u8; BLOCK]) -> Result<Device, ArchiveError> {
    let part = |field| {
        u32::try_from(number(block, field)?)
            .map_err(|_| ArchiveError::Malformed("a device number is too big"))
    };
    Ok(Device { major: part(field::MAJOR)?, minor: part(field::MINOR)? })
}

/// A user or group by number. The last number means "leave it" to chown: a file that asks for it would keep the
/// unpacker's owner.
fn owner_id(
    given: Option<u64>,
    block: &[u8; BLOCK],
    field: std::ops::Range<usize>,
) -> Result<u32, ArchiveError> {
    let number = given.map_or_else(|| number(block, field), Ok)?;
    let id = u32::try_from(number).ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| unnamed(format!("has the owner {number}, which is no user or group")))
}

/// An error about an entry whose name the caller knows.
fn unnamed(reason: String) -> ArchiveError {
    ArchiveError::Entry { name: String::new(), reason }
}

fn too_much(what: &'static str, limit: u64) -> ArchiveError {
    ArchiveError::Limit { what, limit }
}
