//! Manifests: one file each, which the tags of its repository mean.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::repositories::{Adding, Removing, make_parent};
use super::{ContentDigest, Repository, StorageError, Tag, files};
use crate::server::document::Facts;

const VERSION: u32 = 1;
/// A manifest that may be put, and the line before it.
const FILE_LIMIT: u64 = 16 << 20;

/// A manifest of a repository.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) digest: ContentDigest,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    /// When it was put, in seconds since 1970.
    pub(crate) pushed: u64,
}

/// What is to be put.
pub(crate) struct Put<'a> {
    pub(crate) digest: &'a ContentDigest,
    pub(crate) bytes: &'a [u8],
    pub(crate) facts: &'a Facts,
    pub(crate) tags: &'a [Tag],
    /// Whether what it needs may be missing: a cache has of an image what was asked for.
    pub(crate) may_be_partial: bool,
    /// Tags that go on meaning what they mean.
    pub(crate) is_immutable: &'a dyn Fn(&Tag) -> bool,
}

/// The line before the manifest's bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    version: u32,
    media_type: String,
    pushed: u64,
}

impl Repository {
    /// Keeps a manifest, then lets the tags mean it. What it needs stays as long as it is there.
    ///
    /// # Errors
    /// When a blob or a child is missing, or a tag is immutable and means something else.
    pub(crate) fn put_manifest(&self, put: &Put<'_>) -> Result<(), StorageError> {
        let adding = self.adding()?;
        if !put.may_be_partial {
            self.check_complete(put.facts)?;
        }
        for tag in put.tags.iter().filter(|tag| (put.is_immutable)(tag)) {
            self.check_unchanged(tag, put.digest)?;
        }
        if let Some(subject) = &put.facts.subject {
            self.note_referrer(subject, put.digest, &adding)?;
        }
        fail::fail_point!("registry.serve.manifest.before-rename");
        self.write_manifest(put, &adding)?;
        fail::fail_point!("registry.serve.manifest.after-rename");
        for tag in put.tags {
            let is_immutable = (put.is_immutable)(tag);
            self.set_tag(tag, put.digest, is_immutable, &adding)?;
        }
        Ok(())
    }

    /// The manifest, if the repository has it.
    pub(crate) fn manifest(&self, digest: &ContentDigest) -> Result<Option<Stored>, StorageError> {
        let path = self.manifest_path(digest);
        let Some(mut bytes) = files::read(&path, FILE_LIMIT)? else { return Ok(None) };
        let end = bytes.iter().position(|b| *b == b'\n');
        let end = end.ok_or_else(|| files::damaged(&path, "it has no first line"))?;
        let head: Head = serde_json::from_slice(&bytes[..end])
            .map_err(|error| files::damaged(&path, format!("its first line: {error}")))?;
        if head.version != VERSION {
            return Err(files::damaged(&path, format!("it has version {}", head.version)));
        }
        bytes.drain(..=end);
        // A manifest is small: it is verified again whenever it is read.
        if ContentDigest::of(digest.algorithm(), &bytes) != *digest {
            return Err(files::damaged(&path, format!("its content does not have digest {digest}")));
        }
        let Head { media_type, pushed, .. } = head;
        Ok(Some(Stored { digest: digest.clone(), media_type, bytes, pushed }))
    }

    pub(crate) fn has_manifest(&self, digest: &ContentDigest) -> bool {
        self.manifest_path(digest).is_file()
    }

    /// Removes a manifest and the tags that mean it; tells whether it was there.
    ///
    /// # Errors
    /// When one of the tags is immutable; then nothing was removed.
    pub(crate) fn delete_manifest(
        &self,
        digest: &ContentDigest,
        is_immutable: &dyn Fn(&Tag) -> bool,
    ) -> Result<bool, StorageError> {
        let removing = self.removing()?;
        let tags = self.tags_of(digest)?;
        if let Some(tag) = tags.iter().find(|tag| is_immutable(tag)) {
            return Err(StorageError::Immutable(tag.to_string()));
        }
        for tag in &tags {
            self.remove_tag(tag, &removing)?;
        }
        fail::fail_point!("registry.serve.manifest.untagged");
        self.remove_manifest(digest, &removing)
    }

    pub(super) fn remove_manifest(
        &self,
        digest: &ContentDigest,
        removing: &Removing,
    ) -> Result<bool, StorageError> {
        // A damaged one can be removed too; its entry among the referrers goes with the next collection.
        let stored = self.manifest(digest).unwrap_or_default();
        let subject = stored.and_then(|stored| stored.facts()).and_then(|facts| facts.subject);
        let was_there = files::remove(&self.manifest_path(digest))?;
        fail::fail_point!("registry.serve.manifest.removed");
        if let Some(subject) = subject {
            self.forget_referrer(&subject, digest, removing)?;
        }
        Ok(was_there)
    }

    fn check_complete(&self, facts: &Facts) -> Result<(), StorageError> {
        let blobs = facts.blobs.iter().filter(|blob| !self.has_blob(blob));
        let children = facts.children.iter();
        let children = children.filter(|child| !self.has_manifest(child) && !self.has_blob(child));
        let missing: Vec<String> = blobs.chain(children).take(20).map(ToString::to_string).collect();
        if missing.is_empty() { Ok(()) } else { Err(StorageError::Missing(missing)) }
    }

    fn write_manifest(&self, put: &Put<'_>, _: &Adding) -> Result<(), StorageError> {
        let path = self.manifest_path(put.digest);
        make_parent(&path)?;
        let head =
            Head { version: VERSION, media_type: put.facts.media_type.clone(), pushed: now_in_seconds() };
        let mut bytes = files::json_line(&head);
        bytes.extend_from_slice(put.bytes);
        self.storage.replace(&path, &bytes)
    }
}

impl Stored {
    /// What it says about itself; `None` for what another version would not have taken.
    pub(crate) fn facts(&self) -> Option<Facts> {
        crate::server::document::read(&self.bytes, Some(&self.media_type)).ok()
    }
}

pub(crate) fn now_in_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
