//! `delete`: remove everything of an Application, and forget it.

use minato_resource::{Object, ResourceKey};

use super::run::{now, pin_owner};
use super::{Seams, SyncError, lock, retry::retrying};
use crate::application::Retry;
use crate::events::Event;
use crate::fingerprint::Fingerprint;
use crate::owner::{ApplicationName, Owner};
use crate::plan::removal_order;
use crate::store::{Holder, Operation, OperationKind, Phase};

/// What to delete.
#[derive(Debug, Clone)]
pub struct DeleteRequest {
    /// The Application.
    pub name: ApplicationName,
    /// Its `syncPolicy.retry`.
    pub retry: Option<Retry>,
    /// The command that asks, for people who wait for its lock.
    pub command: String,
}

/// Removes every live Object of the Application in reverse order, waits until they are gone, and forgets its
/// history. Killed midway, it is simply asked for again.
///
/// # Errors
/// Nothing is known of such an Application, or something is still there after [`super::Tempo::removal`].
pub async fn delete(seams: &Seams<'_>, request: &DeleteRequest) -> Result<(), SyncError> {
    let name = &request.name;
    let holder = lock::acquire(seams, name, &request.command).await?;
    let done = delete_locked(seams, request, holder.clone()).await;
    lock::release(seams, name, &holder, done).await
}

async fn delete_locked(seams: &Seams<'_>, request: &DeleteRequest, holder: Holder) -> Result<(), SyncError> {
    let (name, retry) = (&request.name, request.retry.as_ref());
    let record = seams.store.application(name).await?;
    let owner = Owner::new(name.clone());
    let live = live(seams, retry, &owner).await?;
    if record.is_none() && live.is_empty() {
        return Err(SyncError::NoSuchApplication { name: name.clone() });
    }
    if let Some(mut record) = record {
        record.operation = Some(deleting(holder));
        seams.store.save(&record).await?;
        fail::fail_point!("sync.delete.begun");
    }
    remove_all(seams, retry, &owner, live).await?;
    seams.pins.unpin(&pin_owner(name))?;
    fail::fail_point!("sync.delete.removed");
    seams.store.remove(name).await?;
    Ok(())
}

async fn remove_all(
    seams: &Seams<'_>,
    retry: Option<&Retry>,
    owner: &Owner,
    mut live: Vec<Object>,
) -> Result<(), SyncError> {
    let deadline = tokio::time::Instant::now() + seams.tempo.removal;
    let order = |key: &ResourceKey| seams.target.order(key);
    let keys = removal_order(&live.iter().collect::<Vec<_>>(), &order);
    for key in &keys {
        retrying(seams, retry, || seams.target.delete(key, owner)).await?;
        fail::fail_point!("sync.object.deleted");
        seams.events.event(Event::Removed(key));
    }
    loop {
        live = self::live(seams, retry, owner).await?;
        let Some(object) = live.first() else { return Ok(()) };
        if tokio::time::Instant::now() >= deadline {
            let seconds = seams.tempo.removal.as_secs();
            return Err(SyncError::NotRemoved { key: object.key().clone(), seconds });
        }
        tokio::time::sleep(seams.tempo.poll).await;
    }
}

async fn live(seams: &Seams<'_>, retry: Option<&Retry>, owner: &Owner) -> Result<Vec<Object>, SyncError> {
    Ok(retrying(seams, retry, || seams.target.live(owner)).await?)
}

fn deleting(holder: Holder) -> Operation {
    Operation {
        kind: OperationKind::Delete,
        revision: String::new(),
        fingerprint: Fingerprint::of(&[], &std::collections::BTreeMap::new()),
        phase: Phase::Applying,
        holder,
        started: now(),
        intended: Vec::new(),
        applied: Vec::new(),
    }
}
