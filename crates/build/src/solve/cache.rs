//! Which layer a step made: key → digest, one small file each.
//!
//! ```text
//! steps/HH/HEX    {"version":2,"layer":"sha256:…"}    HH: the first two digits of the key
//! locks/HH        held while a step with such a key is being done, by one process or thread at a time
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use minato_oci::Digest;
use serde::{Deserialize, Serialize};

use super::Key;

const VERSION: u32 = 2;
/// Results that no build used for so long are dropped when a neighbour is written.
const KEEP: Duration = Duration::from_secs(60 * 86_400);
const USE_RESOLUTION: Duration = Duration::from_secs(6 * 3600);

/// What earlier builds made, by key.
pub(crate) struct StepCache {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    layer: Digest,
}

/// While it lives, nobody else does a step with this key.
pub(crate) struct StepLock {
    _file: File,
}

impl StepCache {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The layer that a step with this key made. A file that can't be understood is as good as none.
    pub(crate) fn get(&self, key: &Key) -> Option<Digest> {
        let place = self.place(key);
        let text = std::fs::read(&place).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        note_use(&place);
        (record.version == VERSION).then_some(record.layer)
    }

    /// Remembers what a step made.
    pub(crate) fn put(&self, key: &Key, layer: &Digest) -> io::Result<()> {
        let place = self.place(key);
        let folder = place.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder)?;
        drop_unused(folder);
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        serde_json::to_writer(&mut file, &Record { version: VERSION, layer: *layer })?;
        file.flush()?;
        fail::fail_point!("build.step-cache.before-rename");
        // No fsync: a torn file is no JSON, and losing it costs one step.
        file.persist(&place).map(drop).map_err(|error| error.error)
    }

    /// Waits until nobody does a step with a key like this one.
    pub(crate) fn lock(&self, key: &Key) -> io::Result<StepLock> {
        let folder = self.folder.join("locks");
        std::fs::create_dir_all(&folder)?;
        let name = &key.to_string()[..2];
        let file = File::options().create(true).truncate(false).write(true).open(folder.join(name))?;
        file.lock()?;
        Ok(StepLock { _file: file })
    }

    fn place(&self, key: &Key) -> PathBuf {
        let name = key.to_string();
        self.folder.join("steps").join(&name[..2]).join(name)
    }
}

fn age(place: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(place.metadata().ok()?.modified().ok()?).ok()
}

/// Failing to note a use makes the result go earlier, at worst.
fn note_use(place: &Path) {
    if age(place).is_some_and(|age| age > USE_RESOLUTION)
        && let Ok(file) = File::options().write(true).open(place)
    {
        let _noted = file.set_modified(SystemTime::now());
    }
}

fn drop_unused(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if age(&entry.path()).is_some_and(|age| age > KEEP) {
            let _gone = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found_again_and_damage_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let cache = StepCache::new(folder.path());
        let (key, layer) = (Key::new([1; 32]), Digest::sha256(b"layer"));
        assert_eq!(cache.get(&key), None);
        cache.put(&key, &layer).unwrap();
        assert_eq!(cache.get(&key), Some(layer));
        for damaged in ["", "{", r#"{"version":3,"layer":"sha256:00"}"#] {
            std::fs::write(cache.place(&key), damaged).unwrap();
            assert_eq!(cache.get(&key), None, "{damaged}");
        }
    }

    #[test]
    fn results_that_nobody_used_for_long_go() {
        let folder = tempfile::tempdir().unwrap();
        let cache = StepCache::new(folder.path());
        let (old, new) = (Key::new([1; 32]), Key::new([[1; 16], [2; 16]].concat().try_into().unwrap()));
        cache.put(&old, &Digest::sha256(b"old")).unwrap();
        let file = File::options().write(true).open(cache.place(&old)).unwrap();
        file.set_modified(SystemTime::now() - KEEP - Duration::from_secs(60)).unwrap();
        cache.put(&new, &Digest::sha256(b"new")).unwrap();
        assert_eq!((cache.get(&old), cache.get(&new)), (None, Some(Digest::sha256(b"new"))));
    }
}
