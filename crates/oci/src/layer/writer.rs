//! The deterministic tar writer: the same entries give the same bytes, everywhere and always.
//!
//! ustar blocks, with a pax header in front only when a value does not fit: a long path, a big number, a time with
//! nanoseconds, an extended attribute. Nothing of this machine gets in: no user names, no device, no inode.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use super::entry::{Entry, Kind, Timestamp, TreePath};
use super::header::{BLOCK, Header, field, padding};
use super::pax;

const BUFFER: usize = 256 << 10;
pub(super) const WHITEOUT_PREFIX: &[u8] = b".wh.";
pub(super) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// Writes a layer's tar entry by entry, in the order of [`TreePath`].
#[derive(Debug)]
pub struct TarWriter<W: Write> {
    out: W,
    last: Option<(TreePath, bool)>,
    buffer: Vec<u8>,
}

/// Why an entry can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output said no, or the content can't be read.
    #[error("{path}: {source}")]
    Io {
        /// The entry.
        path: TreePath,
        /// The system's answer.
        source: io::Error,
    },
    /// An order of its own would make a second digest for the same tree.
    #[error("{path}: comes after {last}; entries must be sorted by path")]
    Order {
        /// The entry.
        path: TreePath,
        /// The entry before it.
        last: TreePath,
    },
    /// The content has another length than the entry says.
    #[error("{path}: has not the {expected} bytes that it had; it was changed while it was read")]
    Length {
        /// The entry.
        path: TreePath,
        /// Length by the entry.
        expected: u64,
    },
    /// The format can't say it.
    #[error("{path}: {reason}")]
    Unsupported {
        /// The entry.
        path: TreePath,
        /// What the format can't say.
        reason: &'static str,
    },
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self { out, last: None, buffer: Vec::new() }
    }

    /// Writes an entry; `content` is read for files only and has exactly the entry's size.
    ///
    /// # Errors
    /// When the entry is out of order, is named like a whiteout and is none, or the content has another length.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), WriteError> {
        let failed = |source| WriteError::Io { path: entry.path.clone(), source };
        self.start(entry)?;
        if let Kind::File { size } = entry.kind {
            self.copy(entry, content, size)?;
            self.out.write_all(&[0; BLOCK][..padding(size)]).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes a file whose content is written rather than read; `fill` writes exactly the entry's size.
    ///
    /// # Errors
    /// As [`TarWriter::append`], and when `fill` fails.
    pub fn append_written<E: From<WriteError>>(
        &mut self,
        entry: &Entry,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |source| WriteError::Io { path: entry.path.clone(), source };
        self.start(entry)?;
        let mut counted = Counted { out: &mut self.out, written: 0 };
        fill(&mut counted)?;
        if counted.written != entry.size() {
            return Err(WriteError::Length { path: entry.path.clone(), expected: entry.size() }.into());
        }
        self.out.write_all(&[0; BLOCK][..padding(entry.size())]).map_err(failed)?;
        Ok(())
    }

    /// Ends the archive and gives the output back.
    ///
    /// # Errors
    /// When the output says no.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Writes what stands before an entry's content.
    fn start(&mut self, entry: &Entry) -> Result<(), WriteError> {
        self.check(entry)?;
        let failed = |source| WriteError::Io { path: entry.path.clone(), source };
        let (header, records) = encode(entry)?;
        if !records.is_empty() {
            self.write_pax(&records).map_err(failed)?;
        }
        self.out.write_all(&header).map_err(failed)?;
        self.last = Some((entry.path.clone(), entry.kind == Kind::Opaque));
        Ok(())
    }

    fn check(&self, entry: &Entry) -> Result<(), WriteError> {
        let unsupported = |reason| Err(WriteError::Unsupported { path: entry.path.clone(), reason });
        // A folder's opaque mark follows the folder and precedes its content.
        let place = (&entry.path, entry.kind == Kind::Opaque);
        if let Some((last, opaque)) = &self.last
            && place <= (last, *opaque)
        {
            return Err(WriteError::Order { path: entry.path.clone(), last: last.clone() });
        }
        let name = entry.path.name();
        if name.is_none() && entry.kind != Kind::Opaque {
            return unsupported("a layer has no entry for its root");
        }
        if name.is_some_and(|name| name.as_bytes().starts_with(WHITEOUT_PREFIX)) {
            return unsupported("names that start with \".wh.\" mean removed files in a layer; rename it");
        }
        Ok(())
    }

    fn write_pax(&mut self, records: &[u8]) -> io::Result<()> {
        let mut header = Header::new(b'x');
        header.path(b"././@PaxHeader");
        header.number(field::SIZE, records.len() as u64);
        self.out.write_all(&header.finish())?;
        self.out.write_all(records)?;
        self.out.write_all(&[0; BLOCK][..padding(records.len() as u64)])
    }

    fn copy(&mut self, entry: &Entry, content: &mut dyn Read, size: u64) -> Result<(), WriteError> {
        let failed = |source| WriteError::Io { path: entry.path.clone(), source };
        self.buffer.resize(BUFFER, 0);
        // One byte more than promised is asked for, to notice a file that grows.
        let mut left = size;
        loop {
            let wanted = usize::try_from(left).map_or(BUFFER, |left| left.saturating_add(1).min(BUFFER));
            let count = match content.read(&mut self.buffer[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(failed)?,
            };
            if count as u64 > left || (count == 0 && left > 0) {
                return Err(WriteError::Length { path: entry.path.clone(), expected: size });
            }
            if count == 0 {
                return Ok(());
            }
            self.out.write_all(&self.buffer[..count]).map_err(failed)?;
            left -= count as u64;
        }
    }
}

/// Counts what is written.
struct Counted<'a, W> {
    out: &'a mut W,
    written: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The header block, and the pax records for what it can't hold.
fn encode(entry: &Entry) -> Result<([u8; BLOCK], Vec<u8>), WriteError> {
    let entry = &canonical(entry);
    let unsupported = |reason| WriteError::Unsupported { path: entry.path.clone(), reason };
    let mut records = pax::Records::default();
    let mut header = Header::new(type_flag(&entry.kind));
    let path = archive_path(entry);
    if !header.path(&path) {
        records.put("path", &path);
    }
    if let Some(link) = link_target(&entry.kind)
        && !header.text(field::LINK, link)
    {
        records.put("linkpath", link);
    }
    header.number(field::MODE, u64::from(entry.mode & 0o7777));
    for (name, field, value) in [
        ("uid", field::UID, entry.uid.into()),
        ("gid", field::GID, entry.gid.into()),
        ("size", field::SIZE, entry.size()),
    ] {
        if !header.number(field, value) {
            records.put(name, value.to_string().as_bytes());
        }
    }
    if !put_time(&mut header, entry.modified) {
        records.put("mtime", pax::decimal(entry.modified).as_bytes());
    }
    if let Kind::Character(device) | Kind::Block(device) = entry.kind {
        let fits = header.number(field::MAJOR, device.major.into())
            && header.number(field::MINOR, device.minor.into());
        fits.then_some(()).ok_or_else(|| unsupported("the device number is too big for a tar archive"))?;
    }
    for (name, value) in &entry.xattrs {
        if name.contains('=') {
            return Err(unsupported("an extended attribute with \"=\" in its name can't be archived"));
        }
        records.put(&format!("{}{name}", pax::XATTR_PREFIX), value);
    }
    Ok((header.finish(), records.finish()))
}

/// Without what the kind has no use for, so that two ways to fill an entry give one archive.
fn canonical(entry: &Entry) -> Cow<'_, Entry> {
    match entry.kind {
        Kind::Whiteout | Kind::Opaque => Cow::Owned(Entry::new(entry.path.clone(), entry.kind.clone(), 0)),
        Kind::Symlink { .. } if entry.mode != 0o777 => Cow::Owned(Entry { mode: 0o777, ..entry.clone() }),
        _ => Cow::Borrowed(entry),
    }
}

