//! Garbage collection: mark from tags and pins, sweep the rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lease::Exclusive;
use super::{Store, StoreError, failed, files, images, layers};
use crate::Digest;

/// What a collection may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct CollectOptions {
    /// Content that nothing refers to stays this long after its last use, as the cache of later builds.
    pub keep_unused_for: Duration,
}

/// What a collection did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Collected {
    /// Somebody is adding to the store; nothing was touched. Ask again later.
    Busy,
    /// It ran.
    Done {
        /// Blobs removed.
        blobs: usize,
        /// Unpacked layers removed.
        layers: usize,
        /// Bytes of content that the removed blobs and layers held.
        bytes: u64,
    },
}

/// What the roots reach.
#[derive(Default)]
struct Reached {
    blobs: BTreeSet<Digest>,
    layers: BTreeSet<String>,
    records: BTreeSet<PathBuf>,
}

impl Store {
    /// Removes content that no tag and no pin reaches. It never runs while a [`super::Lease`] is held anywhere, so
    /// that what another process is adding is safe.
    ///
    /// # Errors
    /// When a root can't be followed; then nothing was removed. Or when something can't be removed.
    pub fn collect_garbage(&self, options: CollectOptions) -> Result<Collected, StoreError> {
        let Some(exclusive) = self.try_exclusive()? else { return Ok(Collected::Busy) };
        let mut reached = self.reach()?;
        self.clear_ingest(&exclusive)?;
        let (layers, layer_bytes) = self.sweep_layers(&mut reached, options, &exclusive)?;
        let (blobs, blob_bytes) = self.sweep_blobs(&reached, options)?;
        self.sweep_records(&reached)?;
        Ok(Collected::Done { blobs, layers, bytes: layer_bytes + blob_bytes })
    }

    fn reach(&self) -> Result<Reached, StoreError> {
        let mut reached = Reached::default();
        for id in self.all_tagged()? {
            self.reach_image(&id, &mut reached)?;
        }
        for id in self.pinned()?.into_iter().flat_map(|(_, ids)| ids) {
            reached.layers.insert(layers::layer_name(&id));
            self.reach_image(&id, &mut reached)?;
        }
        Ok(reached)
    }

    fn reach_image(&self, id: &Digest, reached: &mut Reached) -> Result<(), StoreError> {
        reached.blobs.insert(*id);
        match self.image(id) {
            Ok(Some(image)) => {
                reached.layers.extend(image.config.rootfs.diff_ids.iter().map(layers::layer_name));
            }
            // A pin may name a layer or a plain blob.
            Ok(None) | Err(StoreError::Config { .. } | StoreError::TooLong { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let Some(manifest) = self.manifest_of(id)? else { return Ok(()) };
        reached.records.insert(self.image_record_path(id));
        reached.blobs.insert(manifest);
        Ok(())
    }

    fn sweep_layers(
        &self,
        reached: &mut Reached,
        options: CollectOptions,
        exclusive: &Exclusive,
    ) -> Result<(usize, u64), StoreError> {
        let (mut count, mut bytes) = (0, 0);
        for folder in files::entries(&self.root.join("layers"))? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let described = layers::described(&folder)?;
            if reached.layers.contains(&name) || is_recent(&folder.join("layer.json"), options) {
                // A layer stays together with the blob that it came from: only that gives the same export again.
                reached.blobs.extend(described.and_then(|(_, blob)| blob));
                continue;
            }
            bytes += described.map_or(0, |(size, _)| size);
            // Gone in one step: a half-removed layer must never be found.
            let grave = self.ingest_folder().join(&name);
            fs::rename(&folder, &grave).map_err(|source| failed("move away", &folder, source))?;
            fail::fail_point!("oci.collect.layer-moved");
            count += 1;
        }
        self.clear_ingest(exclusive)?;
        Ok((count, bytes))
    }

    fn sweep_blobs(&self, reached: &Reached, options: CollectOptions) -> Result<(usize, u64), StoreError> {
        let (mut count, mut bytes) = (0, 0);
        let kept: BTreeSet<PathBuf> = reached.blobs.iter().map(|digest| self.blob_path(digest)).collect();
        for path in files::entries(&self.root.join("blobs/sha256"))? {
            if kept.contains(&path) || is_recent(&path, options) {
                continue;
            }
            bytes += path.metadata().map(|found| found.len()).unwrap_or(0);
            fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
            fail::fail_point!("oci.collect.blob-removed");
            count += 1;
        }
        Ok((count, bytes))
    }

    fn sweep_records(&self, reached: &Reached) -> Result<(), StoreError> {
        for path in files::entries(&self.root.join("images"))? {
            let record = files::read_json::<images::ImageRecord>(&path)?;
            let gone = record.is_none_or(|record| !self.has_blob(&record.id));
            if gone && !reached.records.contains(&path) {
                fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
            }
        }
        Ok(())
    }
}

fn is_recent(path: &Path, options: CollectOptions) -> bool {
    let modified = path.metadata().and_then(|found| found.modified());
    let age = modified.ok().and_then(|time| time.elapsed().ok());
    !options.keep_unused_for.is_zero() && age.is_none_or(|age| age < options.keep_unused_for)
}
