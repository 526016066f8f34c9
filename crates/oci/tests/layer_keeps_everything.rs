//! A tree and its tar say the same: writing, unpacking and writing again gives the same bytes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::Command;

use minato_oci::layer::{
    Compression, Device, Entry, Kind, Limits, TarWriter, Timestamp, TreePath, TreeWriter, UnpackOptions,
    unpack, write_tar,
};
use minato_oci::{Digest, Store};

/// Skips a test by name when not root.
fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED {test}: must be root to give files to others");
    }
    root
}

fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    Entry::new(TreePath::new(path).unwrap(), kind, mode)
}

fn long_name() -> String {
    format!("long/{}/{}", "d".repeat(200), "f".repeat(240))
}

/// One of everything that a layer can hold, sorted, with the content of files.
fn everything() -> Vec<(Entry, Vec<u8>)> {
    let file = |path: &str, mode, content: &[u8]| {
        (entry(path, Kind::File { size: content.len() as u64 }, mode), content.to_vec())
    };
    let other = |path: &str, kind, mode| (entry(path, kind, mode), Vec::new());
    let mut entries = vec![
        other("bin", Kind::Directory, 0o755),
        file("bin/ping", 0o755, b"#!ping"),
        file("bin/su", 0o4755, b"#!su"),
        other("dev", Kind::Directory, 0o755),
        other("dev/block", Kind::Block(Device { major: 7, minor: 200_000 }), 0o660),
        other("dev/null", Kind::Character(Device { major: 1, minor: 3 }), 0o666),
        other("etc", Kind::Directory, 0o755),
        other("etc", Kind::Opaque, 0),
        file("etc/empty", 0o600, b""),
        other("etc/gone", Kind::Whiteout, 0),
        file("etc/shadow", 0o000, b"secret"),
        other("lib", Kind::Symlink { target: "usr/lib".into() }, 0o777),
        other("lock", Kind::Directory, 0o555),
        file("lock/kept", 0o444, b"read only"),
        other("long", Kind::Directory, 0o755),
        other(&format!("long/{}", "d".repeat(200)), Kind::Directory, 0o700),
        file(&long_name(), 0o644, b"far away"),
        other("pipe", Kind::Fifo, 0o622),
        file("sparse", 0o644, &[vec![0; 300_000], b"end".to_vec()].concat()),
        other("tmp", Kind::Directory, 0o1777),
        other("usr", Kind::Directory, 0o755),
        file("usr/first", 0o644, b"shared"),
        other("usr/second", Kind::HardLink { target: TreePath::new("usr/first").unwrap() }, 0o644),
        file("usr-local", 0o644, b"sorts after usr/"),
        file("\u{6e2f}", 0o644, "minato".as_bytes()),
    ];
    let find = |entries: &mut Vec<(Entry, Vec<u8>)>, path: &str| {
        entries.iter().position(|(e, _)| e.path.as_path().to_str() == Some(path)).unwrap()
    };
    let ping = find(&mut entries, "bin/ping");
    // cap_net_raw=ep, as setcap writes it.
    let capability = vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    entries[ping].0.xattrs = BTreeMap::from([("security.capability".to_owned(), capability)]);
    let sparse = find(&mut entries, "sparse");
    entries[sparse].0.modified = Timestamp { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
    let tmp = find(&mut entries, "tmp");
    entries[tmp].0.modified = Timestamp { seconds: -86_400, nanoseconds: 0 };
    let kept = find(&mut entries, "lock/kept");
    (entries[kept].0.uid, entries[kept].0.gid) = (1000, 3_000_000_000);
    let link = find(&mut entries, "lib");
    (entries[link].0.uid, entries[link].0.gid) = (33, 33);
    entries
}

fn tar_of(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (entry, content) in entries {
        tar.append(entry, &mut content.as_slice()).unwrap();
    }
    tar.finish().unwrap()
}

#[test]
fn streaming_entry_by_entry_gives_what_the_tree_gives() {
    if !is_root("streaming_entry_by_entry_gives_what_the_tree_gives") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let mut writer = TreeWriter::open(&tree).unwrap();
    for (entry, content) in everything() {
        writer.add(&entry, &mut content.as_slice()).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(write_tar(&tree, Vec::new()).unwrap(), tar_of(&everything()));
}

#[test]
fn an_unpacked_layer_gives_its_tar_back() {
    if !is_root("an_unpacked_layer_gives_its_tar_back") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let tar = tar_of(&everything());
    let diff_id = Digest::sha256(&tar);
    let layer = store.unpack_layer(tar.as_slice(), Compression::None, &diff_id, Limits::default()).unwrap();
    assert_eq!(layer.size, tar.len() as u64);
    assert_eq!(store.write_layer(&layer, Vec::new()).unwrap(), tar);
}

/// As root the test becomes somebody else for this; otherwise it is somebody else already.
#[test]
fn an_ordinary_user_keeps_what_he_cannot_give() {
    let place = tempfile::tempdir().unwrap();
    let nobody = 65_534;
    let mut child = Command::new(place.path().join("test"));
    std::fs::copy(std::env::current_exe().unwrap(), place.path().join("test")).unwrap();
    child.args(["--exact", "as_an_ordinary_user", "--ignored"]).env("TMPDIR", place.path());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.path(), Some(nobody), Some(nobody)).unwrap();
        child.uid(nobody).gid(nobody);
    }
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by an_ordinary_user_keeps_what_he_cannot_give, as somebody else"]
fn as_an_ordinary_user() {
    assert!(!rustix::process::geteuid().is_root());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let tar = tar_of(&everything());
    let diff_id = Digest::sha256(&tar);
    let layer = store.unpack_layer(tar.as_slice(), Compression::None, &diff_id, Limits::default()).unwrap();
    assert!(layer.path.with_file_name("attributes.json").exists());
    assert_eq!(store.write_layer(&layer, Vec::new()).unwrap(), tar);
    assert_eq!(
        std::fs::read(layer.path.join("etc/shadow")).unwrap(),
        b"secret",
        "his own layer shuts him out"
    );
    store.collect_garbage(minato_oci::store::CollectOptions::default()).unwrap();
    assert!(!layer.path.exists());
}

#[test]
fn every_compression_gives_the_same_layer() {
    let tar = tar_of(&[(entry("a", Kind::File { size: 5 }, 0o644), b"hello".to_vec())]);
    let diff_id = Digest::sha256(&tar);
    let mut gzip = flate2::read::GzEncoder::new(tar.as_slice(), flate2::Compression::fast());
    let mut gzipped = Vec::new();
    gzip.read_to_end(&mut gzipped).unwrap();
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    for blob in [tar.as_slice(), &gzipped, &zstd] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let layer = store.unpack_layer(blob, Compression::detect(blob), &diff_id, Limits::default()).unwrap();
        assert_eq!(std::fs::read(layer.path.join("a")).unwrap(), b"hello");
    }
}

