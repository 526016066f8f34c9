//! Compressed layers, read with an eye on bombs.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use super::unpack::Limits;
use crate::media_type;

/// How a layer's tar is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), several members one after the other included.
    Gzip,
    /// Zstandard (RFC 8878), several frames included.
    Zstd,
}

/// What the specification of zstd asks of every decoder is 8 MiB; registries have layers of 128 MiB windows.
const ZSTD_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 128 << 10;

impl Compression {
    /// The compression that a layer's media type names; `None` when it is no layer.
    pub fn from_media_type(name: &str) -> Option<Self> {
        match name {
            media_type::LAYER
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Some(Self::None),
            media_type::LAYER_GZIP
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Some(Self::Gzip),
            media_type::LAYER_ZSTD
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The compression that the first bytes show. Docker believes them more than the media type, too.
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The uncompressed bytes of `input`, which end in an error where they outgrow `limits`.
    ///
    /// # Errors
    /// When the decoder can't be made.
    pub fn reader<'a>(self, input: impl Read + 'a, limits: Limits) -> io::Result<Box<dyn Read + 'a>> {
        let read = Rc::new(Cell::new(0));
        let input = BufReader::with_capacity(BUFFER, Counted { input, read: read.clone() });
        let decoder: Box<dyn Read + 'a> = match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Self::Zstd => Box::new(zstd_decoder(input)?),
        };
        Ok(Box::new(Bounded { decoder, read, written: 0, limits }))
    }

    /// As [`Compression::reader`], for an input that shows its compression by its first bytes.
    ///
    /// # Errors
    /// When the first bytes can't be read or the decoder can't be made.
    pub fn detecting_reader<'a>(input: impl Read + 'a, limits: Limits) -> io::Result<Box<dyn Read + 'a>> {
        let mut start = Vec::with_capacity(4);
        let mut input = input;
        (&mut input).take(4).read_to_end(&mut start)?;
        let compression = Self::detect(&start);
        compression.reader(io::Cursor::new(start).chain(input), limits)
    }
}

fn zstd_decoder<'a>(input: impl BufRead + 'a) -> io::Result<impl Read + 'a> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// Counts what the decoder takes.
struct Counted<R> {
    input: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// Ends a stream that grows out of proportion.
struct Bounded<'a> {
    decoder: Box<dyn Read + 'a>,
    read: Rc<Cell<u64>>,
    written: u64,
    limits: Limits,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.written += count as u64;
        match self.limits.check_stream(self.read.get(), self.written) {
            Some(reason) => Err(io::Error::new(io::ErrorKind::InvalidData, reason)),
            None => Ok(count),
        }
    }
}
