//! Which manifests are about which: an index beside the manifests, in which an entry without its manifest says nothing.

use serde::Serialize;
use serde_json::{Map, Value};

use super::repositories::{Adding, Removing};
use super::{ContentDigest, Repository, StorageError, files};

/// A descriptor as the referrers API gives it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    media_type: String,
    digest: ContentDigest,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    annotations: Map<String, Value>,
}

impl Repository {
    /// The manifests of which `subject` is the subject, whether or not it is there itself; sorted by digest.
    pub(crate) fn referrers(&self, subject: &ContentDigest) -> Result<Vec<Referrer>, StorageError> {
        let mut found = Vec::new();
        for digest in self.noted_referrers(subject)? {
            let Some(stored) = self.manifest(&digest)? else { continue };
            let Some(facts) = stored.facts() else { continue };
            found.push(Referrer {
                media_type: stored.media_type,
                digest,
                size: stored.bytes.len(),
                artifact_type: facts.artifact_type,
                annotations: facts.annotations,
            });
        }
        Ok(found)
    }

    pub(super) fn note_referrer(
        &self,
        subject: &ContentDigest,
        referrer: &ContentDigest,
        _: &Adding,
    ) -> Result<(), StorageError> {
        let folder = self.referrers_folder(subject);
        files::make_folder(&folder)?;
        self.storage.create(&folder.join(entry_name(referrer)), b"").map(drop)
    }

    pub(super) fn forget_referrer(
        &self,
        subject: &ContentDigest,
        referrer: &ContentDigest,
        _: &Removing,
    ) -> Result<(), StorageError> {
        files::remove(&self.referrers_folder(subject).join(entry_name(referrer))).map(drop)
    }

    /// Entries that a killed process left without their manifest.
    pub(super) fn sweep_referrers(&self, removing: &Removing) -> Result<(), StorageError> {
        for (subject, folder) in self.digests_in("_referrers")? {
            for referrer in self.noted_referrers(&subject)? {
                if !self.has_manifest(&referrer) {
                    self.forget_referrer(&subject, &referrer, removing)?;
                }
            }
            // Only an empty one goes.
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }

    fn noted_referrers(&self, subject: &ContentDigest) -> Result<Vec<ContentDigest>, StorageError> {
        let paths = files::entries(&self.referrers_folder(subject))?;
        let digest = |path: &std::path::PathBuf| files::name_of(path).replacen('-', ":", 1).parse().ok();
        Ok(paths.iter().filter_map(digest).collect())
    }
}

fn entry_name(digest: &ContentDigest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}
