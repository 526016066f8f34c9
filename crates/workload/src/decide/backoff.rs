//! How long to wait before something that failed is tried again: Kubernetes' 10 s doubling to 5 min, forgotten after ten
//! good minutes, but with one quick try first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

const QUICK: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    /// Since the last good time.
    pub(crate) failures: u32,
}

impl Backoff {
    /// Counts a failure of something that had run for `ran`, and says when to try again.
    pub(crate) fn fail(&mut self, ran: Duration, now: Moment) -> Moment {
        if ran >= FORGOTTEN_AFTER {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        now.plus(self.delay())
    }

    /// The wait after the last failure.
    pub(crate) fn delay(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            1 => QUICK,
            more => FIRST.saturating_mul(1 << (more - 2).min(10)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_minutes_and_are_forgotten() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> =
            (0..9).map(|_| backoff.fail(Duration::from_secs(1), Moment(0)).0 / 1000).collect();
        assert_eq!(waits, [1, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(backoff.fail(Duration::from_secs(600), Moment(0)), Moment(1000));
    }
}
