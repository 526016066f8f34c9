//! Who writes to which upload: one request at a time, and the newest one.
//!
//! A client whose connection stalled goes on with its upload on a new one, long before this end notices that nothing
//! more comes on the old. The old request then gives up its turn and keeps what it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::server::storage::UploadId;

/// How long a request has to give up its turn: what it got is on its way to the disk.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The requests of this process that write to uploads.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<UploadId, Arc<Notify>>>>);

/// The right to write to one upload, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    id: UploadId,
    wanted: Arc<Notify>,
}

impl Turns {
    /// Takes the turn from whoever has it.
    pub(super) fn take(&self, id: &UploadId) -> Turn {
        let wanted = Arc::new(Notify::new());
        let earlier = self.of_uploads().insert(id.clone(), Arc::clone(&wanted));
        if let Some(earlier) = earlier {
            // Kept for one that does not wait yet.
            earlier.notify_one();
        }
        Turn { turns: self.clone(), id: id.clone(), wanted }
    }

    fn of_uploads(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Arc<Notify>>> {
        self.0.lock().expect("no panic while locked")
    }
}

impl Turn {
    /// Waits until another request wants to go on with the upload.
    pub(super) async fn lost(&self) {
        self.wanted.notified().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.of_uploads();
        if turns.get(&self.id).is_some_and(|current| Arc::ptr_eq(current, &self.wanted)) {
            turns.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_request_has_the_turn() {
        let (turns, id): (Turns, UploadId) = (Turns::default(), "0".repeat(32).parse().unwrap());
        let first = turns.take(&id);
        let second = turns.take(&id);
        first.lost().await;
        drop(first);
        let third = turns.take(&id);
        second.lost().await;
        drop((second, third));
        assert!(turns.of_uploads().is_empty());
    }
}
