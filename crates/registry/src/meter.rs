//! Watching that a long body keeps leaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Response, Url};
use tokio::time::Instant;

use crate::failure::{RequestError, broken, without_query};

const LOOK: Duration = Duration::from_millis(100);
/// A registry moves a large blob to its place before it answers: this many times the patience for anything else.
const PATIENCE: u32 = 4;

/// What a body tells of itself.
#[derive(Clone, Default)]
pub(crate) struct Counter {
    /// Bytes that have left.
    pub(crate) sent: Arc<AtomicU64>,
    /// Nothing leaves because nothing is there: whoever brings it watches over that.
    pub(crate) starved: Arc<AtomicBool>,
}

/// Counts the bytes of one body on their way out.
pub(crate) struct Meter<'a> {
    counter: Counter,
    total: u64,
    /// Told how many bytes have left.
    advanced: Box<dyn Fn(u64) + Send + Sync + 'a>,
}

impl<'a> Meter<'a> {
    /// For a body of `total` bytes.
    pub(crate) fn new(total: u64, advanced: impl Fn(u64) + Send + Sync + 'a) -> Self {
        Self { counter: Counter::default(), total, advanced: Box::new(advanced) }
    }

    /// Where the body's bytes are counted.
    pub(crate) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// The answer, unless nothing moves for `stall`.
    pub(crate) async fn watch(
        &self,
        url: &Url,
        stall: Duration,
        answer: impl Future<Output = Result<Response, reqwest::Error>>,
    ) -> Result<Response, RequestError> {
        let mut answer = std::pin::pin!(answer);
        let (mut before, mut since) = (self.counter.sent.load(Ordering::Relaxed), Instant::now());
        loop {
            let answered = tokio::time::timeout(LOOK, &mut answer).await;
            let sent = self.counter.sent.load(Ordering::Relaxed);
            if sent > before {
                (before, since) = (sent, Instant::now());
                (self.advanced)(sent);
            }
            if let Ok(answer) = answered {
                return answer.map_err(|error| broken(url, &error));
            }
            if self.counter.starved.load(Ordering::Relaxed) && sent < self.total {
                since = Instant::now();
            }
            let patience = if sent < self.total { stall } else { stall * PATIENCE };
            if since.elapsed() > patience {
                let url = without_query(url).to_string();
                return Err(RequestError::Stalled { url, seconds: patience.as_secs() });
            }
        }
    }
}
