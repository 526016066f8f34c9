//! What is known of files without reading them: the kernel's [`Identity`] of a file → its content's digest.
//!
//! One file per build context, read and written whole. Its layout (little endian):
//! magic and version (8 bytes), number of records (8), records sorted by device and inode, SHA-256 of all before.
//!
//! The one danger is a file that changes twice within one tick of the kernel's clock, the second time after it was
//! hashed: its change time stays the same. As in git's index, a file whose change time is that near to the moment of
//! hashing is not remembered, and is hashed again by the next build.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use super::{Identity, Node, TreeError};

const MAGIC: [u8; 8] = *b"mnstat\x00\x01";
const RECORD: usize = 8 * 5 + 4 * 2 + 32 + 4;
const HEADER: usize = 16;
const CHECKSUM: usize = 32;

/// Records that no build used for so long are dropped when the file is next written.
const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// No clock of a current kernel ticks slower; file systems that keep whole seconds get the coarse one.
const TICK_NS: i64 = 20_000_000;
const COARSE_TICK_NS: i64 = 2_000_000_000;

/// The SHA-256 of a file's content.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprints of one context's files. Safe to use from all threads.
pub(crate) struct StatCache {
    place: PathBuf,
    today: u32,
    /// Sorted by device and inode.
    loaded: Vec<Record>,
    added: Mutex<HashMap<(u64, u64), Record>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    identity: Identity,
    fingerprint: Fingerprint,
    /// The day, counted from 1970, on which it was last written for a file that a build used.
    used: u32,
}

impl StatCache {
    /// Reads the file at `place`. A missing, damaged or foreign one is an empty cache.
    pub(crate) fn open(place: PathBuf) -> Self {
        let loaded = read(&place).unwrap_or_default();
        Self { place, today: today(), loaded, added: Mutex::default() }
    }

    /// A cache that knows nothing and is not kept.
    pub(crate) fn empty() -> Self {
        Self { place: PathBuf::new(), today: today(), loaded: Vec::new(), added: Mutex::default() }
    }

    /// Whether no build of this context is known.
    pub(crate) fn is_new(&self) -> bool {
        self.loaded.is_empty()
    }

    /// What is known of the file that `identity` names.
    pub(crate) fn known(&self, identity: &Identity) -> Option<Fingerprint> {
        let key = (identity.device, identity.inode);
        let found = self.loaded.binary_search_by_key(&key, Record::key).ok().map(|index| self.loaded[index]);
        let found = match found {
            Some(record) if record.identity == *identity => Some(record),
            _ => self.lock().get(&key).copied().filter(|record| record.identity == *identity),
        };
        found.map(|record| record.fingerprint)
    }

    /// Remembers what was read at `started`, unless the file changed too near to that moment to be sure.
    pub(crate) fn remember(&self, identity: Identity, fingerprint: Fingerprint, started: SystemTime) {
        if is_settled(&identity, started) {
            let record = Record { identity, fingerprint, used: self.today };
            self.lock().insert(record.key(), record);
        }
    }

    /// The fingerprint of a file, from memory or by reading it.
    pub(crate) fn fingerprint(&self, node: &Node) -> Result<Fingerprint, TreeError> {
        if let Some(known) = self.known(&node.identity) {
            return Ok(known);
        }
        let started = SystemTime::now();
        let mut file = open_unchanged(node)?;
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut HashWriter(&mut hash)).map_err(TreeError::read(&node.place))?;
        ensure_unchanged(&file, node)?;
        let fingerprint = hash.finalize().into();
        self.remember(node.identity, fingerprint, started);
        Ok(fingerprint)
    }

    /// Writes what was added, together with what was there. Readers see the old file or the new one.
    pub(crate) fn save(&self) -> io::Result<()> {
        let added = self.lock();
        if added.is_empty() || self.place.as_os_str().is_empty() {
            return Ok(());
        }
        // Read again: another build may have written since. What both know is the same, or newer here.
        let mut records: HashMap<(u64, u64), Record> = HashMap::new();
        for record in self.loaded.iter().copied().chain(read(&self.place).unwrap_or_default()) {
            let keep = u32::try_from(KEEP.as_secs() / 86_400).unwrap_or(u32::MAX);
            if record.used.saturating_add(keep) >= self.today {
                records.insert(record.key(), record);
            }
        }
        records.extend(added.iter().map(|(key, record)| (*key, *record)));
        let mut records: Vec<Record> = records.into_values().collect();
        records.sort_unstable_by_key(Record::key);
        write(&self.place, &records)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, u64), Record>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a file for reading and makes sure that it is the one that was looked at.
