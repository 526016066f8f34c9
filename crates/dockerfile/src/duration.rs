//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

use std::time::Duration;

/// Nanoseconds in each unit. Longer names first, so that `ms` is not read as `m`.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

/// Parses a duration. `None` when it is not one, is negative, or is longer than Go's 290 years.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" || rest == "-0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, after) = rest.split_at(end);
        let (unit, scale) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        nanoseconds = nanoseconds.checked_add(scaled(number, *scale)?)?;
        rest = &after[unit.len()..];
    }
    Some(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

/// A decimal number times a unit: whole part exactly, the fraction as precisely as a float can.
fn scaled(number: &str, scale: f64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: f64 = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
    // Both casts are exact: a unit is a whole number below 2^53, and the product is below one unit.
    #[allow(clippy::cast_possible_truncation)]
    whole.checked_mul(scale as i64)?.checked_add((part * scale) as i64)
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn reads_what_go_reads() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_duration(text).map(|it| it.as_nanos() as u64), expected, "{text}");
        };
        check("30s", Some(30_000_000_000));
        check("1m30s", Some(90_000_000_000));
        check("1.5s", Some(1_500_000_000));
        check(".5h", Some(1_800_000_000_000));
        check("1us", Some(1_000));
        check("2µs", Some(2_000));
        check("+1ms", Some(1_000_000));
        check("0", Some(0));
        check("0s", Some(0));
        check("1", None);
        check("s", None);
        check(".s", None);
        check("1.2.3s", None);
        check("-1s", None);
        check("1d", None);
        check("", None);
        check("9223372037s", None);
        check("99999999999999999999h", None);
    }
}
