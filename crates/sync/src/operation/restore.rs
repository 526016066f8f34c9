//! Going back by itself to the last healthy revision, from the history: nothing is rendered again.

use minato_resource::{Object, ResourceKey};
use serde_json::Value;

use super::bring_out::Release;
use super::run::{Run, now};
use super::{Outcome, Seams, SyncError};
use crate::events::Event;
use crate::secrets::SecretError;
use crate::store::{NewRevision, Phase, Revision, Verdict};
use crate::target::{Applied, Cause, TargetError};

/// Brings revision `to` back after `release` failed with `cause`, and ends the operation as a failure.
pub(super) async fn restore(
    run: &mut Run<'_>,
    release: &Release<'_>,
    redacted: &[Value],
    to: u64,
    cause: Cause,
) -> Result<Outcome, SyncError> {
    let Some(revision) = run.history.iter().find(|revision| revision.number == to).cloned() else {
        let mut cause = cause;
        cause.facts.push(("rollback".to_owned(), format!("revision {to} is not in the history any more")));
        conclude(run, release, redacted, cause.clone(), None, Vec::new()).await?;
        return Ok(Outcome::Failed { cause });
    };
    run.seams.events.event(Event::RollingBack { to: &revision, cause: &cause });
    let back = match bring_back(run, release, &revision).await {
        Ok(back) => back,
        // What may pass is left to the next run: the record says that a rollback is under way.
        Err(error) if may_pass(&error) => return Err(error),
        Err(error) => Some(Cause::new(error.to_string())),
    };
    let rolled_back_to = back.is_none().then_some(to);
    let standing = standing(run, &revision);
    conclude(run, release, redacted, cause.clone(), rolled_back_to, standing).await?;
    let to = Box::new(revision);
    Ok(match back {
        None => Outcome::RolledBack { cause, to },
        Some(rollback_cause) => Outcome::RollbackFailed { cause, to, rollback_cause },
    })
}

/// Applies the earlier revision and removes what only the failed one made. `Some` says why it failed.
async fn bring_back(
    run: &mut Run<'_>,
    release: &Release<'_>,
    revision: &Revision,
) -> Result<Option<Cause>, SyncError> {
    let objects = with_secrets(run.seams, &revision.content.objects, release.objects).await?;
    let mut context = run.context(&revision.content.revision, &objects, &revision.content.images);
    let made: Vec<ResourceKey> = run.operation.intended.clone();
    let assessment = run.assess(&mut context, true).await?;
    if let Some(failure) = run.carry_out(&mut context, &assessment).await? {
        return Ok(Some(failure.cause));
    }
    // Objects that were extra before are none of this operation's business.
    let prune: Vec<ResourceKey> =
        assessment.plan.prune.iter().filter(|key| made.contains(key)).cloned().collect();
    run.remove(&prune).await?;
    Ok(None)
}

/// Remembered Objects with their secret values, said where a value is not the one they had.
pub(super) async fn with_secrets(
    seams: &Seams<'_>,
    remembered: &[Value],
    at_hand: &[Object],
) -> Result<Vec<Object>, SecretError> {
    let mut objects = Vec::with_capacity(remembered.len());
    for value in remembered {
        let restored = seams.redactor.restore(value, at_hand, seams.secrets).await?;
        for reference in &restored.changed {
            seams.events.event(Event::SecretChanged(reference));
        }
        objects.push(restored.object);
    }
    Ok(objects)
}

/// The changes that stand after a rollback.
fn standing(run: &Run<'_>, revision: &Revision) -> Vec<Applied> {
    let mut known = run.known();
    let names: Vec<ResourceKey> = revision
        .content
        .objects
        .iter()
        .filter_map(|value| Object::from_value(value.clone()).ok())
        .map(|object| object.key().clone())
        .collect();
    known.retain(|key, _| names.contains(key));
    known.into_values().collect()
}

async fn conclude(
    run: &mut Run<'_>,
    release: &Release<'_>,
    redacted: &[Value],
    cause: Cause,
    rolled_back_to: Option<u64>,
    applied: Vec<Applied>,
) -> Result<(), SyncError> {
    let content = NewRevision {
        revision: release.revision.to_owned(),
        fingerprint: run.operation.fingerprint.clone(),
        objects: redacted.to_vec(),
        images: release.images.clone(),
        applied,
        kind: release.kind,
        repeats: release.repeats,
        started: run.operation.started,
        finished: now(),
        verdict: Verdict::Failed { cause: cause.clone(), rolled_back_to },
    };
    run.conclude(Phase::Failed { cause }, content).await?;
    Ok(())
}

fn may_pass(error: &SyncError) -> bool {
    match error {
        SyncError::Target(error) => TargetError::may_pass(error),
        SyncError::Store(_) => true,
        _ => false,
    }
}
