//! Texts that go-yaml takes for a time, and therefore quotes: `2001-01-01`, `2001-1-1T10:00:00Z`, `2001-01-01 10:00:00.5`.

/// True for the four forms that go-yaml knows, read as leniently as Go's `time.Parse` reads them.
pub(super) fn is_time_stamp(text: &str) -> bool {
    let Some((year, rest)) = year(text) else { return false };
    let Some(rest) = date(rest, year) else { return false };
    match rest.as_bytes().first() {
        None => true,
        Some(b'T' | b't') => clock(&rest[1..]).is_some_and(is_zone),
        Some(b' ') => clock(rest.trim_start_matches(' ')).is_some_and(str::is_empty),
        Some(_) => false,
    }
}

/// Exactly four digits and a dash.
fn year(text: &str) -> Option<(u32, &str)> {
    let year = text.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((year.parse().ok()?, text[4..].strip_prefix('-')?))
}

fn date(text: &str, year: u32) -> Option<&str> {
    let (month, rest) = number(text)?;
    let (day, rest) = number(rest.strip_prefix('-')?)?;
    (1..=days_in(month, year)?).contains(&day).then_some(rest)
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

/// Hours, minutes, seconds and a fraction that may be missing.
fn clock(text: &str) -> Option<&str> {
    let (hour, rest) = number(text)?;
    let (minute, rest) = number(rest.strip_prefix(':')?)?;
    let (second, rest) = number(rest.strip_prefix(':')?)?;
    (hour < 24 && minute < 60 && second < 60).then(|| fraction(rest))
}

fn fraction(text: &str) -> &str {
    match text.strip_prefix(['.', ',']) {
        Some(digits) if digits.starts_with(|digit: char| digit.is_ascii_digit()) => {
            digits.trim_start_matches(|digit: char| digit.is_ascii_digit())
        }
        _ => text,
    }
}

/// `Z` or `+hh:mm`; Go allows offsets of up to 24 hours and 60 minutes.
fn is_zone(text: &str) -> bool {
    let two = |digits: &[u8], limit: u8| {
        digits.iter().all(u8::is_ascii_digit) && (digits[0] - b'0') * 10 + (digits[1] - b'0') <= limit
    };
    match text.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', offset @ ..] if offset.len() == 5 => {
            two(&offset[..2], 24) && offset[2] == b':' && two(&offset[3..], 60)
        }
        _ => false,
    }
}

/// One or two digits, as many as there are.
fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}
