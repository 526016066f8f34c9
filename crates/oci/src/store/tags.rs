//! Tags: a name for an image, or for one image for each platform.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Image, Store, StoreError, files, images};
use crate::{Digest, Platform, Reference};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct TagRecord {
    version: u32,
    reference: Reference,
    /// What the tag means where one image is meant.
    id: Digest,
    /// The same for other platforms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<Digest>,
}

impl TagRecord {
    fn ids(self) -> Vec<Digest> {
        std::iter::once(self.id).chain(self.others).collect()
    }
}

impl Store {
    /// Lets `reference` mean the image `id` alone. A reference without a tag means `latest`.
    ///
    /// # Errors
    /// When the image is not there, the reference has a digest, or the tag can't be written.
    pub fn tag(&self, reference: &Reference, id: &Digest) -> Result<(), StoreError> {
        self.tag_all(reference, id, &[])
    }

    /// Lets `reference` mean the image `id` and, for other platforms, `others`.
    ///
    /// # Errors
    /// As [`Store::tag`].
    pub fn tag_all(&self, reference: &Reference, id: &Digest, others: &[Digest]) -> Result<(), StoreError> {
        if reference.digest().is_some() {
            return Err(StoreError::TagWithDigest(reference.clone()));
        }
        let _lease = self.lease()?;
        for id in std::iter::once(id).chain(others) {
            let image = self.image(id)?.ok_or(StoreError::NoImage(*id))?;
            self.image_layers(&image)?;
        }
        let reference = reference.with_default_tag();
        let path = self.tag_path(&reference);
        let record = TagRecord { version: VERSION, reference, id: *id, others: others.to_vec() };
        self.write_root(&path, &record)
    }

    /// As [`Store::tag`], for an image that was chosen from the index `index`: the tag goes on meaning the images for
    /// other platforms that were chosen from the same index before.
    ///
    /// # Errors
    /// As [`Store::tag`].
    pub fn tag_one_of(
        &self,
        reference: &Reference,
        image: &Image,
        index: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let Some(index) = index else { return self.tag(reference, &image.id) };
        let mut kept = Vec::new();
        for id in self.tagged_images(reference)? {
            let record = files::read_json::<images::ImageRecord>(&self.image_record_path(&id))?;
            let is_sibling = id != image.id && record.is_some_and(|record| record.index == Some(*index));
            let platform = self.image(&id)?.map(|image| image.config.platform());
            if is_sibling && platform.is_some_and(|platform| platform != image.config.platform()) {
                kept.push(id);
            }
        }
        let runs_here = Platform::host().rank(&image.config.platform()).is_some();
        if runs_here || kept.is_empty() {
            return self.tag_all(reference, &image.id, &kept);
        }
        // What the tag means without a platform is what runs here, or what came first.
        let first = kept.remove(0);
        kept.push(image.id);
        self.tag_all(reference, &first, &kept)
    }

    /// The image that `reference` means here. A digest in it is an image's identity, or the digest of the manifest
    /// or index that it came with.
    ///
    /// # Errors
    /// When a record can't be read.
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, StoreError> {
        Ok(self.tagged_images(reference)?.into_iter().next())
    }

    /// The image that `reference` means for `platform`.
    ///
    /// # Errors
    /// When a record or a config can't be read.
    pub fn resolve_for(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<Image>, StoreError> {
        let mut best = None;
        for id in self.tagged_images(reference)? {
            let Some(image) = self.image(&id)? else { continue };
            let Some(rank) = platform.rank(&image.config.platform()) else { continue };
            if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                best = Some((rank, image));
            }
        }
        Ok(best.map(|(_, image)| image))
    }

    /// All images that `reference` means: one for each platform, the one that [`Store::resolve`] gives first.
    ///
    /// # Errors
    /// When a record can't be read.
    pub fn tagged_images(&self, reference: &Reference) -> Result<Vec<Digest>, StoreError> {
        if let Some(digest) = reference.digest() {
            return self.images_of_digest(digest);
        }
        let record = files::read_json::<TagRecord>(&self.tag_path(&reference.with_default_tag()))?;
        Ok(record.map(TagRecord::ids).unwrap_or_default())
    }

    fn images_of_digest(&self, digest: &Digest) -> Result<Vec<Digest>, StoreError> {
        let mut found = Vec::new();
        for path in files::entries(&self.root.join("images"))? {
            let record = files::read_json::<images::ImageRecord>(&path)?;
            let names =
                |record: &images::ImageRecord| record.manifest == *digest || record.index == Some(*digest);
            found.extend(record.filter(names).map(|record| record.id));
        }
        if found.is_empty() {
            match self.image(digest) {
                Ok(image) => found.extend(image.map(|image| image.id)),
                Err(StoreError::Config { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Takes the tag away; tells whether it was there.
    ///
    /// # Errors
    /// When the record can't be removed.
    pub fn untag(&self, reference: &Reference) -> Result<bool, StoreError> {
        self.remove_record(&self.tag_path(&reference.with_default_tag()))
    }

    /// Every tag, the image it means and when it was set, sorted by reference.
    ///
    /// # Errors
    /// When a record can't be read.
    pub fn tagged(&self) -> Result<Vec<(Reference, Digest, SystemTime)>, StoreError> {
        let mut tags = Vec::new();
        for path in files::entries(&self.root.join("tags"))? {
            // A tag may be taken away while the list is made.
            let Some(record) = files::read_json::<TagRecord>(&path)? else { continue };
            let set = path.metadata().and_then(|found| found.modified());
            tags.push((record.reference, record.id, set.unwrap_or(SystemTime::UNIX_EPOCH)));
        }
        tags.sort();
        Ok(tags)
    }

    /// The images of all tags, for every platform.
    pub(super) fn all_tagged(&self) -> Result<Vec<Digest>, StoreError> {
        let mut ids = Vec::new();
        for path in files::entries(&self.root.join("tags"))? {
            ids.extend(files::read_json::<TagRecord>(&path)?.map(TagRecord::ids).unwrap_or_default());
        }
        Ok(ids)
    }

    // A reference may be longer than a file name: files are named by their digest.
    fn tag_path(&self, reference: &Reference) -> PathBuf {
        let name = Digest::sha256(reference.to_string()).hex();
        self.root.join("tags").join(format!("{name}.json"))
    }
}
