//! What is live and what applying would make of it.

use minato_resource::{Object, ResourceKey};

use super::{Seams, SyncError, retry::retrying};
use crate::application::Application;
use crate::compare::{Comparison, compare};
use crate::target::{Context, TargetError};

/// A look at the target.
pub(super) struct Observed {
    pub live: Vec<Object>,
    pub comparison: Comparison,
}

/// Compares what an Application desires with what is live, and writes nothing.
pub async fn diff(
    seams: &Seams<'_>,
    application: &Application,
    context: &Context,
) -> Result<Comparison, SyncError> {
    Ok(observe(seams, application, context).await?.comparison)
}

/// Looks at the target: live, predicted, and how they differ.
pub(super) async fn observe(
    seams: &Seams<'_>,
    application: &Application,
    context: &Context,
) -> Result<Observed, SyncError> {
    let retry = application.sync_policy.retry.as_ref();
    let live = retrying(seams, retry, || seams.target.live(&context.owner)).await?;
    let mut predicted = Vec::with_capacity(context.desired.len());
    for desired in context.desired.iter() {
        let current = find(&live, desired.key());
        let made = retrying(seams, retry, || seams.target.predict(desired, current, context));
        predicted.push(made.await?);
    }
    let comparison = compare(&predicted, &live, &application.ignore_differences);
    Ok(Observed { live, comparison })
}

/// As [`observe`], for a revision that was brought out before: what could not be brought out any more (its secret is
/// gone, say) counts as what is live, and is named.
pub(super) async fn observe_remembered(
    seams: &Seams<'_>,
    application: &Application,
    context: &Context,
) -> Result<(Comparison, Vec<TargetError>), SyncError> {
    let retry = application.sync_policy.retry.as_ref();
    let live = retrying(seams, retry, || seams.target.live(&context.owner)).await?;
    let mut predicted = Vec::with_capacity(context.desired.len());
    let mut problems = Vec::new();
    for desired in context.desired.iter() {
        let current = find(&live, desired.key());
        match retrying(seams, retry, || seams.target.predict(desired, current, context)).await {
            Ok(object) => predicted.push(object),
            Err(problem @ TargetError::Refused { .. }) => {
                predicted.push(current.unwrap_or(desired).clone());
                problems.push(problem);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((compare(&predicted, &live, &application.ignore_differences), problems))
}

/// The Object of that key.
pub(super) fn find<'a>(objects: &'a [Object], key: &ResourceKey) -> Option<&'a Object> {
    objects.iter().find(|object| object.key() == key)
}
