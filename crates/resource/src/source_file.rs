//! A text that somebody wrote, and places in it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A half-open range of byte offsets into a [`SourceFile`]'s text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One after the last byte.
    pub end: usize,
}

impl Span {
    /// The range from `start` up to, not including, `end`.
    pub const fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// An empty span: a place between two bytes.
    pub const fn at(offset: usize) -> Span {
        Span { start: offset, end: offset }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Length in bytes.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// True for a place between two bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Span {
        Span { start: range.start, end: range.end }
    }
}

/// A place as people and editors count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Character within the line, from 1.
    pub column: usize,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why bytes are not a text that Minato reads.
#[derive(Debug, thiserror::Error)]
pub enum SourceFileError {
    /// More bytes than the limit allows.
    #[error("{}: the file is {size} bytes, more than the limit of {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// The bytes are not UTF-8.
    #[error("{}:{position}: the file is not UTF-8 text; save it as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The place of the first byte that is wrong.
        position: Position,
    },
}

/// A file's text with its path as the user would write it. Every span refers to [`SourceFile::text`].
pub struct SourceFile {
    path: PathBuf,
    text: String,
    line_starts: OnceLock<Vec<usize>>,
}

impl SourceFile {
    /// The largest text that is read, in bytes. Kubernetes refuses objects over 1.5 MiB; rendered bundles of
    /// custom resource definitions reach 6 MB.
    pub const MAX_BYTES: u64 = 32 * 1024 * 1024;

    /// Takes a text. A leading byte order mark is dropped, so that offset 0 is the first character.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> SourceFile {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        SourceFile { path: path.into(), text, line_starts: OnceLock::new() }
    }

    /// Takes bytes as they came from outside.
    ///
    /// # Errors
    /// More than [`SourceFile::MAX_BYTES`], or not UTF-8.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<SourceFile, SourceFileError> {
        let path = path.into();
        let size = bytes.len() as u64;
        if size > SourceFile::MAX_BYTES {
            return Err(SourceFileError::TooLarge { path, size, limit: SourceFile::MAX_BYTES });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(SourceFile::new(path, text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let position = SourceFile::new("", before).position(usize::MAX);
                Err(SourceFileError::NotUtf8 { path, position })
            }
        }
    }

    /// The path as given, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty when the span does not lie on character borders within the text.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end.max(span.start)).unwrap_or("")
    }

    /// Line and column of a byte offset. An offset past the end gives the end.
    pub fn position(&self, offset: usize) -> Position {
        let starts = self.line_starts();
        let offset = offset.min(self.text.len());
        let index = starts.partition_point(|start| *start <= offset) - 1;
        let start = starts[index];
        let before = &self.text.as_bytes()[start..offset];
        // Bytes of the form 10xxxxxx continue a character, so this counts characters without decoding.
        let column = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
        Position { line: index + 1, column }
    }

    /// The text of a line (from 1) without its line break; empty when there is no such line.
    pub fn line(&self, line: usize) -> &str {
        let starts = self.line_starts();
        let Some(start) = line.checked_sub(1).and_then(|index| starts.get(index)) else { return "" };
        let end = starts.get(line).copied().unwrap_or(self.text.len());
        self.text[*start..end].trim_end_matches(['\n', '\r'])
    }

    /// How many lines the text has; a text that ends in a line break does not start another one.
    pub fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    fn line_starts(&self) -> &[usize] {
        self.line_starts.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(breaks.map(|(index, _)| index + 1)).collect()
        })
    }
}

impl std::fmt::Debug for SourceFile {
    /// Path and size only: the text may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceFile({}, {} bytes)", self.path.display(), self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let file = SourceFile::new("a.yaml", "one\r\nzwölf: 1\n\nend");
        let check = |offset: usize, line: usize, column: usize| {
            assert_eq!(file.position(offset), Position { line, column }, "offset {offset}");
        };
        check(0, 1, 1);
        check(3, 1, 4);
        check(5, 2, 1);
        check(9, 2, 4); // the second byte of ö counts as the place after it
        check(10, 2, 5);
        check(15, 3, 1);
        check(16, 4, 1);
        check(999, 4, 4);
    }

    #[test]
    fn lines_come_without_their_breaks() {
        let file = SourceFile::new("a.yaml", "one\r\ntwo\n");
        assert_eq!(
            [file.line(0), file.line(1), file.line(2), file.line(3), file.line(9)],
            ["", "one", "two", "", ""]
        );
        assert_eq!(file.line_count(), 2);
    }

    #[test]
    fn a_byte_order_mark_does_not_shift_spans() {
        let file = SourceFile::new("a.yaml", "\u{feff}a: 1");
        assert_eq!(file.slice(Span::new(0, 1)), "a");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_place() {
        let error = SourceFile::from_bytes("x.yaml", b"a: 1\nb: \xff\n".to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "x.yaml:2:4: the file is not UTF-8 text; save it as UTF-8");
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let bytes = vec![b' '; SourceFile::MAX_BYTES as usize + 1];
        assert!(matches!(SourceFile::from_bytes("x", bytes), Err(SourceFileError::TooLarge { .. })));
    }
}