#[test]
fn gnu_tar_reads_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("layer.tar");
    std::fs::write(&archive, tar_of(&everything())).unwrap();
    let listed = Command::new("tar").arg("--numeric-owner").arg("-tvf").arg(&archive).output().unwrap();
    let listing = String::from_utf8(listed.stdout).unwrap();
    let listing: Vec<&str> = listing.split_whitespace().collect();
    let listing = listing.join(" ");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    for expected in [
        "-rwsr-xr-x 0/0 4 1970-01-01",
        "crw-rw-rw- 0/0 1,3 1970-01-01",
        "-r--r--r-- 1000/3000000000",
        "usr/second link to usr/first",
        "lib -> usr/lib",
        &long_name(),
        "drwxrwxrwt 0/0 0 1969-12-31",
        "etc/.wh..wh..opq",
        "etc/.wh.gone",
    ] {
        assert!(listing.contains(expected), "{expected:?} is not in:\n{listing}");
    }
}

#[test]
fn archives_of_gnu_tar_are_read_in_every_format() {
    if !is_root("archives_of_gnu_tar_are_read_in_every_format") {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    let tree = source.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let mut writer = TreeWriter::open(&tree).unwrap();
    let plain = everything().into_iter().filter(|(entry, _)| {
        let odd = matches!(entry.kind, Kind::Whiteout | Kind::Opaque) || entry.gid > 1 << 21;
        !odd && entry.xattrs.is_empty() && entry.modified == Timestamp::default()
    });
    for (entry, content) in plain {
        writer.add(&entry, &mut content.as_slice()).unwrap();
    }
    writer.finish().unwrap();
    let sparse = std::fs::File::create(tree.join("holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 1 << 20).unwrap();
    sparse.set_len(3 << 20).unwrap();
    sparse.set_modified(std::time::UNIX_EPOCH).unwrap();
    for format in [
        "--format=gnu",
        "--format=pax",
        "--format=posix --sparse-version=0.0",
        "--format=posix --sparse-version=0.1",
        "--format=gnu --sort=name -b1",
    ] {
        let script = format!("tar {format} --sparse -C '{0}' -cf '{0}.tar' .", tree.display());
        assert!(Command::new("sh").arg("-c").arg(&script).status().unwrap().success());
        let again = source.path().join("again");
        std::fs::create_dir(&again).unwrap();
        let archive = std::fs::File::open(source.path().join("tree.tar")).unwrap();
        unpack(archive, &again, &UnpackOptions::default()).unwrap();
        let (first, second) = (write_tar(&tree, Vec::new()).unwrap(), write_tar(&again, Vec::new()).unwrap());
        assert!(first == second, "{format}: trees differ");
        std::fs::remove_dir_all(&again).unwrap();
    }
}

#[test]
fn unsorted_and_ambiguous_entries_are_refused() {
    let check = |entries: &[Entry], expected: &str| {
        let mut tar = TarWriter::new(Vec::new());
        let results: Vec<_> = entries.iter().map(|entry| tar.append(entry, &mut std::io::empty())).collect();
        let error = results.into_iter().find_map(Result::err).unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let file = |path| entry(path, Kind::File { size: 0 }, 0o644);
    check(&[file("b"), file("a")], "sorted by path");
    check(&[file("a"), file("a")], "sorted by path");
    check(&[file(".wh.a")], "removed files");
    check(&[entry("", Kind::Directory, 0o755)], "no entry for its root");
    check(&[entry("a", Kind::File { size: 1 }, 0o644)], "has not the 1 bytes");
}
