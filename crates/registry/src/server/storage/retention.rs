//! What a policy lets go of, taken out of a repository.

use std::collections::BTreeMap;

use super::{Repository, StorageError, files};
use crate::server::retain::{Deletions, ManifestFacts, RepositoryFacts, TagFacts};

impl Repository {
    /// Removes what `decide` lets go of, tags before manifests; nobody adds meanwhile. With `dry_run` only tells.
    pub(crate) fn let_go(
        &self,
        decide: &dyn Fn(&RepositoryFacts) -> Deletions,
        dry_run: bool,
    ) -> Result<Deletions, StorageError> {
        let removing = self.removing()?;
        let deletions = decide(&self.facts()?);
        if dry_run {
            return Ok(deletions);
        }
        for tag in &deletions.tags {
            self.remove_tag(tag, &removing)?;
            fail::fail_point!("registry.serve.retain.untagged");
        }
        for digest in &deletions.manifests {
            self.remove_manifest(digest, &removing)?;
        }
        Ok(deletions)
    }

    fn facts(&self) -> Result<RepositoryFacts, StorageError> {
        let (mut tags, mut manifests) = (BTreeMap::new(), BTreeMap::new());
        for tag in self.tags()? {
            if let Some((digest, since)) = self.tagged(&tag)? {
                tags.insert(tag, TagFacts { digest, since });
            }
        }
        for (digest, path) in self.digests_in("_manifests")? {
            let Some(stored) = self.manifest(&digest)? else { continue };
            // Of what can't be read nobody knows what it needs: then nothing goes.
            let facts = stored.facts().ok_or_else(|| files::damaged(&path, "it is no manifest"))?;
            let (children, subject) = (facts.children, facts.subject);
            manifests.insert(digest, ManifestFacts { pushed: stored.pushed, children, subject });
        }
        Ok(RepositoryFacts { tags, manifests })
    }
}
