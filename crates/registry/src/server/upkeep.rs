//! What a registry does by itself, from time to time: lets go of what its policy does not keep, and collects what nothing
//! needs then.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::pattern::Pattern;
use super::retain::{Deletions, Policy, retain};
use super::storage::{Collected, Collection, Storage, StorageError, now_in_seconds};
use super::{Log, Upkeep};

/// What was let go of in one repository.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LetGo {
    /// The repository.
    pub repository: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The digests of its manifests.
    pub manifests: Vec<String>,
}

/// Lets go of what `policy` does not keep in the registry below `folder`, which others may serve meanwhile; with
/// `dry_run` only tells. The blobs go with a later collection.
///
/// # Errors
/// When the folder can't be read or changed. Repositories before that one are done.
pub fn let_go(
    folder: &Path,
    policy: &Policy,
    immutable_tags: &[Pattern],
    dry_run: bool,
) -> Result<Vec<LetGo>, StorageError> {
    let keeper = Keeper { storage: Storage::open(folder)?, immutable_tags: immutable_tags.into() };
    keeper.let_go(policy, dry_run)
}

/// A registry's storage, and the tags that stay.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) storage: Storage,
    pub(crate) immutable_tags: Arc<[Pattern]>,
}

/// Lets go and collects now and again, for ever.
pub(crate) async fn keep_up(keeper: Keeper, policy: Option<Policy>, upkeep: Upkeep, log: Log) {
    loop {
        tokio::time::sleep(upkeep.every).await;
        let (keeper, policy) = (keeper.clone(), policy.clone());
        let done = tokio::task::spawn_blocking(move || {
            let gone = policy.map(|policy| keeper.let_go(&policy, false)).transpose()?;
            Ok::<_, StorageError>((gone.unwrap_or_default(), keeper.collect(upkeep)?))
        });
        match done.await {
            Ok(Ok((gone, collected))) => tell(&log, &gone, collected),
            Ok(Err(error)) => log.line(&format!("garbage was not collected: {error}")),
            Err(error) => log.line(&format!("garbage was not collected: {error}")),
        }
    }
}

impl Keeper {
    fn let_go(&self, policy: &Policy, dry_run: bool) -> Result<Vec<LetGo>, StorageError> {
        let is_immutable =
            |tag: &super::name::Tag| self.immutable_tags.iter().any(|pattern| pattern.matches(tag.as_str()));
        let mut gone = Vec::new();
        for name in self.storage.repositories()? {
            let now = now_in_seconds();
            let decide = |facts: &_| retain(policy, &name, facts, &is_immutable, now);
            let deletions = self.storage.repository(&name).let_go(&decide, dry_run)?;
            if deletions != Deletions::default() {
                gone.push(LetGo {
                    repository: name.to_string(),
                    tags: deletions.tags.iter().map(ToString::to_string).collect(),
                    manifests: deletions.manifests.iter().map(ToString::to_string).collect(),
                });
            }
        }
        Ok(gone)
    }

    fn collect(&self, upkeep: Upkeep) -> Result<Collected, StorageError> {
        let Upkeep { keep_blobs_for, keep_uploads_for, .. } = upkeep;
        self.storage.collect(Collection { keep_blobs_for, keep_uploads_for })
    }
}

fn tell(log: &Log, gone: &[LetGo], collected: Collected) {
    for LetGo { repository, tags, manifests } in gone {
        log.line(&format!("{repository}: let go of {} tags and {} manifests", tags.len(), manifests.len()));
    }
    if collected != Collected::default() {
        let Collected { blobs, bytes, links, uploads } = collected;
        log.line(&format!(
            "garbage collected: {blobs} blobs with {bytes} bytes, {links} of repositories, {uploads} uploads"
        ));
    }
}
