//! Bringing one revision out, whether it comes from the source or from the history.

use std::collections::BTreeMap;

use minato_oci::Digest;
use minato_resource::Object;
use serde_json::Value;

use super::follow::{Failure, Follower};
use super::resume::{Start, decide};
use super::run::{Assessment, Run, now};
use super::{Outcome, Seams, SyncError, restore};
use crate::application::{Application, RollbackPolicy};
use crate::events::Event;
use crate::fingerprint::Fingerprint;
use crate::store::{Holder, NewRevision, Operation, OperationKind, Phase, Revision, Verdict};
use crate::target::Context;

/// A revision to bring out.
pub(super) struct Release<'a> {
    pub application: &'a Application,
    pub document: &'a Value,
    pub revision: &'a str,
    pub objects: &'a [Object],
    pub images: &'a BTreeMap<String, Digest>,
    pub prune: bool,
    pub kind: OperationKind,
    pub repeats: Option<u64>,
}

pub(super) async fn bring_out(
    seams: &Seams<'_>,
    release: &Release<'_>,
    holder: Holder,
) -> Result<Outcome, SyncError> {
    let redacted: Vec<Value> = release.objects.iter().map(|object| seams.redactor.redact(object)).collect();
    let fingerprint = Fingerprint::of(&redacted, release.images);
    let record = seams.store.application(&release.application.name).await?;
    let history = seams.store.history(&release.application.name).await?;
    let last = record.and_then(|record| record.operation);
    let start = decide(last.as_ref(), release.kind, &fingerprint);
    let operation = begin(&start, release, fingerprint, holder);
    let (application, document) = (release.application, release.document);
    let mut run = Run { seams, application, document, history, operation };
    if start != Start::Fresh {
        seams.events.event(Event::Resuming { revision: release.revision });
    }
    if let Start::FinishRollback { to, cause, .. } = start {
        return restore::restore(&mut run, release, &redacted, to, cause).await;
    }
    let mut context = run.context(release.revision, release.objects, release.images);
    let assessment = run.assess(&mut context, release.prune).await?;
    assessment.plan.kept.iter().for_each(|key| seams.events.event(Event::Kept(key)));
    if start == Start::Fresh && assessment.plan.is_empty() {
        return unchanged(&mut run, release, redacted, &context, &assessment).await;
    }
    run.pin(release.images)?;
    run.save().await?;
    if let Some(failure) = run.carry_out(&mut context, &assessment).await? {
        return failed(&mut run, release, redacted, &failure).await;
    }
    if !assessment.plan.prune.is_empty() {
        run.operation.phase = Phase::Pruning;
        run.save().await?;
        run.remove(&assessment.plan.prune).await?;
    }
    succeed(&mut run, release, redacted).await
}

/// The operation's record: the one that is carried on, or a new one.
fn begin(start: &Start, release: &Release, fingerprint: Fingerprint, holder: Holder) -> Operation {
    match start {
        Start::Resume(operation) | Start::FinishRollback { operation, .. } => {
            Operation { holder, ..(**operation).clone() }
        }
        Start::Fresh => Operation {
            kind: release.kind,
            revision: release.revision.to_owned(),
            fingerprint,
            phase: Phase::Applying,
            holder,
            started: now(),
            intended: Vec::new(),
            applied: Vec::new(),
        },
    }
}

/// Nothing to write to the target. What is still on its way is waited for; a revision whose documents differ only
/// in what the target does not see is remembered.
async fn unchanged(
    run: &mut Run<'_>,
    release: &Release<'_>,
    redacted: Vec<Value>,
    context: &Context,
    assessment: &Assessment,
) -> Result<Outcome, SyncError> {
    let retry = run.application.sync_policy.retry.as_ref();
    if !assessment.following.is_empty() {
        let mut follower = Follower::new(run.seams, &context.owner, retry).await;
        if let Some(failure) = follower.follow(&assessment.following).await? {
            return Ok(Outcome::Failed { cause: failure.cause });
        }
    }
    if stands(&run.history, &run.operation.fingerprint) {
        return Ok(Outcome::Unchanged);
    }
    run.pin(release.images)?;
    succeed(run, release, redacted).await?;
    Ok(Outcome::Unchanged)
}

/// Whether the newest revision is this one and healthy.
fn stands(history: &[Revision], fingerprint: &Fingerprint) -> bool {
    history.first().is_some_and(|newest| {
        newest.content.verdict == Verdict::Healthy && newest.content.fingerprint == *fingerprint
    })
}

async fn succeed(
    run: &mut Run<'_>,
    release: &Release<'_>,
    redacted: Vec<Value>,
) -> Result<Outcome, SyncError> {
    let content = content(run, release, redacted, Verdict::Healthy);
    let revision = run.conclude(Phase::Succeeded, content).await?;
    Ok(Outcome::Deployed(Box::new(revision)))
}

async fn failed(
    run: &mut Run<'_>,
    release: &Release<'_>,
    redacted: Vec<Value>,
    failure: &Failure,
) -> Result<Outcome, SyncError> {
    let cause = failure.cause.clone();
    if let Some(to) = way_back(run) {
        run.operation.phase = Phase::RollingBack { to, cause: cause.clone() };
        // From here on `applied` tells what the rollback has done.
        run.operation.applied.clear();
        run.save().await?;
        fail::fail_point!("sync.rollback.begun");
        return restore::restore(run, release, &redacted, to, cause).await;
    }
    let verdict = Verdict::Failed { cause: cause.clone(), rolled_back_to: None };
    let content = content(run, release, redacted, verdict);
    run.conclude(Phase::Failed { cause: cause.clone() }, content).await?;
    Ok(Outcome::Failed { cause })
}

/// The number of the last healthy revision, if it is another one than this.
fn way_back(run: &Run<'_>) -> Option<u64> {
    if run.application.rollback == RollbackPolicy::Off {
        return None;
    }
    let healthy = run.history.iter().find(|revision| revision.content.verdict == Verdict::Healthy)?;
    (healthy.content.fingerprint != run.operation.fingerprint).then_some(healthy.number)
}

/// What the history remembers of this revision; its changes are those that stand now.
pub(super) fn content(
    run: &Run<'_>,
    release: &Release<'_>,
    redacted: Vec<Value>,
    verdict: Verdict,
) -> NewRevision {
    let mut applied = run.known();
    applied.retain(|key, _| release.objects.iter().any(|object| object.key() == key));
    NewRevision {
        revision: release.revision.to_owned(),
        fingerprint: run.operation.fingerprint.clone(),
        objects: redacted,
        images: release.images.clone(),
        applied: applied.into_values().collect(),
        kind: release.kind,
        repeats: release.repeats,
        started: run.operation.started,
        finished: now(),
        verdict,
    }
}
