//! `rollback`: bring out a revision from the history, on request.

use serde_json::Value;

use super::bring_out::{Release, bring_out};
use super::restore::with_secrets;
use super::{Outcome, Seams, SyncError, lock};
use crate::application::Application;
use crate::store::{Holder, OperationKind, Revision, Verdict};
use minato_resource::Object;

/// What to go back to.
#[derive(Debug, Clone)]
pub struct RollbackRequest {
    /// The Application.
    pub application: Application,
    /// Its document, to be remembered.
    pub document: Value,
    /// The number in the history; `None` for the healthy one before the one that stands.
    pub number: Option<u64>,
    /// Objects of today's files, in clear, for their secret values.
    pub at_hand: Vec<Object>,
    /// Remove what that revision did not have.
    pub prune: bool,
    /// The command that asks, for people who wait for its lock.
    pub command: String,
}

/// Brings out a revision from the history: the Objects and images as they were, nothing is rendered again.
///
/// # Errors
/// There is no such revision, a secret of it is gone, or the operation could not be carried through.
pub async fn rollback(seams: &Seams<'_>, request: &RollbackRequest) -> Result<Outcome, SyncError> {
    let name = &request.application.name;
    let holder = lock::acquire(seams, name, &request.command).await?;
    let done = go_back(seams, request, holder.clone()).await;
    lock::release(seams, name, &holder, done).await
}

async fn go_back(seams: &Seams<'_>, request: &RollbackRequest, holder: Holder) -> Result<Outcome, SyncError> {
    let history = seams.store.history(&request.application.name).await?;
    let Some(revision) = earlier_revision(&history, request.number) else {
        return Err(no_such_revision(request, &history));
    };
    let content = &revision.content;
    let objects = with_secrets(seams, &content.objects, &request.at_hand).await?;
    let release = Release {
        application: &request.application,
        document: &request.document,
        revision: &content.revision,
        objects: &objects,
        images: &content.images,
        prune: request.prune,
        kind: OperationKind::Rollback,
        repeats: Some(revision.number),
    };
    bring_out(seams, &release, holder).await
}

fn no_such_revision(request: &RollbackRequest, history: &[Revision]) -> SyncError {
    let numbers: Vec<String> = history.iter().map(|revision| revision.number.to_string()).collect();
    let known = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
    let name = request.application.name.clone();
    match request.number {
        Some(number) => SyncError::NoSuchRevision { name, number, known },
        None => SyncError::NothingBefore { name },
    }
}

/// What a rollback goes back to: the revision of that number, or the newest healthy one whose content is not what stands
/// now. `history` is newest first.
pub fn earlier_revision(history: &[Revision], number: Option<u64>) -> Option<&Revision> {
    if let Some(number) = number {
        return history.iter().find(|revision| revision.number == number);
    }
    let mut healthy = history.iter().filter(|revision| revision.content.verdict == Verdict::Healthy);
    let standing = healthy.next()?;
    healthy.find(|revision| revision.content.fingerprint != standing.content.fingerprint)
}
