//! Asking a target again that was not there just now.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Seams;
use crate::application::Retry;
use crate::events::Event;
use crate::target::TargetError;

/// When the Application does not say: a hiccup is bridged, an outage is said soon.
const SHORT: Retry = Retry {
    limit: Some(4),
    pause: Duration::from_millis(250),
    factor: 2,
    longest_pause: Duration::from_secs(2),
};

/// Makes a request until it is answered, the target refuses it, or the policy has no tries left.
pub(super) async fn retrying<'a, T>(
    seams: &Seams<'_>,
    policy: Option<&Retry>,
    mut request: impl FnMut() -> BoxFuture<'a, Result<T, TargetError>> + Send,
) -> Result<T, TargetError> {
    let policy = policy.unwrap_or(&SHORT);
    let mut attempt = 0;
    loop {
        let error = match request().await {
            Err(error) if error.may_pass() => error,
            answer => return answer,
        };
        attempt += 1;
        let Some(pause) = policy.pause_before(attempt) else { return Err(error) };
        seams.events.event(Event::Retrying { error: &error, pause });
        tokio::time::sleep(pause).await;
    }
}
