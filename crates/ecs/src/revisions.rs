//! Which registered revision stands for a desired task definition.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::{StreamExt as _, stream};
use minato_resource::Object;
use minato_sync::Owner;

use crate::api::ApiError;
use crate::cluster::Cluster;
use crate::revision::Revision;

/// How far back an equal revision is looked for: a history of good and of failed ones.
const BACK: usize = 20;
/// Calls that are under way at once.
const AT_ONCE: usize = 4;
/// Revisions that are remembered; beyond that memory starts anew.
const REMEMBERED: usize = 512;

/// Revisions that were seen. Their content never changes, so one call for each is enough.
#[derive(Default)]
pub(crate) struct Revisions(Mutex<BTreeMap<String, Revision>>);

impl Revisions {
    /// A revision by `family:revision` or ARN.
    pub(crate) async fn get(&self, cluster: &Cluster, reference: &str) -> Result<Option<Revision>, ApiError> {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        if let Some(known) = self.known().get(name) {
            return Ok(Some(known.clone()));
        }
        let revision = cluster.revision(reference).await?;
        if let Some(revision) = &revision {
            self.remember(revision);
        }
        Ok(revision)
    }

    /// The newest active revision of a family, asked for each time.
    pub(crate) async fn newest(&self, cluster: &Cluster, family: &str) -> Result<Option<Revision>, ApiError> {
        let revision = cluster.revision(family).await?.filter(|revision| revision.is_active);
        if let Some(revision) = &revision {
            self.remember(revision);
        }
        Ok(revision)
    }

    /// A revision that serves `desired`: one of `first`, else the newest of the family's newest ones.
    pub(crate) async fn serving(
        &self,
        cluster: &Cluster,
        desired: &Object,
        owner: &Owner,
        first: &[&str],
    ) -> Result<Option<Revision>, ApiError> {
        for reference in first {
            let found = self.get(cluster, reference).await?;
            if let Some(revision) = found.filter(|revision| revision.serves(desired, owner)) {
                return Ok(Some(revision));
            }
        }
        let arns = cluster.newest_revisions(desired.name(), BACK).await?;
        let calls = arns.into_iter().map(|arn| async move { self.get(cluster, &arn).await });
        let mut described = stream::iter(calls).buffered(AT_ONCE);
        while let Some(found) = described.next().await {
            if let Some(revision) = found?.filter(|revision| revision.serves(desired, owner)) {
                return Ok(Some(revision));
            }
        }
        Ok(None)
    }

    /// Remembers a revision as it is now.
    pub(crate) fn remember(&self, revision: &Revision) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(revision.name.clone(), revision.clone());
    }

    /// Asks for a revision again when it is needed next.
    pub(crate) fn forget(&self, revision: &Revision) {
        self.known().remove(&revision.name);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Revision>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
