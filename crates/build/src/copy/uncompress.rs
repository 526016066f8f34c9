//! The bytes inside a compressed archive of the context, with an eye on bombs.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

use lzma_rust2::XzReader;
use minato_oci::layer::{Compression, Limits};

use super::archive::ArchiveError;
use crate::tree::{Node, TreeError};

/// What `xz -9` needs, and some more.
const XZ_MEMORY_KIB: u32 = 128 << 10;

/// Why a file can't be uncompressed.
pub(super) enum UncompressError {
    Tree(TreeError),
    Unknown(ArchiveError),
}

impl From<UncompressError> for super::CopyError {
    fn from(error: UncompressError) -> Self {
        match error {
            UncompressError::Tree(error) => error.into(),
            UncompressError::Unknown(error) => error.into(),
        }
    }
}

/// Opens a file, uncompressed where it is gzip, zstd or xz.
pub(super) fn open(node: &Node) -> Result<Box<dyn Read>, UncompressError> {
    let failed = |error| UncompressError::Tree(TreeError::read(&node.place)(error));
    let mut input = File::open(&node.place).map_err(failed)?;
    let mut start = Vec::with_capacity(6);
    (&mut input).take(6).read_to_end(&mut start).map_err(failed)?;
    input.rewind().map_err(failed)?;
    match start.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Box::new(xz(input, node.identity.size))),
        [b'B', b'Z', b'h', ..] => {
            let archive = node.place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(UncompressError::Unknown(ArchiveError::Compression { archive, compression: "bzip2" }))
        }
        _ => Compression::detecting_reader(input, Limits::default()).map_err(failed),
    }
}

fn xz(input: File, size: u64) -> Bounded<impl Read> {
    let limits = Limits::default();
    let left = limits.ratio_from.max(size.saturating_mul(limits.ratio)).min(limits.total_bytes);
    Bounded { input: XzReader::new_mem_limit(BufReader::new(input), true, XZ_MEMORY_KIB), left }
}

/// Ends a stream that grows out of proportion; for gzip and zstd the crate `oci` does.
struct Bounded<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("the archive grows too much; it is refused as a bomb")),
        }
        Ok(count)
    }
}
