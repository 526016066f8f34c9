//! Time as the supervisor counts it.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. Wall clock, because it outlives the supervisor in the record file; within one
/// supervisor it advances with the monotonic clock, so that a set clock ends no deadline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    /// That much later.
    pub fn plus(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(duration.as_millis() as u64))
    }

    /// That many seconds later.
    pub fn plus_seconds(self, seconds: u32) -> Moment {
        self.plus(Duration::from_secs(seconds.into()))
    }

    /// Time since `earlier`, zero where that lies ahead.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
/// Tells the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall_at_start: Moment,
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clock { wall_at_start: Moment::default().plus(since_epoch), start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        self.wall_at_start.plus(self.start.elapsed())
    }
}
