//! One operation under way: its record, and the steps that `bring_out` and `restore` are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use minato_oci::Digest;
use minato_resource::{Object, ResourceKey};
use serde_json::Value;

use super::follow::{Failure, Follower};
use super::observe::{Observed, find, observe};
use super::retry::retrying;
use super::{Seams, SyncError};
use crate::application::Application;
use crate::compare::ObjectState;
use crate::events::Event;
use crate::owner::{ApplicationName, Owner};
use crate::plan::{Plan, plan};
use crate::store::{ApplicationRecord, NewRevision, Operation, Phase, RECORD_VERSION, Revision};
use crate::target::{Applied, Cause, Context, Progress, TargetError};

/// The newest change of each Object.
pub(super) type Known = BTreeMap<ResourceKey, Applied>;

pub(super) struct Run<'a> {
    pub seams: &'a Seams<'a>,
    pub application: &'a Application,
    pub document: &'a Value,
    /// Newest first.
    pub history: Vec<Revision>,
    pub operation: Operation,
}

/// What is to be done about a set of desired Objects.
pub(super) struct Assessment {
    pub plan: Plan,
    /// Equal Objects whose change is still under way.
    pub following: Vec<Applied>,
}

impl Run<'_> {
    pub(super) fn name(&self) -> &ApplicationName {
        &self.application.name
    }

    /// What was applied last to each Object, as the history and this operation's record know it. An Object that
    /// the record only intended is left out: whether the target has it, nobody wrote down.
    pub(super) fn known(&self) -> Known {
        let newest = self.history.first().into_iter().flat_map(|revision| &revision.content.applied);
        let mut known: Known = newest.map(|applied| (applied.key.clone(), applied.clone())).collect();
        known.retain(|key, _| !self.operation.intended.contains(key));
        known.extend(self.operation.applied.iter().map(|applied| (applied.key.clone(), applied.clone())));
        known
    }

    /// Compares with what is live and plans what to do. Equal Objects are asked for the health of their last
    /// change: one that failed in an earlier operation, or that nobody knows, is applied again.
    pub(super) async fn assess(&self, context: &mut Context, prune: bool) -> Result<Assessment, SyncError> {
        let known = self.known();
        context.applied = known.values().cloned().collect();
        let Observed { live, comparison } = observe(self.seams, self.application, context).await?;
        self.seams.events.event(Event::Compared(&comparison));
        let mut again = Vec::new();
        let mut following = Vec::new();
        for compared in comparison.objects.iter().filter(|compared| compared.state == ObjectState::Synced) {
            let Some(applied) = known.get(&compared.key) else {
                again.push(compared.key.clone());
                continue;
            };
            let ours = self.operation.applied.contains(applied);
            match self.progress(applied).await? {
                Progress::Healthy => {}
                Progress::Progressing { .. } => following.push(applied.clone()),
                // A failure of this very operation is its verdict, an older one is worth another try.
                _ if ours => following.push(applied.clone()),
                _ => {
                    context.retry.push(compared.key.clone());
                    again.push(compared.key.clone());
                }
            }
        }
        let order = |key: &ResourceKey| self.seams.target.order(key);
        let plan = plan(&comparison, &context.desired, &live, &again, prune, &order);
        Ok(Assessment { plan, following })
    }

    async fn progress(&self, applied: &Applied) -> Result<Progress, TargetError> {
        let retry = self.application.sync_policy.retry.as_ref();
        retrying(self.seams, retry, || self.seams.target.progress(&applied.token)).await
    }

    /// Applies wave by wave and follows each change. `Some` is the first failure.
    pub(super) async fn carry_out(
        &mut self,
        context: &mut Context,
        assessment: &Assessment,
    ) -> Result<Option<Failure>, SyncError> {
        let mut pending = assessment.following.clone();
        let retry = self.application.sync_policy.retry.as_ref();
        let mut follower = Follower::new(self.seams, &context.owner, retry).await;
        for wave in &assessment.plan.waves {
            self.seams.events.event(Event::Wave { number: wave.number, objects: &wave.objects });
            let new = wave.objects.iter().filter(|key| !self.operation.intended.contains(key));
            let new: Vec<ResourceKey> = new.cloned().collect();
            self.operation.intended.extend(new);
            self.operation.applied.retain(|applied| !wave.objects.contains(&applied.key));
            self.save().await?;
            fail::fail_point!("sync.wave.intended");
            let accepted = self.apply_wave(context, &wave.objects, &mut pending).await;
            self.save().await?;
            fail::fail_point!("sync.wave.applied");
            if let Some(failure) = accepted? {
                return Ok(Some(failure));
            }
            if let Some(failure) = follower.follow(&pending).await? {
                return Ok(Some(failure));
            }
            pending.clear();
            fail::fail_point!("sync.wave.healthy");
        }
        follower.follow(&pending).await
    }

    async fn apply_wave(
        &mut self,
        context: &mut Context,
        keys: &[ResourceKey],
        pending: &mut Vec<Applied>,
    ) -> Result<Option<Failure>, SyncError> {
        let retry = self.application.sync_policy.retry.as_ref();
        let desired = Arc::clone(&context.desired);
        for object in keys.iter().filter_map(|key| find(&desired, key)) {
            let apply = || self.seams.target.apply(object, context);
            let applied = match retrying(self.seams, retry, apply).await {
                Ok(applied) => applied,
                Err(error) if error.may_pass() => return Err(error.into()),
                Err(error) => {
                    let cause = Cause::new(error.to_string());
                    self.seams.events.event(Event::Failed { key: object.key(), cause: &cause });
                    return Ok(Some(Failure { cause }));
                }
            };
            fail::fail_point!("sync.object.applied");
            self.seams.events.event(Event::Applied(&applied));
            context.applied.retain(|earlier| earlier.key != applied.key);
            context.applied.push(applied.clone());
            pending.push(applied.clone());
            self.operation.applied.push(applied);
        }
        Ok(None)
    }

    /// Removes Objects, in this order.
    pub(super) async fn remove(&self, keys: &[ResourceKey]) -> Result<(), SyncError> {
        let owner = self.owner();
        let retry = self.application.sync_policy.retry.as_ref();
        for key in keys {
            retrying(self.seams, retry, || self.seams.target.delete(key, &owner)).await?;
            fail::fail_point!("sync.object.removed");
            self.seams.events.event(Event::Removed(key));
        }
        Ok(())
    }

    pub(super) fn owner(&self) -> Owner {
        Owner::new(self.name().clone())
    }

    pub(super) fn context(
        &self,
        revision: &str,
        desired: &[Object],
        images: &BTreeMap<String, Digest>,
    ) -> Context {
        Context {
            owner: self.owner(),
            revision: revision.to_owned(),
            desired: desired.into(),
            images: Arc::new(images.clone()),
            applied: Vec::new(),
            retry: Vec::new(),
        }
    }

    /// Writes the operation's record.
    pub(super) async fn save(&self) -> Result<(), SyncError> {
        self.seams.store.save(&self.record()).await?;
        fail::fail_point!("sync.operation.saved");
        Ok(())
    }

    /// Ends the operation and adds to the history.
    pub(super) async fn conclude(
        &mut self,
        phase: Phase,
        content: NewRevision,
    ) -> Result<Revision, SyncError> {
        self.operation.phase = phase;
        let limit = self.application.history_limit;
        fail::fail_point!("sync.conclude.before");
        let revision = self.seams.store.conclude(&self.record(), content, limit).await?;
        fail::fail_point!("sync.conclude.after");
        self.history = self.seams.store.history(self.name()).await?;
        self.pin(&BTreeMap::new())?;
        Ok(revision)
    }

    /// Keeps every image that the history or `more` names.
    pub(super) fn pin(&self, more: &BTreeMap<String, Digest>) -> Result<(), SyncError> {
        let kept = self.history.iter().flat_map(|revision| revision.content.images.values());
        let mut ids: Vec<Digest> = kept.chain(more.values()).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        self.seams.pins.pin(&pin_owner(self.name()), &ids)?;
        Ok(())
    }

    fn record(&self) -> ApplicationRecord {
        ApplicationRecord {
            version: RECORD_VERSION,
            name: self.name().clone(),
            document: self.document.clone(),
            operation: Some(self.operation.clone()),
        }
    }
}

/// The name under which an Application's images are kept.
pub(super) fn pin_owner(name: &ApplicationName) -> String {
    format!("application/{name}")
}

/// The instant that records are stamped with.
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}