pub(crate) fn open_unchanged(node: &Node) -> Result<File, TreeError> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(&node.place, flags, Mode::empty())
        .map_err(|error| TreeError::read(&node.place)(error.into()))?;
    let file = File::from(file);
    ensure_unchanged(&file, node)?;
    Ok(file)
}

/// Makes sure that nobody wrote to the file since it was looked at.
pub(crate) fn ensure_unchanged(file: &File, node: &Node) -> Result<(), TreeError> {
    let now = Identity::of(&file.metadata().map_err(TreeError::read(&node.place))?);
    if now == node.identity { Ok(()) } else { Err(TreeError::Changed { place: node.place.clone() }) }
}

/// Whether a later change of the file would show in its change time.
fn is_settled(identity: &Identity, read_at: SystemTime) -> bool {
    let Ok(read_at) = read_at.duration_since(UNIX_EPOCH) else { return false };
    let read_at = i64::try_from(read_at.as_nanos()).unwrap_or(i64::MAX);
    let whole_seconds = identity.changed_ns % 1_000_000_000 == 0;
    let tick = if whole_seconds { COARSE_TICK_NS } else { TICK_NS };
    identity.changed_ns.saturating_add(tick) < read_at
}

fn today() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs() / 86_400).unwrap_or(u32::MAX)
}

impl Record {
    fn key(&self) -> (u64, u64) {
        (self.identity.device, self.identity.inode)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        let identity = &self.identity;
        for number in [identity.device, identity.inode, identity.size] {
            out.extend(number.to_le_bytes());
        }
        out.extend(identity.modified_ns.to_le_bytes());
        out.extend(identity.changed_ns.to_le_bytes());
        out.extend(identity.mode.to_le_bytes());
        out.extend(identity.links.to_le_bytes());
        out.extend(self.fingerprint);
        out.extend(self.used.to_le_bytes());
    }

    fn read_from(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let signed = |at: usize| Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let short = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let identity = Identity {
            device: long(0)?,
            inode: long(8)?,
            size: long(16)?,
            modified_ns: signed(24)?,
            changed_ns: signed(32)?,
            mode: short(40)?,
            links: short(44)?,
        };
        let fingerprint = bytes.get(48..80)?.try_into().ok()?;
        Some(Self { identity, fingerprint, used: short(80)? })
    }
}

fn read(place: &Path) -> Option<Vec<Record>> {
    let mut bytes = Vec::new();
    File::open(place).ok()?.read_to_end(&mut bytes).ok()?;
    let body = bytes.len().checked_sub(CHECKSUM)?;
    let (body, checksum) = bytes.split_at(body);
    if !body.starts_with(&MAGIC) || Sha256::digest(body).as_slice() != checksum {
        return None;
    }
    let count = u64::from_le_bytes(body.get(8..HEADER)?.try_into().ok()?);
    let records = body.get(HEADER..)?;
    if u64::try_from(records.len()).ok()? != count.checked_mul(RECORD as u64)? {
        return None;
    }
    records.chunks_exact(RECORD).map(Record::read_from).collect()
}

fn write(place: &Path, records: &[Record]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEADER + records.len() * RECORD + CHECKSUM);
    bytes.extend(MAGIC);
    bytes.extend((records.len() as u64).to_le_bytes());
    records.iter().for_each(|record| record.write_to(&mut bytes));
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    let folder = place.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&bytes)?;
    fail::fail_point!("build.stat-cache.before-rename");
    // No fsync: after a power cut the checksum tells a torn file, and losing it costs one hashing.
    file.persist(place).map(drop).map_err(|error| error.error)
}

