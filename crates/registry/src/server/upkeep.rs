//! What a registry does by itself: garbage collection, from time to time.

use super::storage::{Collected, Collection, Storage, StorageError};
use super::{Log, Upkeep};

/// Collects now and again, for ever.
pub(crate) async fn keep_up(storage: Storage, upkeep: Upkeep, log: Log) {
    loop {
        tokio::time::sleep(upkeep.every).await;
        let storage = storage.clone();
        match tokio::task::spawn_blocking(move || once(&storage, upkeep)).await {
            Ok(Ok(Collected { blobs: 0, links: 0, uploads: 0, .. })) => {}
            Ok(Ok(done)) => log.line(&format!(
                "garbage collected: {} blobs with {} bytes, {} of repositories, {} uploads",
                done.blobs, done.bytes, done.links, done.uploads
            )),
            Ok(Err(error)) => log.line(&format!("garbage was not collected: {error}")),
            Err(error) => log.line(&format!("garbage was not collected: {error}")),
        }
    }
}

fn once(storage: &Storage, upkeep: Upkeep) -> Result<Collected, StorageError> {
    let Upkeep { keep_blobs_for, keep_uploads_for, .. } = upkeep;
    storage.collect(Collection { keep_blobs_for, keep_uploads_for })
}
