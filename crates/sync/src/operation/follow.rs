//! Following changes until each is healthy or one has failed.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use minato_resource::ResourceKey;
use tokio::time::Instant;

use super::{Seams, SyncError, retry::retrying};
use crate::application::Retry;
use crate::events::Event;
use crate::owner::Owner;
use crate::target::{Applied, Cause, Change, Progress};

/// Follows changes of one Application.
pub(super) struct Follower<'a> {
    seams: &'a Seams<'a>,
    retry: Option<&'a Retry>,
    changes: Option<BoxStream<'static, Change>>,
}

/// A change that did not become healthy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub cause: Cause,
}

impl<'a> Follower<'a> {
    /// A target that can't be watched is polled.
    pub(super) async fn new(seams: &'a Seams<'a>, owner: &Owner, retry: Option<&'a Retry>) -> Self {
        Self { seams, retry, changes: seams.target.watch(owner).await.ok() }
    }

    /// Waits until all are healthy (`Ok(None)`), one has failed, or the time for a wave is over.
    pub(super) async fn follow(&mut self, applied: &[Applied]) -> Result<Option<Failure>, SyncError> {
        let deadline = Instant::now() + self.seams.tempo.wave;
        let mut pending: BTreeMap<&ResourceKey, (&Applied, String)> =
            applied.iter().map(|applied| (&applied.key, (applied, String::new()))).collect();
        loop {
            let mut waiting = BTreeMap::new();
            for (key, (applied, told)) in pending {
                match look(self.seams, self.retry, applied, &told).await? {
                    Looked::Healthy => {}
                    Looked::Waiting(message) => {
                        waiting.insert(key, (applied, message));
                    }
                    Looked::Failed(failure) => return Ok(Some(failure)),
                }
            }
            if waiting.is_empty() {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Ok(Some(self.out_of_time(&waiting)));
            }
            pending = waiting;
            self.wait().await;
        }
    }

    fn out_of_time(&self, waiting: &BTreeMap<&ResourceKey, (&Applied, String)>) -> Failure {
        let (key, message) = waiting
            .iter()
            .next()
            .map(|(key, (_, message))| (key.to_string(), message.as_str()))
            .unwrap_or_default();
        let seconds = self.seams.tempo.wave.as_secs();
        Failure { cause: Cause::new(format!("{key} is not healthy after {seconds} s: {message}")) }
    }

    /// Until something changes or it is time to look anyway.
    async fn wait(&mut self) {
        let poll = tokio::time::sleep(self.seams.tempo.poll);
        let Some(changes) = &mut self.changes else { return poll.await };
        tokio::select! {
            change = changes.next() => if change.is_none() {
                // The stream ended; from now on only the clock wakes.
                self.changes = None;
            },
            () = poll => {}
        }
    }
}

/// One look at a change. It takes no `Follower`: a stream is not `Sync`, and operations must be `Send`.
async fn look(
    seams: &Seams<'_>,
    retry: Option<&Retry>,
    applied: &Applied,
    told: &str,
) -> Result<Looked, SyncError> {
    let key = &applied.key;
    let ask = || seams.target.progress(&applied.token);
    Ok(match retrying(seams, retry, ask).await? {
        Progress::Healthy => {
            seams.events.event(Event::Healthy(key));
            Looked::Healthy
        }
        Progress::Progressing { message } => {
            if message != told {
                seams.events.event(Event::Progressing { key, message: &message });
            }
            Looked::Waiting(message)
        }
        Progress::Failed { cause } | Progress::RolledBackByTarget { cause } => {
            seams.events.event(Event::Failed { key, cause: &cause });
            Looked::Failed(Failure { cause })
        }
    })
}

enum Looked {
    Healthy,
    Waiting(String),
    Failed(Failure),
}