/// Feeds a hash from `io::copy`.
struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn settled_file(folder: &Path, content: &str) -> PathBuf {
        let place = folder.join("file");
        std::fs::write(&place, content).unwrap();
        place
    }

    /// Long enough after the last change for the change time to tell.
    fn wait_a_tick(place: &Path) {
        let changed = || Identity::of(&std::fs::metadata(place).unwrap());
        while !is_settled(&changed(), SystemTime::now()) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_was_hashed_is_known_to_the_next_build() {
        let folder = tempfile::tempdir().unwrap();
        let place = settled_file(folder.path(), "content");
        wait_a_tick(&place);
        let node = Node::at(place).unwrap().unwrap();
        let cache = StatCache::open(folder.path().join("cache"));
        let fingerprint = cache.fingerprint(&node).unwrap();
        cache.save().unwrap();
        let again = StatCache::open(folder.path().join("cache"));
        assert_eq!(again.known(&node.identity), Some(fingerprint));
    }

    #[test]
    fn a_change_under_the_same_size_and_modification_time_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let place = settled_file(folder.path(), "one");
        wait_a_tick(&place);
        let before = Node::at(place.clone()).unwrap().unwrap();
        let cache = StatCache::empty();
        let first = cache.fingerprint(&before).unwrap();
        let modified = std::fs::metadata(&place).unwrap().modified().unwrap();
        std::fs::write(&place, "two").unwrap();
        File::options().write(true).open(&place).unwrap().set_modified(modified).unwrap();
        let after = Node::at(place.clone()).unwrap().unwrap();
        assert_eq!(after.identity.modified_ns, before.identity.modified_ns);
        assert_eq!(cache.known(&after.identity), None);
        assert_ne!(cache.fingerprint(&after).unwrap(), first);
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(cache.known(&Node::at(place).unwrap().unwrap().identity), None);
    }

    #[test]
    fn a_file_that_changed_just_now_is_hashed_again() {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::at(settled_file(folder.path(), "fresh")).unwrap().unwrap();
        let cache = StatCache::empty();
        let fingerprint = [0; 32];
        let at = |ns: i64| UNIX_EPOCH + Duration::from_nanos(u64::try_from(ns).unwrap());
        cache.remember(node.identity, fingerprint, at(node.identity.changed_ns + TICK_NS / 2));
        assert_eq!(cache.known(&node.identity), None);
        let whole = Identity { changed_ns: 5_000_000_000, ..node.identity };
        cache.remember(whole, fingerprint, at(5_000_000_000 + 2 * TICK_NS));
        assert_eq!(cache.known(&whole), None);
        cache.remember(whole, fingerprint, at(5_000_000_000 + 2 * COARSE_TICK_NS));
        assert_eq!(cache.known(&whole), Some(fingerprint));
    }

    #[test]
    fn a_damaged_file_is_an_empty_cache() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cache");
        let identity = Identity::of(&std::fs::metadata(folder.path()).unwrap());
        let fingerprint = [7; 32];
        write(&place, &[Record { identity, fingerprint, used: today() }]).unwrap();
        let whole = std::fs::read(&place).unwrap();
        assert_eq!(StatCache::open(place.clone()).known(&identity), Some(fingerprint));
        for damaged in [whole[..whole.len() - 1].to_vec(), Vec::new(), {
            let mut flipped = whole.clone();
            flipped[HEADER + 50] ^= 1;
            flipped
        }] {
            std::fs::write(&place, damaged).unwrap();
            assert_eq!(StatCache::open(place.clone()).known(&identity), None);
        }
    }

    #[test]
    fn records_that_nobody_used_for_long_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cache");
        let identity = Identity::of(&std::fs::metadata(folder.path()).unwrap());
        let fingerprint = [7; 32];
        let old = Record { identity, fingerprint, used: today() - 31 };
        write(&place, &[old]).unwrap();
        let cache = StatCache::open(place.clone());
        let other = Identity { inode: identity.inode + 1, changed_ns: 1, ..identity };
        cache.remember(other, fingerprint, SystemTime::now());
        cache.save().unwrap();
        let cache = StatCache::open(place);
        assert_eq!((cache.known(&identity), cache.known(&other)), (None, Some(fingerprint)));
    }
}
