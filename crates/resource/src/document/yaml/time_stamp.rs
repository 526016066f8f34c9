//! Texts that go-yaml takes for a time: `2001-01-01`, `2001-1-1T10:00:00Z`, `2001-01-01 10:00:00.5`.

use std::fmt;

/// A time as it was written.
#[derive(Debug, PartialEq)]
pub(crate) struct TimeStamp<'text> {
    /// Year, month and day.
    date: [u32; 3],
    /// Hour, minute and second.
    clock: [u32; 3],
    /// Digits behind the point.
    fraction: &'text str,
    /// `+hh:mm`; `None` for UTC.
    zone: Option<&'text str>,
}

impl<'text> TimeStamp<'text> {
    /// Reads the four forms that go-yaml knows, as leniently as Go's `time.Parse` reads them.
    pub(crate) fn parse(text: &'text str) -> Option<TimeStamp<'text>> {
        let (year, rest) = year(text)?;
        let (month, day, rest) = month_and_day(rest, year)?;
        let (clock, fraction, rest) = match rest.as_bytes().first() {
            None => ([0; 3], "", "Z"),
            Some(b'T' | b't') => clock(&rest[1..])?,
            Some(b' ') => {
                let (clock, fraction, rest) = self::clock(rest.trim_start_matches(' '))?;
                rest.is_empty().then_some((clock, fraction, "Z"))?
            }
            Some(_) => return None,
        };
        Some(TimeStamp { date: [year, month, day], clock, fraction, zone: zone(rest)? })
    }
}

impl fmt::Display for TimeStamp<'_> {
    /// RFC 3339, as Go writes a time in JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([year, month, day], [hour, minute, second]) = (self.date, self.clock);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let nanoseconds = &self.fraction[..self.fraction.len().min(9)];
        match nanoseconds.trim_end_matches('0') {
            "" => {}
            fraction => write!(f, ".{fraction}")?,
        }
        f.write_str(self.zone.unwrap_or("Z"))
    }
}

/// Exactly four digits and a dash.
fn year(text: &str) -> Option<(u32, &str)> {
    let year = text.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((year.parse().ok()?, text[4..].strip_prefix('-')?))
}

fn month_and_day(text: &str, year: u32) -> Option<(u32, u32, &str)> {
    let (month, rest) = number(text)?;
    let (day, rest) = number(rest.strip_prefix('-')?)?;
    (1..=days_in(month, year)?).contains(&day).then_some((month, day, rest))
}

fn days_in(month: u32, year: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => Some(if leap { 29 } else { 28 }),
        4 | 6 | 9 | 11 => Some(30),
        1..=12 => Some(31),
        _ => None,
    }
}

/// Hours, minutes, seconds, a fraction that may be missing, and what follows.
fn clock(text: &str) -> Option<([u32; 3], &str, &str)> {
    let (hour, rest) = number(text)?;
    let (minute, rest) = number(rest.strip_prefix(':')?)?;
    let (second, rest) = number(rest.strip_prefix(':')?)?;
    let (fraction, rest) = fraction(rest);
    (hour < 24 && minute < 60 && second < 60).then_some(([hour, minute, second], fraction, rest))
}

fn fraction(text: &str) -> (&str, &str) {
    let digits = text.strip_prefix(['.', ',']).unwrap_or_default();
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 { ("", text) } else { digits.split_at(length) }
}

/// `Z` or `+hh:mm`; Go allows offsets of up to 24 hours and 60 minutes.
fn zone(text: &str) -> Option<Option<&str>> {
    let two = |digits: &[u8], limit: u8| {
        digits.iter().all(u8::is_ascii_digit) && (digits[0] - b'0') * 10 + (digits[1] - b'0') <= limit
    };
    match text.as_bytes() {
        b"Z" => Some(None),
        [b'+' | b'-', offset @ ..] if offset.len() == 5 => {
            let right = two(&offset[..2], 24) && offset[2] == b':' && two(&offset[3..], 60);
            right.then_some(Some(text).filter(|_| offset != b"00:00"))
        }
        _ => None,
    }
}

/// One or two digits, as many as there are.
fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}
