//! Physical lines to logical lines: continuations are joined, comments between them are dropped, and every byte
//! of the result still knows where it stands in the file.

use std::ops::Range;

use minato_resource::Span;

use crate::syntax::Word;

/// The longest physical line, in bytes, that `BuildKit` reads.
pub(crate) const MAX_LINE_BYTES: usize = 65_535;

/// Reads a text line by line, remembering where it is.
pub(crate) struct LineReader<'a> {
    text: &'a str,
    offset: usize,
}

/// A physical line.
#[derive(Clone, Copy)]
pub(crate) struct PhysicalLine<'a> {
    /// Where it starts in the file.
    pub start: usize,
    /// With its line end.
    pub text: &'a str,
}

/// One instruction's line without heredoc bodies.
pub(crate) struct LogicalLine {
    pub text: String,
    /// Where pieces of `text` come from, by rising `at`.
    pieces: Vec<Piece>,
    pub comments: Vec<String>,
    /// The first blank line inside a continuation, if there is one.
    pub blank: Option<Span>,
}

#[derive(Clone, Copy)]
struct Piece {
    at: usize,
    source: usize,
}

impl<'a> PhysicalLine<'a> {
    /// Without the line end, LF or CRLF.
    pub(crate) fn content(&self) -> &'a str {
        self.text.trim_end_matches(['\r', '\n'])
    }

    pub(crate) fn span(&self) -> Span {
        Span::new(self.start, self.start + self.content().len())
    }

    fn is_comment(&self) -> bool {
        self.text.trim_start().starts_with('#')
    }
}

impl<'a> LineReader<'a> {
    pub(crate) fn new(text: &'a str, offset: usize) -> LineReader<'a> {
        LineReader { text, offset }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Goes back to a place that [`LineReader::offset`] gave.
    pub(crate) fn rewind(&mut self, offset: usize) {
        self.offset = offset;
    }

    pub(crate) fn next_physical(&mut self) -> Option<PhysicalLine<'a>> {
        let rest = self.text.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').map_or(rest.len(), |index| index + 1);
        let line = PhysicalLine { start: self.offset, text: &rest[..length] };
        self.offset += length;
        Some(line)
    }

    /// The next line that is not blank and not a comment, with all its continuations.
    pub(crate) fn next_logical(&mut self, escape: char) -> Option<LogicalLine> {
        let mut comments = Vec::new();
        while let Some(line) = self.next_physical() {
            if line.is_comment() {
                remember_comment(&mut comments, &line);
                continue;
            }
            let content = line.content();
            let indent = content.len() - content.trim_start().len();
            let (text, continued) = split_continuation(&content[indent..], escape);
            if text.is_empty() && !continued {
                continue;
            }
            let mut logical = LogicalLine { text: String::new(), pieces: Vec::new(), comments, blank: None };
            logical.push(text, line.start + indent);
            if continued {
                self.read_continuations(&mut logical, escape);
            }
            return Some(logical);
        }
        None
    }

    fn read_continuations(&mut self, logical: &mut LogicalLine, escape: char) {
        while let Some(line) = self.next_physical() {
            if line.is_comment() {
                continue;
            }
            if line.content().trim_start().is_empty() {
                logical.blank = logical.blank.or(Some(line.span()));
                continue;
            }
            let (text, continued) = split_continuation(line.content(), escape);
            logical.push(text, line.start);
            if !continued {
                return;
            }
        }
    }
}

/// A comment without text separates: what stands above it does not describe the next instruction.
fn remember_comment(comments: &mut Vec<String>, line: &PhysicalLine<'_>) {
    let comment = line.content().trim().trim_start_matches('#').trim();
    if comment.is_empty() { comments.clear() } else { comments.push(comment.to_owned()) }
}

/// The line without the escape character at its end, and whether there was one. An escape character that is
/// itself escaped does not continue the line.
fn split_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

impl LogicalLine {
    fn push(&mut self, text: &str, source: usize) {
        self.pieces.push(Piece { at: self.text.len(), source });
        self.text.push_str(text);
    }

    /// Where a range of `text` stands in the file.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        if range.is_empty() {
            return Span::at(self.source(range.start));
        }
        // The end is one behind the last byte, not the start of the next piece.
        Span::new(self.source(range.start), self.source(range.end - 1) + 1)
    }

    fn source(&self, at: usize) -> usize {
        let after = self.pieces.partition_point(|piece| piece.at <= at);
        let piece = self.pieces[..after].last().copied().unwrap_or(Piece { at: 0, source: 0 });
        piece.source + (at - piece.at)
    }

    /// A word that is exactly this range.
    pub(crate) fn word(&self, range: Range<usize>) -> Word {
        Word { raw: self.text[range.clone()].to_owned(), span: self.span(range) }
    }

    /// The range without blanks at both ends.
    pub(crate) fn trim(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.text[range.clone()];
        let start = range.start + (text.len() - text.trim_start().len());
        start..start + text.trim().len()
    }
}
