//! Garbage collection: mark from tags and pins, and of the rest sweep what is too old or too much.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Store, StoreError, failed, files, images, layers};
use crate::Digest;

/// What a collection may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct CollectOptions {
    /// Content that nothing refers to stays this long after its last use, as the cache of later builds.
    pub keep_unused_for: Duration,
    /// Bytes of content that the store may have in all. Of what nothing refers to, as much goes as that takes, what was
    /// used longest ago first; what a tag or pin reaches stays, however much it is.
    pub at_most: Option<u64>,
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

/// A layer or a blob that no root reaches.
struct Unused {
    place: Place,
    /// `None` for what was changed in the future.
    age: Option<Duration>,
    bytes: u64,
}

enum Place {
    /// Together with the blob that it came from: only that gives the same export again.
    Layer(PathBuf, Option<PathBuf>),
    Blob(PathBuf),
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
        let (unused, needed) = self.unused(&mut reached)?;
        let (mut layers, mut blobs, mut bytes) = (0, 0, 0);
        for gone in chosen(unused, needed, options) {
            let (of_layers, of_blobs) = self.sweep(&gone.place)?;
            (layers, blobs, bytes) = (layers + of_layers, blobs + of_blobs, bytes + gone.bytes);
        }
        self.clear_ingest(&exclusive)?;
        self.sweep_records(&reached)?;
        Ok(Collected::Done { blobs, layers, bytes })
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

    /// What no root reaches, and how many bytes the rest has.
    fn unused(&self, reached: &mut Reached) -> Result<(Vec<Unused>, u64), StoreError> {
        let (mut unused, mut needed, mut of_layers) = (Vec::new(), 0, BTreeSet::new());
        for folder in files::entries(&self.root.join("layers"))? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (size, blob) = layers::described(&folder)?.unwrap_or_default();
            if reached.layers.contains(&name) {
                needed += size;
                reached.blobs.extend(blob);
                continue;
            }
            let age = age_of(&folder.join("layer.json"));
            unused.push((age, size, folder, blob));
        }
        let mut found = Vec::new();
        for (age, size, folder, blob) in unused {
            let blob = blob.filter(|blob| !reached.blobs.contains(blob) && of_layers.insert(*blob));
            let blob = blob.map(|blob| self.blob_path(&blob)).filter(|path| path.is_file());
            let bytes = size + blob.as_deref().map_or(0, length);
            found.push(Unused { place: Place::Layer(folder, blob), age, bytes });
        }
        let kept: BTreeSet<PathBuf> = reached.blobs.iter().map(|digest| self.blob_path(digest)).collect();
        let of_layers: BTreeSet<PathBuf> = of_layers.iter().map(|digest| self.blob_path(digest)).collect();
        for path in files::entries(&self.root.join("blobs/sha256"))? {
            if kept.contains(&path) {
                needed += length(&path);
            } else if !of_layers.contains(&path) {
                found.push(Unused { age: age_of(&path), bytes: length(&path), place: Place::Blob(path) });
            }
        }
        Ok((found, needed))
    }

    /// Tells how many layers and blobs went.
    fn sweep(&self, place: &Place) -> Result<(usize, usize), StoreError> {
        let (folder, blob) = match place {
            Place::Layer(folder, blob) => (Some(folder), blob.as_ref()),
            Place::Blob(path) => (None, Some(path)),
        };
        if let Some(folder) = folder {
            // Gone in one step: a half-removed layer must never be found.
            let grave = self.ingest_folder().join(folder.file_name().unwrap_or_default());
            fs::rename(folder, &grave).map_err(|source| failed("move away", folder, source))?;
            fail::fail_point!("oci.collect.layer-moved");
        }
        if let Some(path) = blob {
            fs::remove_file(path).map_err(|source| failed("remove", path, source))?;
            fail::fail_point!("oci.collect.blob-removed");
        }
        Ok((usize::from(folder.is_some()), usize::from(blob.is_some())))
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

/// What goes: all that is too old, and then what was used longest ago until no more than the limit is left beside the
/// `needed` bytes.
fn chosen(mut unused: Vec<Unused>, needed: u64, options: CollectOptions) -> Vec<Unused> {
    // What was used last comes first.
    unused.sort_by_key(|one| one.age);
    let mut left = needed;
    let stays = |one: &Unused| {
        let is_young = one.age.is_none_or(|age| age < options.keep_unused_for);
        let is_young = is_young && !options.keep_unused_for.is_zero();
        let has_place = options.at_most.is_none_or(|limit| left + one.bytes <= limit);
        if is_young && has_place {
            left += one.bytes;
        }
        is_young && has_place
    };
    let first = unused.iter().map(stays).position(|stays| !stays).unwrap_or(unused.len());
    unused.split_off(first)
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |found| found.len())
}

fn age_of(path: &Path) -> Option<Duration> {
    let modified = path.metadata().and_then(|found| found.modified()).ok()?;
    SystemTime::now().duration_since(modified).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ages in hours and sizes; what stays of them.
    fn check(at_most: Option<u64>, needed: u64, unused: &[(u64, u64)], expected: &[u64]) {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let one = |(age, bytes): &(u64, u64)| Unused {
            place: Place::Blob(PathBuf::new()),
            age: Some(hours(*age)),
            bytes: *bytes,
        };
        let options = CollectOptions { keep_unused_for: hours(10), at_most };
        let gone = chosen(unused.iter().map(one).collect(), needed, options);
        let gone: BTreeSet<Duration> = gone.iter().filter_map(|one| one.age).collect();
        let stays = unused.iter().map(|(age, _)| *age).filter(|age| !gone.contains(&hours(*age)));
        assert_eq!(stays.collect::<Vec<_>>(), expected, "{at_most:?} {needed} {unused:?}");
    }

    #[test]
    fn the_oldest_goes_until_the_rest_fits() {
        let three = [(1, 100), (5, 100), (9, 100), (11, 100)];
        check(None, 0, &three, &[1, 5, 9]);
        check(Some(300), 0, &three, &[1, 5, 9]);
        check(Some(299), 0, &three, &[1, 5]);
        check(Some(299), 100, &three, &[1]);
        check(Some(0), 0, &three, &[]);
        check(Some(50), 100, &three, &[]);
        check(Some(150), 0, &[(1, 100), (2, 100), (3, 1)], &[1]);
    }
}
