//! pax extended headers (POSIX.1-2001): `LENGTH KEY=VALUE\n`, repeated.

use std::collections::BTreeMap;

use super::entry::Timestamp;

pub(super) const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// Records under construction, sorted by key.
#[derive(Default)]
pub(super) struct Records(BTreeMap<String, Vec<u8>>);

impl Records {
    pub(super) fn put(&mut self, key: &str, value: &[u8]) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            let length = record_length(key.len() + value.len() + 3);
            bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes
    }
}

/// The length of a record counts its own digits.
fn record_length(rest: usize) -> usize {
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    length
}

/// The records of a header, in order; `None` when they are malformed.
pub(super) fn parse(mut bytes: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
        let length: usize = digits(&bytes[..blank])?.try_into().ok()?;
        if length > bytes.len() || length < blank + 4 || bytes[length - 1] != b'\n' {
            return None;
        }
        let record = &bytes[blank + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((std::str::from_utf8(&record[..equals]).ok()?, &record[equals + 1..]));
        bytes = &bytes[length..];
    }
    Some(records)
}

/// An unsigned decimal number without sign or blanks.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    let all_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// A time in seconds with as many decimals as it needs.
pub(super) fn decimal(time: Timestamp) -> String {
    let (sign, seconds, nanoseconds) = match (time.seconds, time.nanoseconds) {
        (seconds, nanoseconds) if seconds >= 0 => ("", seconds.unsigned_abs(), nanoseconds),
        (seconds, 0) => ("-", seconds.unsigned_abs(), 0),
        // Seconds are rounded down: -1.5 is kept as -2 seconds and 500,000,000 nanoseconds.
        (seconds, nanoseconds) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The time that [`decimal`] wrote; digits below a nanosecond are cut.
pub(super) fn time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let point = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let fraction = text.get(point + 1..).unwrap_or_default();
    let seconds = i64::try_from(digits(&text[..point])?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let places = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = places.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, _) => Timestamp { seconds, nanoseconds },
        (true, 0) => Timestamp { seconds: -seconds, nanoseconds: 0 },
        (true, _) => Timestamp { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_length_counts_its_own_digits() {
        for size in [0, 1, 89, 90, 91, 92, 990, 1000, 70_000] {
            let mut records = Records::default();
            records.put("key", &vec![b'x'; size]);
            let bytes = records.finish();
            assert_eq!(parse(&bytes).unwrap(), [("key", vec![b'x'; size].as_slice())]);
        }
    }

    #[test]
    fn times_keep_their_nanoseconds_on_both_sides_of_1970() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "0"),
            (1, 500_000_000, "1.5"),
            (-1, 0, "-1"),
            (-2, 500_000_000, "-1.5"),
            (-1, 999_999_999, "-0.000000001"),
            (1_700_000_000, 1, "1700000000.000000001"),
        ] {
            let stamp = Timestamp { seconds, nanoseconds };
            assert_eq!(decimal(stamp), text);
            assert_eq!(time(text.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn malformed_records_and_times_are_refused() {
        for bytes in ["x", "5 a=b", "9 a=b\n", "6 ab\n\n", "99999999999999999999 a=b\n", "3 =\n", "-6 a=b\n"]
        {
            assert_eq!(parse(bytes.as_bytes()), None, "{bytes:?}");
        }
        for text in ["", "-", ".5", "1.x", "1e5", "99999999999999999999", "+1"] {
            assert_eq!(time(text.as_bytes()), None, "{text:?}");
        }
    }
}
