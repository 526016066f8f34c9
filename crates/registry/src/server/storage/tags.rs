//! Tags: names that mean manifests of their repository.

use serde::{Deserialize, Serialize};

use super::repositories::{Adding, Removing, make_parent};
use super::{ContentDigest, Repository, StorageError, Tag, files, now_in_seconds};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct TagRecord {
    version: u32,
    digest: ContentDigest,
    /// In seconds since 1970.
    since: u64,
}

impl Repository {
    /// Every tag, sorted.
    pub(crate) fn tags(&self) -> Result<Vec<Tag>, StorageError> {
        let paths = files::entries(&self.part("_tags"))?;
        Ok(paths.iter().filter_map(|path| files::name_of(path).parse().ok()).collect())
    }

    /// The manifest that the tag means, and since when, in seconds since 1970.
    pub(crate) fn tagged(&self, tag: &Tag) -> Result<Option<(ContentDigest, u64)>, StorageError> {
        let record = files::read_json::<TagRecord>(&self.tag_path(tag))?;
        Ok(record.filter(|record| record.version == VERSION).map(|record| (record.digest, record.since)))
    }

    /// Takes the tag away, not the manifest; tells whether it was there.
    pub(crate) fn delete_tag(
        &self,
        tag: &Tag,
        is_immutable: &dyn Fn(&Tag) -> bool,
    ) -> Result<bool, StorageError> {
        let removing = self.removing()?;
        if is_immutable(tag) && self.tagged(tag)?.is_some() {
            return Err(StorageError::Immutable(tag.to_string()));
        }
        self.remove_tag(tag, &removing)
    }

    pub(super) fn remove_tag(&self, tag: &Tag, _: &Removing) -> Result<bool, StorageError> {
        files::remove(&self.tag_path(tag))
    }

    pub(super) fn tags_of(&self, digest: &ContentDigest) -> Result<Vec<Tag>, StorageError> {
        let mut found = Vec::new();
        for tag in self.tags()? {
            if self.tagged(&tag)?.is_some_and(|(meant, _)| meant == *digest) {
                found.push(tag);
            }
        }
        Ok(found)
    }

    pub(super) fn set_tag(
        &self,
        tag: &Tag,
        digest: &ContentDigest,
        is_immutable: bool,
        _: &Adding,
    ) -> Result<(), StorageError> {
        let path = self.tag_path(tag);
        make_parent(&path)?;
        let record = TagRecord { version: VERSION, digest: digest.clone(), since: now_in_seconds() };
        if !is_immutable {
            return self.storage.replace_json(&path, &record);
        }
        // Of two who set it at the same time, one is first.
        if self.storage.create(&path, &files::json_line(&record))? {
            return Ok(());
        }
        self.check_unchanged(tag, digest)
    }

    pub(super) fn check_unchanged(&self, tag: &Tag, digest: &ContentDigest) -> Result<(), StorageError> {
        match self.tagged(tag)? {
            Some((meant, _)) if meant != *digest => Err(StorageError::Immutable(tag.to_string())),
            _ => Ok(()),
        }
    }
}
