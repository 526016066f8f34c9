//! When a failed request is made again, and how long is waited before.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(15);
/// A registry that asks for more patience than this is reported instead.
const LONGEST_ASKED: Duration = Duration::from_secs(90);

/// Whether the status says "not now" rather than "no".
pub(crate) fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// How long to wait before try `number + 1`, of which `asked` is what the registry said; `None` is never.
pub(crate) fn delay(number: u32, asked: Option<Duration>, random: f64) -> Option<Duration> {
    match asked {
        Some(asked) if asked > LONGEST_ASKED => None,
        // All clients were told the same moment: some spread after it.
        Some(asked) => Some(asked + FIRST_DELAY.mul_f64(random)),
        None => {
            let full = FIRST_DELAY.saturating_mul(1 << number.min(10)).min(LONGEST_DELAY);
            Some(full.mul_f64(0.5 + random / 2.0))
        }
    }
}

/// The `Retry-After` header (RFC 9110, 10.2.3): seconds, or a date.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    let date = SystemTime::from(date.timestamp());
    Some(date.duration_since(now).unwrap_or_default())
}

/// A number from 0 to 1 that differs between processes and calls. Spreading retries needs no more.
pub(crate) fn random() -> f64 {
    let bits = std::hash::RandomState::new().build_hasher().finish();
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit() {
        let longest = |number| delay(number, None, 1.0).unwrap().as_millis();
        assert_eq!([0, 1, 2, 3, 30].map(longest), [200, 400, 800, 1600, 15_000]);
        assert_eq!(delay(0, None, 0.0).unwrap().as_millis(), 100);
    }

    #[test]
    fn what_the_registry_asks_is_waited_but_not_forever() {
        let asked = |seconds| delay(0, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(asked(7), Some(Duration::from_secs(7)));
        assert_eq!(asked(3600), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn random_numbers_stay_in_range() {
        assert!((0..100).map(|_| random()).all(|number| (0.0..=1.0).contains(&number)));
    }
}
