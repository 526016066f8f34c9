//! One operation at a time for each Application.

use std::time::Duration;

use super::{Seams, SyncError};
use crate::events::Event;
use crate::owner::ApplicationName;
use crate::store::{Holder, LockAnswer};

/// How often a held lock is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Takes the Application's lock, waiting as long as [`super::Tempo::lock`] says.
pub(super) async fn acquire(
    seams: &Seams<'_>,
    name: &ApplicationName,
    command: &str,
) -> Result<Holder, SyncError> {
    let deadline = tokio::time::Instant::now() + seams.tempo.lock;
    let mut told = false;
    loop {
        match seams.store.lock(name, command).await? {
            LockAnswer::Acquired(holder) => return Ok(holder),
            LockAnswer::Held(holder) if tokio::time::Instant::now() >= deadline => {
                return Err(SyncError::Held { name: name.clone(), holder });
            }
            LockAnswer::Held(holder) if !told => {
                seams.events.event(Event::WaitingForLock(&holder));
                told = true;
            }
            LockAnswer::Held(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

/// Gives the lock back after the work is done. What the work says matters more than a lock that the next one can
/// take from a dead process anyway.
pub(super) async fn release<T>(
    seams: &Seams<'_>,
    name: &ApplicationName,
    holder: &Holder,
    done: Result<T, SyncError>,
) -> Result<T, SyncError> {
    let released = seams.store.unlock(name, holder).await;
    let done = done?;
    released?;
    Ok(done)
}
