//! How a scalar is written: plain, in quotes, or as a block.

use serde_json::Number;

use crate::document::yaml::scalar::{Plain, resolve};

/// A key. Keys stay on one line.
pub(super) fn key(text: &str) -> String {
    self::text(text)
}

/// Text on one line, plain where a reader gives the same text back.
pub(super) fn text(text: &str) -> String {
    if !is_printable(text) || text.contains('\n') || reads_as_other(text) {
        // Double quotes for what looks like another type, single ones for punctuation, as kubectl prints them.
        double_quoted(text)
    } else if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A number; a float always has a point or an exponent that YAML 1.1 readers know.
pub(super) fn number(number: &Number) -> String {
    number.to_string()
}

/// Text of several lines that a `|` block can hold. A line of spaces alone would lose its spaces in editors, and
/// tabs or carriage returns at the wrong place would be read otherwise.
pub(super) fn fits_literal(text: &str) -> bool {
    text.contains('\n')
        && is_printable(text)
        && !text.starts_with(['\n', ' '])
        && !text.contains('\t')
        && text.split('\n').all(|line| !line.ends_with(' '))
        && !text.trim_end_matches('\n').is_empty()
}

/// True when a plain scalar of this text would be null, a boolean, a number, a merge key or a date.
fn reads_as_other(text: &str) -> bool {
    resolve(text) != Plain::Text || text == "<<" || is_base60(text) || is_date(text)
}

/// `1:30` is a number of base 60 for YAML 1.1 readers other than go-yaml.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    unsigned.contains(':')
        && unsigned.split(':').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.'))
        })
}

/// `2001-01-01` and longer: a time stamp for many readers.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

fn is_plain(text: &str) -> bool {
    let starts_well = !text.starts_with(|first: char| {
        matches!(
            first,
            ' ' | '#'
                | ','
                | '['
                | ']'
                | '{'
                | '}'
                | '&'
                | '*'
                | '!'
                | '|'
                | '>'
                | '\''
                | '"'
                | '%'
                | '@'
                | '`'
                | '='
        )
    });
    let indicator = matches!(text.as_bytes(), [b'-' | b'?' | b':'] | [b'-' | b'?' | b':', b' ', ..]);
    let inside = text.contains(": ") || text.contains(" #") || text.ends_with([' ', ':']);
    let document = text.starts_with("---") || text.starts_with("...");
    starts_well && !indicator && !inside && !document && !text.contains('\t')
}

/// True when every character may stand in a YAML text as it is. Line separators other than `\n` would be folded.
fn is_printable(text: &str) -> bool {
    text.chars().all(|character| {
        matches!(character, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
    })
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            other if is_printable(other.encode_utf8(&mut [0; 4])) => out.push(other),
            other => out.push_str(&escape(u32::from(other))),
        }
    }
    out.push('"');
    out
}

fn escape(code: u32) -> String {
    match code {
        0..=0xff => format!("\\x{code:02X}"),
        0x100..=0xffff => format!("\\u{code:04X}"),
        _ => format!("\\U{code:08X}"),
    }
}