fn type_flag(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } | Kind::Whiteout | Kind::Opaque => b'0',
        Kind::HardLink { .. } => b'1',
        Kind::Symlink { .. } => b'2',
        Kind::Character(_) => b'3',
        Kind::Block(_) => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

fn archive_path(entry: &Entry) -> Vec<u8> {
    let path = entry.path.as_bytes();
    match (&entry.kind, entry.path.parent(), entry.path.name()) {
        (Kind::Directory, ..) => [path, b"/"].concat(),
        (Kind::Opaque, ..) => in_folder(&entry.path, OPAQUE_NAME),
        (Kind::Whiteout, Some(parent), Some(name)) => {
            in_folder(&parent, &[WHITEOUT_PREFIX, name.as_bytes()].concat())
        }
        _ => path.to_owned(),
    }
}

fn in_folder(folder: &TreePath, name: &[u8]) -> Vec<u8> {
    if folder.is_root() { name.to_owned() } else { [folder.as_bytes(), b"/", name].concat() }
}

fn link_target(kind: &Kind) -> Option<&[u8]> {
    match kind {
        Kind::Symlink { target } => Some(target.as_os_str().as_bytes()),
        Kind::HardLink { target } => Some(target.as_bytes()),
        _ => None,
    }
}

fn put_time(header: &mut Header, time: Timestamp) -> bool {
    match u64::try_from(time.seconds) {
        Ok(seconds) => header.number(field::MTIME, seconds) && time.nanoseconds == 0,
        Err(_) => false,
    }
}
