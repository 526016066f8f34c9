//! The 512-byte blocks of the ustar format (POSIX.1-1988), written.

use super::numbers::write_octal;

pub(super) const BLOCK: usize = 512;

/// Where each field of a header block is.
pub(super) mod field {
    use std::ops::Range;

    pub const NAME: Range<usize> = 0..100;
    pub const MODE: Range<usize> = 100..108;
    pub const UID: Range<usize> = 108..116;
    pub const GID: Range<usize> = 116..124;
    pub const SIZE: Range<usize> = 124..136;
    pub const MTIME: Range<usize> = 136..148;
    pub const CHECKSUM: Range<usize> = 148..156;
    pub const TYPE: usize = 156;
    pub const LINK: Range<usize> = 157..257;
    pub const MAGIC: Range<usize> = 257..263;
    pub const VERSION: Range<usize> = 263..265;
    pub const MAJOR: Range<usize> = 329..337;
    pub const MINOR: Range<usize> = 337..345;
    pub const PREFIX: Range<usize> = 345..500;
}

/// A header block under construction.
pub(super) struct Header([u8; BLOCK]);

impl Header {
    pub(super) fn new(kind: u8) -> Self {
        let mut block = [0; BLOCK];
        block[field::TYPE] = kind;
        block[field::MAGIC].copy_from_slice(b"ustar\0");
        block[field::VERSION].copy_from_slice(b"00");
        for number in
            [field::MODE, field::UID, field::GID, field::SIZE, field::MTIME, field::MAJOR, field::MINOR]
        {
            write_octal(&mut block[number], 0);
        }
        Self(block)
    }

    /// Puts a number in; `false` when octal can't hold it, and the field stays 0.
    pub(super) fn number(&mut self, field: std::ops::Range<usize>, value: u64) -> bool {
        write_octal(&mut self.0[field], value)
    }

    /// Puts a path in, split over name and prefix when it must be; `false` when it is cut.
    pub(super) fn path(&mut self, path: &[u8]) -> bool {
        if path.len() > field::NAME.len()
            && let Some(slash) = split_point(path)
        {
            self.text(field::PREFIX, &path[..slash]);
            return self.text(field::NAME, &path[slash + 1..]);
        }
        self.text(field::NAME, path)
    }

    /// Puts a text in; `false` when it is cut.
    pub(super) fn text(&mut self, field: std::ops::Range<usize>, text: &[u8]) -> bool {
        let length = text.len().min(field.len());
        self.0[field.start..field.start + length].copy_from_slice(&text[..length]);
        length == text.len()
    }

    pub(super) fn finish(mut self) -> [u8; BLOCK] {
        let sum = checksum(&self.0);
        // Six digits, NUL, blank: as every tar has written it since V7.
        write_octal(&mut self.0[field::CHECKSUM.start..field::CHECKSUM.end - 1], u64::from(sum));
        self.0[field::CHECKSUM.end - 1] = b' ';
        self.0
    }
}

/// The sum of all bytes, the checksum's own counted as blanks.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&block[..field::CHECKSUM.start]) + 8 * u32::from(b' ') + sum(&block[field::CHECKSUM.end..])
}

/// The slash at which prefix and name both fit. A folder's closing slash belongs to its name.
fn split_point(path: &[u8]) -> Option<usize> {
    let earliest = path.len() - field::NAME.len() - 1;
    let latest = field::PREFIX.len().min(path.len() - 2);
    (earliest..=latest).find(|at| path[*at] == b'/' && *at > 0)
}

/// Bytes that fill the last block of `size` bytes of content.
pub(super) fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}
