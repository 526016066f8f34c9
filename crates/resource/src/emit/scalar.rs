//! The characters of a scalar in each style: folding behind column 80, doubled quotes, escapes, blocks.

use super::cursor::Cursor;
use super::style::{Style, is_break, is_printable};

/// A line is folded at the first single blank behind this column.
const WIDTH: usize = 80;

/// Writes a text. `indent` is the column of further lines; a simple key has none, so it must not be folded.
pub(super) fn write(cursor: &mut Cursor<'_>, text: &str, style: Style, indent: usize, fold: bool) {
    match style {
        Style::Plain => plain(cursor, text, indent, fold),
        Style::SingleQuoted => single_quoted(cursor, text, indent, fold),
        Style::DoubleQuoted => double_quoted(cursor, text, indent, fold),
        Style::Literal => literal(cursor, text, indent),
    }
}

/// A word that needs no look: a number, a boolean, `null`.
pub(super) fn plain_word(cursor: &mut Cursor<'_>, word: &str) {
    cursor.blank_before();
    cursor.push_str(word);
    cursor.ended();
}

fn plain(cursor: &mut Cursor<'_>, text: &str, indent: usize, fold: bool) {
    cursor.blank_before();
    if fold && cursor.column + text.len() > WIDTH {
        folded(cursor, text, indent);
    } else {
        cursor.push_str(text);
    }
    cursor.ended();
}

/// Plain text over several lines: a blank that stands alone behind the width becomes a line break.
fn folded(cursor: &mut Cursor<'_>, text: &str, indent: usize) {
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        cursor.push_str(word);
        cursor.indention = false;
        match words.peek() {
            Some(next) if cursor.column > WIDTH && !word.is_empty() && !next.is_empty() => {
                cursor.indent(indent)
            }
            Some(_) => cursor.push(' '),
            None => {}
        }
    }
}

fn single_quoted(cursor: &mut Cursor<'_>, text: &str, indent: usize, fold: bool) {
    cursor.indicator("'", true);
    let last = text.len().saturating_sub(1);
    let (mut blank_before, mut break_before) = (false, false);
    for (index, character) in text.char_indices() {
        if character == ' ' {
            let inside = index > 0 && index < last && !text[index + 1..].starts_with(' ');
            if fold && !blank_before && cursor.column > WIDTH && inside {
                cursor.indent(indent);
            } else {
                cursor.push(' ');
            }
            blank_before = true;
        } else if is_break(character) {
            cursor.own_break(character);
            break_before = true;
        } else {
            if break_before {
                cursor.indent(indent);
            }
            if character == '\'' {
                cursor.push('\'');
            }
            cursor.push(character);
            cursor.indention = false;
            (blank_before, break_before) = (false, false);
        }
    }
    cursor.indicator("'", false);
}

fn double_quoted(cursor: &mut Cursor<'_>, text: &str, indent: usize, fold: bool) {
    cursor.indicator("\"", true);
    let last = text.len().saturating_sub(1);
    // go-yaml looks for a byte order mark at the start of the text again and again.
    let marked = text.starts_with('\u{feff}');
    let mut blank_before = false;
    for (index, character) in text.char_indices() {
        let plain = is_printable(character) && !is_break(character) && !matches!(character, '"' | '\\');
        if !plain || marked {
            escape(cursor, character);
            blank_before = false;
        } else if character == ' ' {
            if fold && !blank_before && cursor.column > WIDTH && index > 0 && index < last {
                cursor.indent(indent);
                if text[index + 1..].starts_with(' ') {
                    cursor.push('\\');
                }
            } else {
                cursor.push(' ');
            }
            blank_before = true;
        } else {
            cursor.push(character);
            blank_before = false;
        }
    }
    cursor.indicator("\"", false);
}

fn escape(cursor: &mut Cursor<'_>, character: char) {
    cursor.push('\\');
    let short = match character {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => return code(cursor, u32::from(character)),
    };
    cursor.push(short);
}

fn code(cursor: &mut Cursor<'_>, code: u32) {
    let (letter, digits) = match code {
        0..=0xff => ('x', 2),
        0x100..=0xffff => ('u', 4),
        _ => ('U', 8),
    };
    cursor.push(letter);
    for digit in (0..digits).rev() {
        let digit = char::from_digit((code >> (digit * 4)) & 0xf, 16).unwrap_or('0');
        cursor.push(digit.to_ascii_uppercase());
    }
}

/// A `|` block, line by line.
fn literal(cursor: &mut Cursor<'_>, text: &str, indent: usize) {
    cursor.indicator("|", true);
    if text.starts_with(|first| first == ' ' || is_break(first)) {
        cursor.indicator("2", false);
    }
    cursor.indicator(chomping(text), false);
    cursor.line_break();
    cursor.whitespace = true;
    cursor.indention = true;
    for line in text.split_inclusive(is_break) {
        let (content, end) = match line.char_indices().next_back() {
            Some((index, end)) if is_break(end) => (&line[..index], Some(end)),
            _ => (line, None),
        };
        if !content.is_empty() {
            cursor.indent(indent);
            cursor.push_str(content);
            cursor.indention = false;
        }
        if let Some(end) = end {
            cursor.own_break(end);
        }
    }
}

/// `-` drops the last line break, `+` keeps more than one.
fn chomping(text: &str) -> &'static str {
    let mut backwards = text.chars().rev();
    match (backwards.next().is_some_and(is_break), backwards.next()) {
        (false, _) => "-",
        (true, None) => "+",
        (true, Some(before)) => {
            if is_break(before) {
                "+"
            } else {
                ""
            }
        }
    }
}
