//! Compressing a layer's tar: in blocks, on several processors, to the same bytes on every machine.
//!
//! Each block is a gzip member or a zstd frame of its own, which every decoder reads one after the other. How many
//! threads there are decides when a block is done, never what is in it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::Compression;

/// Large enough that a block's own start costs little, small enough for many of them in memory.
const GZIP_BLOCK: usize = 1 << 20;
const ZSTD_BLOCK: usize = 2 << 20;
/// More threads than this wait for the tar.
const MOST_THREADS: usize = 8;

/// How layers are compressed: the method and its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoding {
    compression: Compression,
    level: u32,
}

/// A level that the method does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("compression level {level} is not one of {method}, which has {levels}")]
pub struct LevelError {
    level: u32,
    method: &'static str,
    levels: &'static str,
}

impl Default for Encoding {
    /// gzip, which every registry and every engine reads.
    fn default() -> Self {
        Self { compression: Compression::Gzip, level: 6 }
    }
}

impl Encoding {
    /// This method at `level`, or at its usual one: 6 for gzip (0 to 9), 3 for zstd (1 to 22).
    ///
    /// # Errors
    /// When the method has no such level.
    pub fn new(compression: Compression, level: Option<u32>) -> Result<Self, LevelError> {
        let (method, usual, allowed, levels) = match compression {
            Compression::None => ("none", 0, 0..=0, "none"),
            Compression::Gzip => ("gzip", 6, 0..=9, "0 to 9"),
            Compression::Zstd => ("zstd", 3, 1..=22, "1 to 22"),
        };
        match level.unwrap_or(usual) {
            level if allowed.contains(&level) => Ok(Self { compression, level }),
            level => Err(LevelError { level, method, levels }),
        }
    }

    /// The method.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// A name that differs wherever the bytes may.
    pub(crate) fn name(&self) -> String {
        match self.compression {
            Compression::None => "none".to_owned(),
            Compression::Gzip => format!("gzip-{}", self.level),
            Compression::Zstd => format!("zstd-{}", self.level),
        }
    }

    fn block(&self) -> usize {
        if self.compression == Compression::Zstd { ZSTD_BLOCK } else { GZIP_BLOCK }
    }

    fn encode(&self, block: &[u8]) -> io::Result<Vec<u8>> {
        match self.compression {
            Compression::None => Ok(block.to_vec()),
            Compression::Gzip => {
                let out = Vec::with_capacity(block.len() / 2);
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(self.level));
                encoder.write_all(block)?;
                encoder.finish()
            }
            Compression::Zstd => {
                let level = i32::try_from(self.level).expect("levels end at 22");
                let mut encoder = zstd::bulk::Compressor::new(level)?;
                encoder.include_checksum(true)?;
                encoder.compress(block)
            }
        }
    }
}

struct Job {
    block: Vec<u8>,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// Compresses what is written to it, on threads of its own, into `out`. Holds a few blocks in memory.
pub struct EncodingWriter<W: Write> {
    encoding: Encoding,
    out: W,
    block: Vec<u8>,
    blocks: u64,
    jobs: Sender<Job>,
    /// Blocks that are being compressed, oldest first.
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    most_pending: usize,
}

impl<W: Write> EncodingWriter<W> {
    /// Starts a thread for each processor; they end when the writer does.
    pub fn new(encoding: Encoding, out: W) -> Self {
        let processors = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Self::with_threads(encoding, processors, out)
    }

    /// As [`EncodingWriter::new`], with at most so many threads. The bytes are the same with any number.
    pub fn with_threads(encoding: Encoding, threads: NonZero<usize>, out: W) -> Self {
        let threads = threads.get().min(MOST_THREADS);
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = queue.clone();
            thread::spawn(move || work(encoding, &queue));
        }
        let block = Vec::with_capacity(encoding.block());
        Self { encoding, out, block, blocks: 0, jobs, pending: VecDeque::new(), most_pending: threads + 1 }
    }

    /// Compresses and writes what is left.
    ///
    /// # Errors
    /// When `out` can't be written.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || self.blocks == 0 {
            self.send_block()?;
        }
        while !self.pending.is_empty() {
            self.write_oldest()?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn send_block(&mut self) -> io::Result<()> {
        let next = Vec::with_capacity(self.encoding.block());
        let block = std::mem::replace(&mut self.block, next);
        let (done, result) = sync_channel(1);
        self.jobs.send(Job { block, done }).map_err(|_| gone())?;
        self.blocks += 1;
        self.pending.push_back(result);
        if self.pending.len() > self.most_pending { self.write_oldest() } else { Ok(()) }
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.pending.pop_front() else { return Ok(()) };
        let compressed = oldest.recv().map_err(|_| gone())??;
        self.out.write_all(&compressed)
    }
}

impl<W: Write> Write for EncodingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.encoding.block() - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == self.encoding.block() {
            self.send_block()?;
        }
        Ok(taken)
    }

    /// Nothing: a block ends where it is full, whenever that is.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn work(encoding: Encoding, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, done }) = job else { return };
        // Whoever asked may be gone by now.
        let _ = done.send(encoding.encode(&block));
    }
}

fn gone() -> io::Error {
    io::Error::other("a compressing thread ended")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;
    use crate::layer::Limits;

    fn encoded(encoding: Encoding, content: &[u8], piece: usize, threads: usize) -> Vec<u8> {
        let threads = NonZero::new(threads).unwrap();
        let mut writer = EncodingWriter::with_threads(encoding, threads, Vec::new());
        content.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish().unwrap()
    }

    fn decoded(bytes: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        let mut reader = Compression::detecting_reader(bytes, Limits::default()).unwrap();
        reader.read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn bytes_come_back_and_depend_on_content_and_level_alone() {
        let mut content: Vec<u8> = (0..5_000_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        content.truncate(3 * ZSTD_BLOCK + 17);
        for (compression, level) in [
            (Compression::Gzip, None),
            (Compression::Gzip, Some(1)),
            (Compression::Zstd, None),
            (Compression::Zstd, Some(9)),
        ] {
            let encoding = Encoding::new(compression, level).unwrap();
            let whole = encoded(encoding, &content, content.len(), 1);
            for threads in [1, 2, 3, 8] {
                let same = whole == encoded(encoding, &content, 70_001, threads);
                assert!(same, "{encoding:?} on {threads} threads");
            }
            assert_eq!(Compression::detect(&whole), compression);
            assert!(decoded(&whole) == content, "{encoding:?}");
            assert!(whole.len() < content.len() / 2, "{encoding:?}: {}", whole.len());
        }
    }

    #[test]
    fn levels_that_a_method_lacks_are_refused() {
        for (compression, level) in [(Compression::Gzip, 10), (Compression::Zstd, 0), (Compression::Zstd, 23)]
        {
            Encoding::new(compression, Some(level)).unwrap_err();
        }
        let error = Encoding::new(Compression::None, Some(3)).unwrap_err();
        assert_eq!(error.to_string(), "compression level 3 is not one of none, which has none");
    }

    proptest! {
        #[test]
        fn any_content_comes_back(content in prop::collection::vec(any::<u8>(), 0..4000), piece in 1_usize..999) {
            for compression in [Compression::Gzip, Compression::Zstd] {
                let bytes = encoded(Encoding::new(compression, None).unwrap(), &content, piece, 2);
                prop_assert_eq!(&decoded(&bytes), &content);
            }
        }
    }
}
