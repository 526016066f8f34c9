//! Heredocs: finding `<<EOF` on a line and reading the body under it.

use minato_resource::Span;

use crate::expand::{Lexer, Mode, Quotes};
use crate::instruction::Heredoc;
use crate::line::LineReader;

/// `<<EOF` as it stands on the line, before its body is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub name: String,
    pub expand: bool,
    pub strip_tabs: bool,
    pub file_descriptor: u32,
}

/// Whether a text is one heredoc marker and nothing else.
pub(crate) fn is_heredoc(text: &str) -> bool {
    Marker::parse(text).is_some()
}

/// The markers on a logical line, in order. A line whose quotes don't match has none: it is the shell that
/// complains then.
pub(crate) fn markers(line: &str) -> Vec<Marker> {
    let mode = Mode { escape: '\\', quotes: Quotes::Keep, keep_escapes: true, keep_unset: true };
    match Lexer::new(line, mode, &|_| None).run() {
        Ok(expanded) => expanded.words.iter().filter_map(|word| Marker::parse(word)).collect(),
        Err(_) => Vec::new(),
    }
}

impl Marker {
    /// `[number]<<[-]name`, where the name may be quoted.
    pub(crate) fn parse(word: &str) -> Option<Marker> {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = word.split_at(digits);
        let rest = rest.strip_prefix("<<")?;
        let (rest, strip_tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
        let rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let name = single_word(rest, Quotes::Remove)?;
        let quoted = single_word(rest, Quotes::Keep)?;
        // Quotes that are there before and gone after were around the name or a part of it.
        let expand = count_quotes(&name) == count_quotes(&quoted);
        Some(Marker { name, expand, strip_tabs, file_descriptor: number.parse().unwrap_or(0) })
    }

    /// Reads the body up to the line that is the name. `None`: the file ends before, and nothing is read.
    pub(crate) fn read_body(&self, lines: &mut LineReader<'_>) -> Option<Heredoc> {
        let start = lines.offset();
        let mut body = String::new();
        while let Some(line) = lines.next_physical() {
            let content = line.content();
            let candidate = if self.strip_tabs { content.trim_start_matches('\t') } else { content };
            if candidate == self.name {
                return Some(self.with_body(body, Span::new(start, line.start)));
            }
            body.push_str(line.text);
        }
        lines.rewind(start);
        None
    }

    pub(crate) fn with_body(&self, body: String, span: Span) -> Heredoc {
        Heredoc {
            name: self.name.clone(),
            body,
            expand: self.expand,
            strip_tabs: self.strip_tabs,
            file_descriptor: self.file_descriptor,
            span,
        }
    }
}

fn single_word(text: &str, quotes: Quotes) -> Option<String> {
    let mode = Mode { escape: '\\', quotes, keep_escapes: false, keep_unset: true };
    let mut words = Lexer::new(text, mode, &|_| None).run().ok()?.words;
    if words.len() == 1 { words.pop() } else { None }
}

fn count_quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}
