//! Numbers as they come out when Go writes them as JSON and go-yaml reads that and writes it again.

use std::fmt::Write;

use serde_json::Number;

use super::cursor::Cursor;

pub(super) fn write(cursor: &mut Cursor<'_>, number: &Number) {
    let mut text = Short::default();
    // Writing into `Short` fails only past its end, and no number is that long.
    let written = match number.as_f64() {
        Some(value) if number.is_f64() => float(&mut text, value),
        _ => write!(text, "{number}"),
    };
    debug_assert!(written.is_ok(), "{number} is longer than any number can be");
    super::scalar::plain_word(cursor, text.as_str());
}

/// Floats without a fraction are integers as long as 64 bits hold them (`1.0` is `1`).
fn float(text: &mut Short, value: f64) -> std::fmt::Result {
    if value.fract() == 0.0 && value.abs() < 1e20 {
        write!(text, "{value}")?;
        let digits = text.as_str();
        if digits.parse::<i64>().is_ok_and(|whole| whole != 0) || digits.parse::<u64>().is_ok() {
            return Ok(());
        }
        text.clear();
        if value == 0.0 {
            return text.write_str("0");
        }
    }
    general(text, value)
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 64)`: the shortest digits that name the value, with an exponent of at least
/// two digits below 1e-4 and from 1e6 on.
fn general(text: &mut Short, value: f64) -> std::fmt::Result {
    write!(text, "{value:e}")?;
    let scientific = text.as_str();
    let split = scientific.find('e').unwrap_or(scientific.len());
    let exponent: i32 = scientific.get(split + 1..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    if (-4..6).contains(&exponent) {
        text.clear();
        return write!(text, "{value}");
    }
    text.truncate(split);
    let sign = if exponent < 0 { '-' } else { '+' };
    write!(text, "e{sign}{:02}", exponent.abs())
}

/// A text of at most 32 bytes on the stack: integers have 20, floats with an exponent 24.
#[derive(Default)]
struct Short {
    bytes: [u8; 32],
    length: usize,
}

impl Short {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
