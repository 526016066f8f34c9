//! JSON text (RFC 8259) to trees, on request with `//` and `/* */` comments.

use std::collections::HashSet;
use std::sync::Arc;

use super::number::json_number;
use super::{Data, Entry, MAX_DEPTH, Node};
use crate::{Diagnostic, SourceFile, Span};

/// Whether a text may have comments, which JSON does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// `// to the end of the line` and `/* between */` count as white space.
    Allowed,
    /// A comment is an error.
    Refused,
}

/// Reads every value of a JSON text: one, or several one after the other. Reading stops at the first syntax error;
/// the values before it are returned.
pub fn read_json(file: &Arc<SourceFile>, comments: Comments) -> (Vec<Node>, Vec<Diagnostic>) {
    let mut reader = Reader { file, text: file.text(), offset: 0, comments, diagnostics: Vec::new() };
    let mut documents = Vec::new();
    while let Ok(true) = reader.has_more() {
        match reader.value(0) {
            Ok(document) => documents.push(document),
            Err(Stop) => break,
        }
    }
    (documents, reader.diagnostics)
}

/// The text cannot be read further; the reason is among the diagnostics.
struct Stop;

struct Reader<'file> {
    file: &'file Arc<SourceFile>,
    text: &'file str,
    offset: usize,
    comments: Comments,
    diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn has_more(&mut self) -> Result<bool, Stop> {
        self.skip_space()?;
        Ok(self.offset < self.text.len())
    }

    fn value(&mut self, depth: usize) -> Result<Node, Stop> {
        self.skip_space()?;
        let start = self.offset;
        if depth > MAX_DEPTH {
            let message = format!("values are nested more than {MAX_DEPTH} deep");
            return self.stop("document-depth", message, Span::new(start, start + 1));
        }
        let data = match self.peek() {
            Some(b'{') => self.mapping(depth)?,
            Some(b'[') => self.sequence(depth)?,
            Some(b'"') => Data::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.word()?,
            _ => return self.unexpected("a value"),
        };
        Ok(Node::new(data, Span::new(start, self.offset)))
    }

    fn mapping(&mut self, depth: usize) -> Result<Data, Stop> {
        self.offset += 1;
        let (mut entries, mut keys) = (Vec::new(), HashSet::new());
        self.skip_space()?;
        if self.take(b'}') {
            return Ok(Data::Mapping(entries));
        }
        loop {
            self.skip_space()?;
            let start = self.offset;
            if self.peek() != Some(b'"') {
                return self.unexpected("a key in double quotes");
            }
            let key = self.string()?;
            let key_span = Span::new(start, self.offset);
            self.skip_space()?;
            if !self.take(b':') {
                return self.unexpected("`:` after the key");
            }
            let value = self.value(depth + 1)?;
            if keys.insert(key.clone()) {
                entries.push(Entry { key, key_span, value });
            } else {
                self.duplicate(&key, key_span);
            }
            self.skip_space()?;
            if self.take(b'}') {
                return Ok(Data::Mapping(entries));
            }
            if !self.take(b',') {
                return self.unexpected("`,` or `}`");
            }
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Data, Stop> {
        self.offset += 1;
        let mut items = Vec::new();
        self.skip_space()?;
        if self.take(b']') {
            return Ok(Data::Sequence(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space()?;
            if self.take(b']') {
                return Ok(Data::Sequence(items));
            }
            if !self.take(b',') {
                return self.unexpected("`,` or `]`");
            }
        }
    }

    fn string(&mut self) -> Result<String, Stop> {
        let start = self.offset;
        self.offset += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.offset..];
            let stop = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            let Some(length) = stop else {
                let message = "this text has no closing quote".to_owned();
                return self.stop("json-syntax", message, Span::new(start, start + 1));
            };
            out.push_str(&rest[..length]);
            self.offset += length;
            match self.peek() {
                Some(b'"') => {
                    self.offset += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => {
                    let message = "a line break or control character must be written as an escape".to_owned();
                    return self.stop("json-syntax", message, Span::new(start, self.offset));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Stop> {
        let start = self.offset;
        self.offset += 2;
        let character = match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return self.bad_escape(start),
        };
        Ok(character)
    }

    /// `\uXXXX`, and a surrogate pair of two of them (RFC 8259, section 7).
    fn unicode_escape(&mut self, start: usize) -> Result<char, Stop> {
        let Some(first) = self.hex4(start + 2) else { return self.bad_escape(start) };
        self.offset = start + 6;
        let code = match first {
            0xD800..=0xDBFF if self.text[self.offset..].starts_with("\\u") => {
                let second = self.hex4(self.offset + 2).filter(|code| (0xDC00..=0xDFFF).contains(code));
                let Some(second) = second else { return self.bad_escape(start) };
                self.offset += 6;
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            code => code,
        };
        match char::from_u32(code) {
            Some(character) => Ok(character),
            None => self.bad_escape(start),
        }
    }

    fn hex4(&self, start: usize) -> Option<u32> {
        let digits = self.text.get(start..start + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok()
    }

    fn bad_escape<T>(&mut self, start: usize) -> Result<T, Stop> {
        let end =
            self.text[start..].char_indices().nth(2).map_or(self.text.len(), |(index, _)| start + index);
        let message = format!("`{}` does not start an escape of JSON", &self.text[start..end]);
        self.stop("json-syntax", message, Span::new(start, end))
    }

    fn number(&mut self) -> Result<Data, Stop> {
        let start = self.offset;
        let rest = self.text[start..].bytes();
        let length =
            rest.take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count();
        self.offset += length;
        let text = &self.text[start..self.offset];
        let span = Span::new(start, self.offset);
        let Some(integral) = number_form(text) else {
            return self.stop("json-syntax", format!("`{text}` is not a number of JSON"), span);
        };
        if integral && let Ok(value) = text.parse::<i64>() {
            return Ok(Data::Number(value.into()));
        }
        if integral && let Ok(value) = text.parse::<u64>() {
            return Ok(Data::Number(value.into()));
        }
        match text.parse::<f64>().ok().and_then(json_number) {
            Some(number) => Ok(Data::Number(number)),
            None => self.stop("json-syntax", format!("`{text}` is too large for a number"), span),
        }
    }

    fn word(&mut self) -> Result<Data, Stop> {
        let start = self.offset;
        let length = self.text[start..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        self.offset += length;
        match &self.text[start..self.offset] {
            "true" => Ok(Data::Bool(true)),
            "false" => Ok(Data::Bool(false)),
            "null" => Ok(Data::Null),
            other => {
                let message = format!("expected a value, found `{other}`; text needs double quotes");
                self.stop("json-syntax", message, Span::new(start, self.offset))
            }
        }
    }

    fn skip_space(&mut self) -> Result<(), Stop> {
        loop {
            let rest = &self.text[self.offset..];
            let space = rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
            self.offset += space;
            let rest = &rest[space..];
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(inside) = rest.strip_prefix("/*") {
                match inside.find("*/") {
                    Some(length) => length + 4,
                    None => return self.unclosed_comment(),
                }
            } else {
                return Ok(());
            };
            self.comment(length)?;
        }
    }

    fn unclosed_comment(&mut self) -> Result<(), Stop> {
        let span = Span::new(self.offset, self.offset + 2);
        self.stop("json-syntax", "this comment has no closing `*/`".to_owned(), span)
    }

    fn comment(&mut self, length: usize) -> Result<(), Stop> {
        if self.comments == Comments::Refused {
            let span = Span::new(self.offset, self.offset + length);
            return self.stop("json-syntax", "JSON has no comments".to_owned(), span);
        }
        self.offset += length;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.offset += usize::from(found);
        found
    }

    fn duplicate(&mut self, key: &str, span: Span) {
        let message = format!("the key `{key}` appears twice in this mapping");
        let diagnostic = Diagnostic::error("duplicate-key", message, self.file, span)
            .with_hint("remove one of the two; which of them is taken differs between tools");
        self.diagnostics.push(diagnostic);
    }

    fn unexpected<T>(&mut self, expected: &str) -> Result<T, Stop> {
        let found = self.text[self.offset..].chars().next();
        let length = found.map_or(0, char::len_utf8);
        let message = match found {
            Some(found) => format!("expected {expected}, found `{found}`"),
            None => format!("expected {expected}, but the text ends"),
        };
        self.stop("json-syntax", message, Span::new(self.offset, self.offset + length))
    }

    fn stop<T>(&mut self, code: &str, message: String, span: Span) -> Result<T, Stop> {
        self.diagnostics.push(Diagnostic::error(code, message, self.file, span));
        Err(Stop)
    }
}

/// Whether a text has the form of a JSON number, and if so whether it has neither fraction nor exponent.
fn number_form(text: &str) -> Option<bool> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole_is_right = digits(whole) && (whole == "0" || !whole.starts_with('0'));
    let exponent_is_right =
        exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    let right = whole_is_right && fraction.is_none_or(digits) && exponent_is_right;
    right.then_some(fraction.is_none() && exponent.is_none())
}
