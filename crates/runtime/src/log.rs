//! The container's output on disk, in the container runtime interface's form: one line is
//! `RFC 3339 time, blank, stdout|stderr, blank, F (full) or P (to be continued), blank, text`.
//!
//! A file is put aside at a size; only so many are kept. A line of any length takes bounded memory: it is written in
//! parts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::spec::LogOptions;

/// The current file's name; older ones have `.1`, `.2` … behind it.
pub const LOG_FILE: &str = "output.log";
/// Longest part of a line in bytes.
const PART_LIMIT: usize = 16 << 10;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line of a log file, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// RFC 3339, UTC, as written.
    pub time: &'a str,
    /// Where it came from.
    pub stream: Stream,
    /// The line goes on in the stream's next entry.
    pub partial: bool,
    /// Without the line's end.
    pub text: &'a str,
}

impl<'a> LogLine<'a> {
    /// Reads one line of a log file; `None` for anything else (a file cut off by a crash).
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.strip_suffix('\n').unwrap_or(line).splitn(4, ' ');
        let time = fields.next()?;
        let stream = match fields.next()? {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = match fields.next()? {
            "F" => false,
            "P" => true,
            _ => return None,
        };
        Some(Self { time, stream, partial, text: fields.next()? })
    }
}

/// Takes raw output and writes lines.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
    size: u64,
    max_bytes: u64,
    files: u32,
    pending: [Vec<u8>; 2],
}

impl LogWriter {
    /// Appends to the current file in `folder`.
    pub(crate) fn open(folder: &Path, options: &LogOptions) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(LOG_FILE);
        let file = append(&path)?;
        let size = file.metadata()?.len();
        let max_bytes = options.max_bytes.max(PART_LIMIT as u64);
        Ok(Self {
            path,
            file,
            size,
            max_bytes,
            files: options.files.max(1),
            pending: [Vec::new(), Vec::new()],
        })
    }

    /// Writes the lines that `bytes` completes and keeps the rest for later.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut pending = std::mem::take(self.pending_mut(stream));
        let time = Timestamp::now().to_string();
        let mut out = Vec::with_capacity(bytes.len() + 64);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            pending.extend(piece);
            if pending.last() == Some(&b'\n') {
                pending.pop();
                entry(&mut out, &time, stream, &pending);
                pending.clear();
            }
        }
        let mut rest: &[u8] = &pending;
        while rest.len() > PART_LIMIT {
            let (part, after) = rest.split_at(PART_LIMIT);
            part_entry(&mut out, &time, stream, "P", part);
            rest = after;
        }
        let rest = rest.to_vec();
        *self.pending_mut(stream) = rest;
        self.append(&out)
    }

    /// Writes what has no line end as a line. For the end of a stream: nothing that comes later belongs to it.
    pub(crate) fn finish(&mut self, stream: Stream) -> io::Result<()> {
        let pending = std::mem::take(self.pending_mut(stream));
        if pending.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        part_entry(&mut out, &Timestamp::now().to_string(), stream, "F", &pending);
        self.append(&out)
    }

    fn pending_mut(&mut self, stream: Stream) -> &mut Vec<u8> {
        let [stdout, stderr] = &mut self.pending;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    fn append(&mut self, out: &[u8]) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        if self.size > 0 && self.size + out.len() as u64 > self.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(out)?;
        self.size += out.len() as u64;
        Ok(())
    }

    /// `output.log.1` becomes `output.log.2` and so on; the oldest is gone.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..self.files.saturating_sub(1)).rev() {
            let _absent = fs::rename(numbered(number), numbered(number + 1));
        }
        if self.files > 1 {
            fs::rename(&self.path, numbered(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// A complete line, in parts when it is long.
fn entry(out: &mut Vec<u8>, time: &str, stream: Stream, line: &[u8]) {
    let mut parts = line.chunks(PART_LIMIT).peekable();
    if parts.peek().is_none() {
        part_entry(out, time, stream, "F", b"");
    }
    while let Some(part) = parts.next() {
        let tag = if parts.peek().is_some() { "P" } else { "F" };
        part_entry(out, time, stream, tag, part);
    }
}

fn part_entry(out: &mut Vec<u8>, time: &str, stream: Stream, tag: &str, text: &[u8]) {
    out.extend(format!("{time} {} {tag} ", stream.name()).bytes());
    out.extend(text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn writer(folder: &Path, max_bytes: u64) -> LogWriter {
        LogWriter::open(folder, &LogOptions { folder: None, max_bytes, files: 3 }).unwrap()
    }

    /// The text of one stream, put together again.
    fn text(folder: &Path, stream: Stream) -> String {
        let file = String::from_utf8(fs::read(folder.join(LOG_FILE)).unwrap()).unwrap();
        let lines =
            file.lines().map(|line| LogLine::parse(line).unwrap()).filter(|line| line.stream == stream);
        lines.map(|line| format!("{}{}", line.text, if line.partial { "" } else { "\n" })).collect()
    }

    #[test]
    fn lines_keep_their_stream_and_an_open_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = writer(folder.path(), 1 << 20);
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"oops\n").unwrap();
        log.write(Stream::Stdout, b"o\n\nopen").unwrap();
        log.finish(Stream::Stdout).unwrap();
        assert_eq!(text(folder.path(), Stream::Stdout), "one\ntwo\n\nopen\n");
        assert_eq!(text(folder.path(), Stream::Stderr), "oops\n");
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = writer(folder.path(), 1 << 30);
        for _ in 0..100 {
            log.write(Stream::Stdout, &[b'x'; 64 << 10]).unwrap();
            assert!(log.pending[0].len() <= PART_LIMIT);
        }
        log.write(Stream::Stdout, b"\n").unwrap();
        assert_eq!(text(folder.path(), Stream::Stdout).len(), (6400 << 10) + 1);
    }

    #[test]
    fn only_so_many_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = writer(folder.path(), 0);
        for number in 0..20 {
            log.write(Stream::Stdout, format!("{number} {}\n", "y".repeat(9000)).as_bytes()).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["output.log", "output.log.1", "output.log.2"]);
        assert!(text(folder.path(), Stream::Stdout).starts_with("19 "));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(pieces in proptest::collection::vec("[a-z \n]{0,40}", 0..20)) {
            let folder = tempfile::tempdir().unwrap();
            let mut log = writer(folder.path(), 1 << 30);
            for piece in &pieces {
                log.write(Stream::Stdout, piece.as_bytes()).unwrap();
            }
            log.finish(Stream::Stdout).unwrap();
            let mut written = pieces.concat();
            if !written.is_empty() && !written.ends_with('\n') {
                written.push('\n');
            }
            prop_assert_eq!(text(folder.path(), Stream::Stdout), written);
        }

        #[test]
        fn any_line_is_survived(line in ".{0,80}") {
            let _whatever = LogLine::parse(&line);
        }
    }
}
