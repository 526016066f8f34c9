//! Dates in the words of moment.js: `YYYYMMDD`, `HH:mm`, `[text]`.

use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Where Unix systems keep the IANA database.
const DATABASE: &str = "/usr/share/zoneinfo";
/// No zone's rules are nearly as long.
const ZONE_LIMIT: u64 = 1 << 20;

/// Longest first, so that `MMMM` is not two `MM`.
const TOKENS: [&str; 31] = [
    "YYYY", "MMMM", "dddd", "DDDD", "SSS", "MMM", "DDD", "ddd", "YY", "MM", "DD", "HH", "hh", "mm", "ss",
    "WW", "GGGG", "ZZ", "Do", "M", "D", "H", "h", "m", "s", "W", "E", "d", "A", "a", "Z",
];

/// `time` in `zone` (a name of the IANA database) as `format` says.
///
/// # Errors
/// The zone is not known on this machine.
pub(super) fn format(time: Timestamp, format: &str, zone: &str) -> Result<String, String> {
    let zone = if zone == "UTC" { TimeZone::UTC } else { named_zone(zone)? };
    let time = time.to_zoned(zone);
    let mut text = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            text.push_str(inside);
            rest = after;
        } else if let Some(token) = TOKENS.iter().find(|token| rest.starts_with(**token)) {
            text.push_str(&field(&time, token));
            rest = &rest[token.len()..];
        } else if let Some(after) = rest.strip_prefix(['X', 'x']) {
            let seconds = time.timestamp().as_second();
            text.push_str(
                &if first == 'X' { seconds } else { time.timestamp().as_millisecond() }.to_string(),
            );
            rest = after;
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(text)
}

/// A time zone of this machine's database.
fn named_zone(name: &str) -> Result<TimeZone, String> {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
    };
    let path = Path::new(DATABASE).join(name);
    let is_zone = name.split('/').all(is_name) && path.metadata().is_ok_and(|file| file.len() <= ZONE_LIMIT);
    let zone = is_zone.then(|| std::fs::read(&path).ok()).flatten();
    let zone = zone.and_then(|bytes| TimeZone::tzif(name, &bytes).ok());
    zone.ok_or_else(|| {
        format!("time zone {name:?} is not known on this machine ({DATABASE}; Debian's package is tzdata)")
    })
}

fn field(time: &Zoned, token: &str) -> String {
    let hour_12 = (time.hour() + 11) % 12 + 1;
    let week = time.date().iso_week_date();
    let named = |format: &str| time.strftime(format).to_string();
    match token {
        "YYYY" => format!("{:04}", time.year()),
        "YY" => named("%y"),
        "GGGG" => format!("{:04}", week.year()),
        "MMMM" => named("%B"),
        "MMM" => named("%b"),
        "MM" => named("%m"),
        "M" => time.month().to_string(),
        "DDDD" => named("%j"),
        "DDD" => time.day_of_year().to_string(),
        "DD" => named("%d"),
        "Do" => ordinal(time.day()),
        "D" => time.day().to_string(),
        "dddd" => named("%A"),
        "ddd" => named("%a"),
        "d" => time.weekday().to_sunday_zero_offset().to_string(),
        "E" => time.weekday().to_monday_one_offset().to_string(),
        "HH" => named("%H"),
        "H" => time.hour().to_string(),
        "hh" => format!("{hour_12:02}"),
        "h" => hour_12.to_string(),
        "mm" => named("%M"),
        "m" => time.minute().to_string(),
        "ss" => named("%S"),
        "s" => time.second().to_string(),
        "SSS" => format!("{:03}", time.millisecond()),
        "WW" => format!("{:02}", week.week()),
        "W" => week.week().to_string(),
        "A" => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        "a" => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
        "ZZ" => named("%z"),
        _ => named("%:z"),
    }
}

fn ordinal(day: i8) -> String {
    let ending = match (day % 10, day) {
        (1, day) if day != 11 => "st",
        (2, day) if day != 12 => "nd",
        (3, day) if day != 13 => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_moment_writes_them() {
        let time: Timestamp = "2020-01-02T14:05:09.042Z".parse().unwrap();
        for (pattern, zone, expected) in [
            ("YYYYMMDD", "UTC", "20200102"),
            ("YYYY-MM-DD[T]HH:mm:ss.SSS", "UTC", "2020-01-02T14:05:09.042"),
            ("YYYYMMDD-HHmmss", "Asia/Tokyo", "20200102-230509"),
            ("ddd, MMM Do YY h:mm a", "UTC", "Thu, Jan 2nd 20 2:05 pm"),
            ("dddd MMMM D M DDDD DDD", "UTC", "Thursday January 2 1 002 2"),
            ("GGGG-[W]WW-E", "UTC", "2020-W01-4"),
            ("X", "UTC", "1577973909"),
            ("x", "UTC", "1577973909042"),
            ("Z ZZ", "America/New_York", "-05:00 -0500"),
            ("[YYYY] v.", "UTC", "YYYY v."),
        ] {
            assert_eq!(format(time, pattern, zone).as_deref(), Ok(expected), "{pattern}");
        }
        assert!(format(time, "YYYY", "Not/AZone").unwrap_err().contains("not known"));
    }
}
