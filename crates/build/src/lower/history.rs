//! The lines of an image's history, spelled as Go's `fmt` spells `BuildKit`'s values.

use std::time::Duration;

use minato_oci::{Healthcheck, History};

/// What `BuildKit` puts into every entry it makes.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// An entry; `makes_layer` is true even where the layer turns out empty.
pub(super) fn entry(created_by: String, makes_layer: bool, created: &str) -> History {
    History {
        created: Some(created.to_owned()),
        created_by: Some(created_by),
        comment: Some(COMMENT.to_owned()),
        empty_layer: !makes_layer,
        ..History::default()
    }
}

/// `%q` of a list of strings: `["a" "b"]`.
pub(super) fn quoted_list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(" "))
}

/// `%v` of a list of strings: `[a b]`.
pub(super) fn plain_list(words: &[String]) -> String {
    format!("[{}]", words.join(" "))
}

/// `%+v` of a health check.
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    let [interval, timeout, period, start] =
        [check.interval, check.timeout, check.start_period, check.start_interval]
            .map(|time| duration(time.unwrap_or_default()));
    let (test, retries) = (plain_list(&check.test), check.retries.unwrap_or(0));
    format!(
        "{{Test:{test} Interval:{interval} Timeout:{timeout} StartPeriod:{period} StartInterval:{start} Retries:{retries}}}"
    )
}

/// `time.Duration.String`: `1h0m5s`, `1.5s`, `300ms`, `0s`.
fn duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    let fraction = |unit: u128, name: &str| {
        let (whole, rest) = (nanoseconds / unit, nanoseconds % unit);
        let digits = unit.to_string().len() - 1;
        let rest = format!("{rest:0digits$}");
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { format!("{whole}{name}") } else { format!("{whole}.{rest}{name}") }
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        _ => {
            let minutes = time.as_secs() / 60;
            let seconds = Duration::new(time.as_secs() % 60, time.subsec_nanos());
            let rest = seconds.as_nanos();
            let seconds = format!("{}{}", rest / 1_000_000_000, fraction_of_second(rest % 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

fn fraction_of_second(nanoseconds: u128) -> String {
    let digits = format!("{nanoseconds:09}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() { String::new() } else { format!(".{digits}") }
}

/// `strconv.Quote`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    text.chars().for_each(|character| escape(character, '"', &mut out));
    out.push('"');
    out
}

fn escape(character: char, quote: char, out: &mut String) {
    match character {
        '\\' => out.push_str("\\\\"),
        _ if character == quote => out.extend(['\\', quote]),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        '\0'..'\u{20}' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", character as u32)),
        '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}' => {
            out.push_str(&format!("\\u{:04x}", character as u32));
        }
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_as_in_go() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (15, "15ns"),
            (1_500, "1.5µs"),
            (300_000_000, "300ms"),
            (1_500_000_000, "1.5s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_605_000_000_001, "1h0m5.000000001s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), expected);
        }
    }

    #[test]
    fn strings_are_quoted_as_in_go() {
        let list = ["a\"b\\".to_owned(), "\tä\u{1}\u{7f}€".to_owned()];
        assert_eq!(quoted_list(&list), r#"["a\"b\\" "\tä\x01\x7f€"]"#);
        let check = Healthcheck { test: vec!["NONE".to_owned()], retries: Some(3), ..Healthcheck::default() };
        assert_eq!(
            healthcheck(&check),
            "{Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}"
        );
    }
}
