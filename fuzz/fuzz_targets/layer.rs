//! Any bytes as a layer: read, unpacked in a folder that nothing may leave, and what was read is written and read again.
#![no_main]

use std::fs;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use minato_oci::layer::{Archive, Compression, Entry, Kind, Limits, TarWriter, UnpackOptions, unpack};

const BLOCK: usize = 512;

/// Small enough for thousands of archives a second.
const LIMITS: Limits = Limits {
    entries: 64,
    entry_bytes: 1 << 20,
    total_bytes: 1 << 20,
    path_bytes: 4096,
    ratio: 200,
    ratio_from: 1 << 16,
};

fuzz_target!(|data: &[u8]| {
    let mut data = data.to_owned();
    mend_checksums(&mut data);
    let Ok(input) = Compression::detecting_reader(Cursor::new(&data), LIMITS) else { return };
    let Ok(entries) = read(input) else { return };
    write_and_read(entries);
    unpack_in_its_folder(&data);
});

/// Nobody guesses check sums: whatever looks like a header gets its own.
fn mend_checksums(data: &mut [u8]) {
    for block in data.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

fn read(input: impl Read) -> Result<Vec<(Entry, Vec<u8>)>, Box<dyn std::error::Error>> {
    let mut archive = Archive::new(input, LIMITS);
    let mut entries = Vec::new();
    while let Some(entry) = archive.next_entry()? {
        let mut content = Vec::new();
        archive.read_to_end(&mut content)?;
        assert!(entry.path.as_path().components().all(|it| matches!(it, std::path::Component::Normal(_))));
        if let Kind::File { size } = entry.kind {
            assert_eq!(content.len() as u64, size, "{entry:?}");
        }
        entries.push((entry, content));
    }
    archive.drain()?;
    Ok(entries)
}

/// The writer refuses entries out of order; what it takes must come back as it was.
fn write_and_read(mut entries: Vec<(Entry, Vec<u8>)>) {
    entries.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
    entries.dedup_by(|(one, _), (other, _)| one.path == other.path);
    let mut writer = TarWriter::new(Vec::new());
    let mut written = Vec::new();
    for (mut entry, content) in entries {
        // A link's mode means nothing, and the writer says so.
        if matches!(entry.kind, Kind::Symlink { .. }) {
            entry.mode = 0o777;
        }
        if writer.append(&entry, &mut content.as_slice()).is_err() {
            return;
        }
        written.push((entry, content));
    }
    let archive = writer.finish().expect("memory takes everything");
    let again = read(archive.as_slice()).expect("what was written can be read");
    assert_eq!(again, written);
}

fn unpack_in_its_folder(data: &[u8]) {
    let place = place();
    let tree = place.join("tree");
    fs::create_dir(&tree).expect("the last one is gone");
    for whiteouts in [false, true] {
        let options = UnpackOptions { limits: LIMITS, whiteouts, ..UnpackOptions::default() };
        let input = Compression::detecting_reader(Cursor::new(data), LIMITS);
        let _ = input.map(|input| unpack(input, &tree, &options));
    }
    // What the file system does not take is kept there.
    let _ = fs::remove_file(place.join("attributes.json"));
    let beside: Vec<_> = fs::read_dir(place).expect("it is there").collect();
    assert_eq!(beside.len(), 2, "something was made beside the tree: {beside:?}");
    assert_eq!(fs::read(place.join("sentinel")).expect("it is there"), b"untouched");
    fs::remove_dir_all(&tree).expect("it can be removed");
}

/// A folder in memory with a file beside the tree.
fn place() -> &'static PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let place =
            tempfile::Builder::new().prefix("minato-fuzz-").tempdir_in(parent).expect("a folder").keep();
        fs::write(place.join("sentinel"), b"untouched").expect("it can be written");
        place
    })
}
