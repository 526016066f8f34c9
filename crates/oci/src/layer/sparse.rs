//! Sparse files: GNU tar's old form (type `S`) and its three pax forms. Holes are handed out as zeros.

use std::io::{self, Read};

use super::archive::ArchiveError;
use super::header::{BLOCK, padding};
use super::{numbers, pax};

/// More data regions than any real file has; each costs 16 bytes here and nothing in the archive.
const REGION_LIMIT: usize = 1 << 16;

/// A run of data at `offset` of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Region {
    offset: u64,
    length: u64,
}

/// The regions, the bytes that their map took from the stored content, and the file's length.
pub(super) type Map = (Vec<Region>, u64, u64);

/// What pax records say about a sparse file.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) name: Option<Vec<u8>>,
    major: Option<u64>,
    size: Option<u64>,
    numbers: Option<Vec<u64>>,
}

impl Attributes {
    /// Takes the record `GNU.sparse.KEY`; `false` when it is malformed.
    pub(super) fn take(&mut self, key: &str, value: &[u8]) -> bool {
        match key {
            "name" => {
                self.name = Some(value.to_owned());
                !value.is_empty() && !value.contains(&0)
            }
            "major" => store(&mut self.major, value),
            "size" | "realsize" => store(&mut self.size, value),
            "map" => {
                let parsed: Option<Vec<u64>> = value.split(|byte| *byte == b',').map(pax::digits).collect();
                self.numbers = parsed;
                self.numbers.is_some()
            }
            // The first form has one record for each number.
            "offset" | "numbytes" => match pax::digits(value) {
                Some(number) => {
                    self.numbers.get_or_insert_default().push(number);
                    true
                }
                None => false,
            },
            _ => true,
        }
    }

    pub(super) fn any(&self) -> bool {
        self.major.is_some() || self.size.is_some() || self.numbers.is_some()
    }

    /// The map of a file with `stored` bytes in the archive; `None` when it is a plain file.
    pub(super) fn read(&self, input: &mut impl Read, stored: u64) -> Result<Option<Map>, ArchiveError> {
        if !self.any() {
            return Ok(None);
        }
        let size = self.size.ok_or(ArchiveError::Malformed("its sparse map has no size"))?;
        if self.major == Some(1) {
            let (regions, map_bytes) = read_map(input, stored)?;
            return Ok(Some((regions, map_bytes, size)));
        }
        let numbers = self.numbers.as_deref().unwrap_or_default();
        Ok(Some((pairs(numbers)?, 0, size)))
    }
}

fn store(field: &mut Option<u64>, value: &[u8]) -> bool {
    *field = pax::digits(value);
    field.is_some()
}

fn pairs(numbers: &[u64]) -> Result<Vec<Region>, ArchiveError> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > REGION_LIMIT {
        return Err(ArchiveError::Malformed("its sparse map is malformed"));
    }
    Ok(pairs.iter().map(|[offset, length]| Region { offset: *offset, length: *length }).collect())
}

/// The map at the start of the content: a count, then offsets and lengths, one decimal number a line.
fn read_map(input: &mut impl Read, stored: u64) -> Result<(Vec<Region>, u64), ArchiveError> {
    let mut lines = Lines { input: input.take(stored), read: 0 };
    let count = lines.number()?;
    if count > REGION_LIMIT as u64 {
        return Err(ArchiveError::Malformed("its sparse map has too many regions"));
    }
    let mut regions = Vec::new();
    for _ in 0..count {
        regions.push(Region { offset: lines.number()?, length: lines.number()? });
    }
    let read = lines.read;
    let pad = padding(read);
    lines.input.read_exact(&mut [0; BLOCK][..pad])?;
    Ok((regions, read + pad as u64))
}

struct Lines<R> {
    input: R,
    read: u64,
}

impl<R: Read> Lines<R> {
    fn number(&mut self) -> Result<u64, ArchiveError> {
        let mut digits = Vec::new();
        // One more than the digits of the largest number.
        while digits.len() < 21 {
            let mut byte = [0];
            self.input.read_exact(&mut byte)?;
            self.read += 1;
            match byte {
                [b'\n'] => break,
                [byte] => digits.push(byte),
            }
        }
        pax::digits(&digits).ok_or(ArchiveError::Malformed("its sparse map has a malformed number"))
    }
}

/// The map in an old GNU header and the blocks that follow it.
pub(super) fn read_gnu(header: &[u8; BLOCK], input: &mut impl Read) -> Result<Map, ArchiveError> {
    let size = gnu_number(&header[483..495])?;
    let mut regions = Vec::new();
    gnu_regions(&header[386..482], &mut regions)?;
    let mut extended = header[482] != 0;
    while extended {
        let mut block = [0; BLOCK];
        input.read_exact(&mut block)?;
        gnu_regions(&block[..504], &mut regions)?;
        extended = block[504] != 0;
        if regions.len() > REGION_LIMIT {
            return Err(ArchiveError::Malformed("its sparse map has too many regions"));
        }
    }
    Ok((regions, 0, size))
}

fn gnu_regions(bytes: &[u8], regions: &mut Vec<Region>) -> Result<(), ArchiveError> {
    for pair in bytes.as_chunks::<24>().0.iter().take_while(|pair| pair[0] != 0) {
        regions.push(Region { offset: gnu_number(&pair[..12])?, length: gnu_number(&pair[12..])? });
    }
    Ok(())
}

fn gnu_number(field: &[u8]) -> Result<u64, ArchiveError> {
    let value = numbers::read(field).and_then(|value| u64::try_from(value).ok());
    value.ok_or(ArchiveError::Malformed("its sparse map has a malformed number"))
}

/// What is still to be read of an entry's content.
#[derive(Default)]
pub(super) struct Content {
    /// Data regions that are still to come, the next one last.
    regions: Vec<Region>,
    position: u64,
    size: u64,
    stored_left: u64,
}

impl Content {
    pub(super) fn plain(size: u64) -> Self {
        Self { regions: vec![Region { offset: 0, length: size }], position: 0, size, stored_left: size }
    }

    /// `None` unless the regions are sorted, apart, inside the file and exactly what is stored.
    pub(super) fn sparse(mut regions: Vec<Region>, stored: u64, size: u64) -> Option<Self> {
        let mut end: u64 = 0;
        let mut sum: u64 = 0;
        for region in &regions {
            if region.offset < end {
                return None;
            }
            end = region.offset.checked_add(region.length)?;
            sum += region.length;
        }
        if end > size || sum != stored {
            return None;
        }
        regions.retain(|region| region.length > 0);
        regions.reverse();
        Some(Self { regions, position: 0, size, stored_left: stored })
    }

    pub(super) fn left(&self) -> u64 {
        self.size - self.position
    }

    pub(super) fn stored_left(&self) -> u64 {
        self.stored_left
    }

    pub(super) fn read(&mut self, input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.regions.last().map_or(self.size, |region| region.offset);
        if self.position < next {
            let count = clamp(buffer.len(), next - self.position);
            buffer[..count].fill(0);
            self.position += count as u64;
            return Ok(count);
        }
        let Some(region) = self.regions.last_mut() else { return Ok(0) };
        let wanted = clamp(buffer.len(), region.length);
        let count = input.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends inside a file"));
        }
        region.offset += count as u64;
        region.length -= count as u64;
        self.position += count as u64;
        self.stored_left -= count as u64;
        if region.length == 0 {
            self.regions.pop();
        }
        Ok(count)
    }
}

fn clamp(length: usize, left: u64) -> usize {
    usize::try_from(left).map_or(length, |left| left.min(length))
}
