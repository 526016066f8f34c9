//! Garbage collection, beside everything else that goes on: a repository lets go of blobs that none of its manifests
//! needs, and content that no repository has is removed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::uploads::is_written;
use super::{ContentDigest, Repository, Storage, StorageError, failed, files};
use crate::server::content::Algorithm;

/// A link of a repository on its way out.
const GONE: &str = "_gone";
/// A file in `staging/` is there for less than a second.
const STAGING_KEPT: Duration = Duration::from_secs(86_400);

/// What a collection leaves alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection {
    /// Blobs that were pushed, mounted or asked for so recently: a manifest may be about to name them.
    pub(crate) keep_blobs_for: Duration,
    /// Uploads that got something so recently.
    pub(crate) keep_uploads_for: Duration,
}

/// What a collection did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    /// Blobs that no repository has any more.
    pub blobs: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Blobs that a repository let go of.
    pub links: usize,
    /// Uploads that nobody went on with.
    pub uploads: usize,
}

impl Storage {
    /// Collects once.
    pub(crate) fn collect(&self, collection: Collection) -> Result<Collected, StorageError> {
        let mut collected = Collected::default();
        for name in self.repositories()? {
            self.repository(&name).collect(collection, &mut collected)?;
        }
        self.sweep_content(collection, &mut collected)?;
        for path in files::entries(&self.staging())? {
            if !is_recent(&path, STAGING_KEPT) {
                files::remove(&path)?;
            }
        }
        Ok(collected)
    }

    /// Content with one name is in no repository. A link that is added while it is looked at keeps the content.
    fn sweep_content(&self, collection: Collection, collected: &mut Collected) -> Result<(), StorageError> {
        for algorithm in Algorithm::ALL {
            for path in files::entries(&self.root().join("blobs").join(algorithm.name()))? {
                let Ok(found) = fs::metadata(&path) else { continue };
                if found.nlink() > 1 || is_recent(&path, collection.keep_blobs_for) {
                    continue;
                }
                files::remove(&path)?;
                fail::fail_point!("registry.serve.collect.content-removed");
                collected.blobs += 1;
                collected.bytes += found.len();
            }
        }
        Ok(())
    }
}

impl Repository {
    fn collect(&self, collection: Collection, collected: &mut Collected) -> Result<(), StorageError> {
        // No manifest is put meanwhile, so that none can need a blob that goes here.
        let removing = self.removing()?;
        let needed = self.needed()?;
        files::remove(&self.part(GONE))?;
        for (digest, link) in self.digests_in("_blobs")? {
            if needed.contains(&digest) || is_recent(&link, collection.keep_blobs_for) {
                continue;
            }
            if self.remove_link(&link, collection.keep_blobs_for)? {
                fail::fail_point!("registry.serve.collect.link-removed");
                collected.links += 1;
            }
        }
        self.sweep_referrers(&removing)?;
        for upload in files::entries(&self.part("_uploads"))? {
            if !is_recent(&upload, collection.keep_uploads_for) && !is_written(&upload) {
                files::remove(&upload)?;
                collected.uploads += 1;
            }
        }
        Ok(())
    }

    /// Removes a link, unless somebody asked for the blob at this moment: he was told that it is here. First the link is
    /// out of sight, then it is looked at again, so that whoever still saw it has left his mark by then.
    fn remove_link(&self, link: &Path, kept: Duration) -> Result<bool, StorageError> {
        let gone = self.part(GONE);
        fs::rename(link, &gone).map_err(|source| failed("move away", link, source))?;
        let stays = is_recent(&gone, kept);
        if stays {
            files::link(&gone, link)?;
        }
        files::remove(&gone)?;
        Ok(!stays)
    }

    /// What the manifests of the repository need.
    fn needed(&self) -> Result<BTreeSet<ContentDigest>, StorageError> {
        let mut needed = BTreeSet::new();
        for (digest, _) in self.digests_in("_manifests")? {
            // A manifest that can't be read needs nobody knows what: then nothing is removed.
            let Some(stored) = self.manifest(&digest)? else { continue };
            let Some(facts) = stored.facts() else {
                return Err(files::damaged(&self.manifest_path(&digest), "it is no manifest"));
            };
            needed.extend(facts.blobs);
            needed.extend(facts.children);
        }
        Ok(needed)
    }
}

fn is_recent(path: &Path, kept: Duration) -> bool {
    let modified = path.metadata().and_then(|found| found.modified());
    let age = modified.ok().and_then(|time| time.elapsed().ok());
    age.is_none_or(|age| age < kept)
}
