//! `status`: what stands, how it differs from what was brought out, and how healthy it is.

use minato_resource::{Object, ResourceKey};

use super::observe::observe_remembered;
use super::{Seams, SyncError, retry::retrying};
use crate::application::{Application, Retry};
use crate::compare::{Compared, ObjectState};
use crate::health::Health;
use crate::owner::Owner;
use crate::store::{Operation, OperationKind, Revision, Verdict};
use crate::target::{Applied, Cause, Context};

/// How an Application stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The revision that stands, if one was ever brought out.
    pub revision: Option<Revision>,
    /// The worst of its Objects.
    pub health: Health,
    /// Whether live is what that revision brought out.
    pub synced: bool,
    /// Each Object.
    pub objects: Vec<ObjectStatus>,
    /// The last operation, running or done.
    pub operation: Option<Operation>,
}

/// How an Object stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectStatus {
    /// The Object.
    pub key: ResourceKey,
    /// Live against what was brought out.
    pub state: ObjectState,
    /// Health of its last change.
    pub health: Health,
    /// What it waits for, or why it is not healthy.
    pub message: Option<String>,
    /// More about why.
    pub cause: Option<Cause>,
}

/// Looks at an Application without changing anything and without its lock.
///
/// # Errors
/// It is not known, or the target or the state can't be read.
pub async fn status(seams: &Seams<'_>, application: &Application) -> Result<Status, SyncError> {
    let name = &application.name;
    let Some(record) = seams.store.application(name).await? else {
        return Err(SyncError::NoSuchApplication { name: name.clone() });
    };
    let history = seams.store.history(name).await?;
    let under_way = record.operation.as_ref().filter(|operation| is_bringing_out(operation));
    let applied = newest_changes(&history, under_way);
    let revision = standing(&history).cloned();
    let context = context(Owner::new(name.clone()), revision.as_ref(), &applied);
    let (comparison, problems) = observe_remembered(seams, application, &context).await?;
    let mut objects = Vec::new();
    for compared in &comparison.objects {
        let applied = applied.iter().find(|applied| applied.key == compared.key);
        let retry = application.sync_policy.retry.as_ref();
        let compared = &Compared { key: compared.key.clone(), state: state_of(compared, under_way) };
        let mut status = object_status(seams, retry, compared, applied).await?;
        if let Some(problem) = problems.iter().find(|problem| problem.key() == Some(&compared.key)) {
            status.message.get_or_insert_with(|| problem.to_string());
        }
        objects.push(status);
    }
    Ok(Status {
        revision,
        health: Health::roll_up(objects.iter().map(|object| object.health)),
        synced: comparison.is_synced(),
        objects,
        operation: record.operation,
    })
}

fn is_bringing_out(operation: &Operation) -> bool {
    operation.kind != OperationKind::Delete && !operation.phase.is_finished()
}

/// The newest change of each Object, those of an operation under way included.
fn newest_changes(history: &[Revision], under_way: Option<&Operation>) -> Vec<Applied> {
    let under_way = under_way.map(|operation| operation.applied.clone()).unwrap_or_default();
    let known = history.first().map(|newest| newest.content.applied.clone()).unwrap_or_default();
    let mut changes: Vec<Applied> =
        known.into_iter().filter(|known| under_way.iter().all(|newer| newer.key != known.key)).collect();
    changes.extend(under_way);
    changes
}

/// What an operation under way has made is in no revision yet, and yet nothing that is too much.
fn state_of(compared: &Compared, under_way: Option<&Operation>) -> ObjectState {
    match (&compared.state, under_way) {
        (ObjectState::Extra, Some(operation))
            if operation.applied.iter().any(|applied| applied.key == compared.key) =>
        {
            ObjectState::Synced
        }
        (ObjectState::Extra, Some(operation)) if operation.intended.contains(&compared.key) => {
            ObjectState::OutOfSync { differences: Vec::new() }
        }
        (state, _) => state.clone(),
    }
}

/// The revision whose Objects are in place: the newest one, or the one that was brought back after it.
fn standing(history: &[Revision]) -> Option<&Revision> {
    let newest = history.first()?;
    match newest.content.verdict {
        Verdict::Failed { rolled_back_to: Some(number), .. } => {
            history.iter().find(|revision| revision.number == number)
        }
        _ => Some(newest),
    }
}

fn context(owner: Owner, revision: Option<&Revision>, applied: &[Applied]) -> Context {
    let values = revision.map(|revision| revision.content.objects.as_slice()).unwrap_or_default();
    let objects: Vec<Object> =
        values.iter().filter_map(|value| Object::from_value(value.clone()).ok()).collect();
    let images = revision.map(|revision| revision.content.images.clone()).unwrap_or_default();
    Context {
        owner,
        revision: revision.map(|revision| revision.content.revision.clone()).unwrap_or_default(),
        desired: objects.into(),
        images: std::sync::Arc::new(images),
        applied: applied.to_vec(),
        retry: Vec::new(),
    }
}

async fn object_status(
    seams: &Seams<'_>,
    retry: Option<&Retry>,
    compared: &Compared,
    applied: Option<&Applied>,
) -> Result<ObjectStatus, SyncError> {
    let Compared { key, state } = compared;
    let mut status = ObjectStatus {
        key: key.clone(),
        state: state.clone(),
        health: Health::Unknown,
        message: None,
        cause: None,
    };
    match (state, applied) {
        (ObjectState::Missing, _) => status.health = Health::Missing,
        // Nobody waits for what is no longer wanted.
        (ObjectState::Extra, None) => status.health = Health::Healthy,
        (_, Some(applied)) => {
            let progress = retrying(seams, retry, || seams.target.progress(&applied.token)).await?;
            let (health, message, cause) = Health::of_progress(&progress);
            status.health = health;
            status.message = message.map(str::to_owned);
            status.cause = cause.cloned();
        }
        (_, None) => {}
    }
    Ok(status)
}
