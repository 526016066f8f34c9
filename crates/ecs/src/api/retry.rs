//! How long a call waits before it is made again.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Tries after the first one; whoever synchronises has patience of its own.
const TRIES: u32 = 3;
const FIRST: Duration = Duration::from_millis(100);

/// The pause before try `number + 2`: any part of a limit that doubles (full jitter, which spreads callers that were
/// throttled together). `None` when no tries are left.
pub(super) fn pause(number: u32) -> Option<Duration> {
    (number < TRIES).then(|| limit(number).mul_f64(random()))
}

fn limit(number: u32) -> Duration {
    FIRST.saturating_mul(2u32.saturating_pow(number))
}

/// A number from 0 to 1 that differs between processes and calls. Spreading retries needs no more.
fn random() -> f64 {
    let bits = std::hash::RandomState::new().build_hasher().finish();
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_within_a_doubling_limit_and_end() {
        for (number, longest) in [(0, 100), (1, 200), (2, 400)] {
            let longest = Duration::from_millis(longest);
            assert!((0..50).all(|_| pause(number).unwrap() <= longest));
        }
        assert_eq!(pause(3), None);
    }
}
