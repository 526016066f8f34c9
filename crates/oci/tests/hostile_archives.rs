//! An archive that nobody vouches for never writes outside the tree and never takes more than its limits.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use minato_oci::layer::{Compression, Limits, UnpackOptions, unpack};
use minato_oci::{Digest, Store};
use proptest::prelude::*;

/// A header that no honest writer makes.
struct Raw<'a> {
    kind: u8,
    name: &'a str,
    link: &'a str,
    content: &'a [u8],
    size: u64,
}

fn raw<'a>(kind: u8, name: &'a str, link: &'a str, content: &'a [u8]) -> Raw<'a> {
    Raw { kind, name, link, content, size: content.len() as u64 }
}

fn file<'a>(name: &'a str, content: &'a [u8]) -> Raw<'a> {
    raw(b'0', name, "", content)
}

fn link<'a>(name: &'a str, target: &'a str) -> Raw<'a> {
    raw(b'2', name, target, b"")
}

fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let mut block = [0; 512];
        block[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        block[100..108].copy_from_slice(b"0000755\0");
        block[108..116].copy_from_slice(b"0000000\0");
        block[116..124].copy_from_slice(b"0000000\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", entry.size).as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = entry.kind;
        block[157..157 + entry.link.len()].copy_from_slice(entry.link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(entry.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
        bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
    }
    bytes
}

/// Everything that lies under a folder, with its size and mode.
fn listing(folder: &Path) -> Vec<(String, u64, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let meta = fs::symlink_metadata(entry.path()).unwrap();
        found.push((entry.path().display().to_string(), meta.len(), meta.mode()));
        if meta.is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}

fn layer_options(limits: Limits) -> UnpackOptions {
    UnpackOptions { limits, whiteouts: true, ..UnpackOptions::default() }
}

/// Unpacks beside a folder that must not change; gives the error and the tree.
fn attempt(bytes: &[u8], limits: Limits) -> (Result<(), String>, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();
    let before = listing(&outside);
    let tree = place.path().join("layer").join("tree");
    fs::create_dir_all(&tree).unwrap();
    let result = unpack(bytes, &tree, &layer_options(limits));
    assert_eq!(listing(&outside), before, "something outside the tree changed");
    let beside: Vec<_> =
        listing(place.path()).into_iter().filter(|(path, ..)| !path.contains("/layer/")).collect();
    assert_eq!(beside.len(), 3, "something was made outside the tree: {beside:?}");
    (result.map(drop).map_err(|error| error.to_string()), place)
}

fn refused(entries: &[Raw<'_>], expected: &str) {
    let (result, _place) = attempt(&archive(entries), Limits::default());
    let error = result.expect_err(expected);
    assert!(error.contains(expected), "{error:?} does not say {expected:?}");
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    refused(&[file("../outside/victim", b"evil")], "\"../outside/victim\" path has a component \"..\"");
    refused(&[file("a/../../outside/victim", b"evil")], "component \"..\"");
    refused(&[file("/outside/victim", b"evil")], "path is absolute");
    refused(&[file("a/..", b"evil")], "component \"..\"");
    let long = pax(&[("path", b"../outside/victim")]);
    refused(&[raw(b'x', "p", "", &long), file("fine", b"evil")], "component \"..\"");
    refused(&[raw(b'L', "l", "", b"../outside/victim\0"), file("fine", b"evil")], "component \"..\"");
    refused(&[raw(b'x', "p", "", &pax(&[("path", b"a\0b")])), file("fine", b"")], "malformed record");
}

#[test]
fn links_that_leave_the_tree_are_refused() {
    refused(&[link("up", "../../outside"), file("up/victim", b"evil")], "leads out of the layer");
    refused(
        &[link("a", "b"), link("b", "../.."), file("a/outside/victim", b"evil")],
        "leads out of the layer",
    );
    refused(&[link("a", "a"), file("a/b", b"")], "too many symbolic links");
    refused(&[link("a", "b"), link("b", "a"), file("a/b", b"")], "too many symbolic links");
    refused(&[raw(b'1', "stolen", "../outside/victim", b"")], "hard link whose target");
    refused(&[raw(b'1', "stolen", "/etc/passwd", b"")], "hard link whose target");
    refused(&[link("up", "../.."), raw(b'1', "stolen", "up/outside/victim", b"")], "leads out of the layer");
    refused(&[raw(b'1', "second", "missing", b"")], "not in this layer");
    refused(&[raw(b'5', "folder", "", b""), raw(b'1', "second", "folder", b"")], "not in this layer");
    refused(&[file("plain", b""), file("plain/below", b"")], "plain is not a folder");
}

#[test]
fn absolute_links_are_followed_inside_the_tree() {
    let (result, place) = attempt(
        &archive(&[
            raw(b'5', "usr/lib", "", b""),
            link("lib", "/usr/lib"),
            file("lib/libc.so", b"libc"),
            link("etc", "usr/../../layer-root"),
        ]),
        Limits::default(),
    );
    result.unwrap();
    let tree = place.path().join("layer/tree");
    assert_eq!(fs::read(tree.join("usr/lib/libc.so")).unwrap(), b"libc");
    assert!(fs::symlink_metadata(tree.join("lib")).unwrap().is_symlink());
}

#[test]
fn a_link_is_replaced_never_written_through() {
    let target = "../../outside/victim";
    let (result, place) = attempt(
        &archive(&[
            link("a", target),
            file("a", b"mine"),
            link("d", "/"),
            raw(b'5', "d", "", b""),
            file("d/x", b"x"),
        ]),
        Limits::default(),
    );
    result.unwrap();
    let tree = place.path().join("layer/tree");
    assert_eq!(fs::read(tree.join("a")).unwrap(), b"mine");
    assert_eq!(fs::read(tree.join("d/x")).unwrap(), b"x");
}

#[test]
fn of_several_entries_with_one_name_the_last_stays() {
    let (result, place) = attempt(
        &archive(&[
            raw(b'5', "d", "", b""),
            file("d/inner", b"1"),
            file("d", b"now a file"),
            file("f", b"1"),
            raw(b'5', "f", "", b""),
            file("f/inner", b"2"),
            file("twice", b"first"),
            file("twice", b"second"),
            raw(b'1', "twice", "twice", b""),
        ]),
        Limits::default(),
    );
    result.unwrap();
    let tree = place.path().join("layer/tree");
    assert_eq!(fs::read(tree.join("d")).unwrap(), b"now a file");
    assert_eq!(fs::read(tree.join("f/inner")).unwrap(), b"2");
    assert_eq!(fs::read(tree.join("twice")).unwrap(), b"second");
}

#[test]
fn what_overlayfs_would_believe_is_refused() {
    let redirect = pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/secret")]);
    refused(&[raw(b'x', "p", "", &redirect), raw(b'5', "d", "", b"")], "overlayfs's own");
    let opaque = pax(&[("SCHILY.xattr.user.overlay.opaque", b"y")]);
    refused(&[raw(b'x', "p", "", &opaque), raw(b'5', "d", "", b"")], "overlayfs's own");
    refused(&[raw(b'3', "null", "", b"")], "device 0:0");
    refused(&[file(".wh.", b"")], "malformed whiteout");
    refused(&[file("a/.wh...", b"")], "malformed whiteout");
    refused(&[file(".wh..", b"")], "malformed whiteout");
}

#[test]
fn malformed_archives_are_refused() {
    let whole = archive(&[file("a", b"content")]);
    let check = |bytes: &[u8], expected: &str| {
        let error = attempt(bytes, Limits::default()).0.expect_err(expected);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    check(&whole[..300], "ends inside a block");
    check(&whole[..515], "ends inside a file");
    let mut flipped = whole.clone();
    flipped[0] ^= 1;
    check(&flipped, "checksum");
    let mut gap = vec![0; 512];
    gap.extend_from_slice(&whole);
    check(&gap, "single empty block");
    check(b"not a tar archive at all, but longer than nothing", "ends inside a block");
    check(&archive(&[raw(b'Q', "odd", "", b"")]), "unknown type");
    check(&archive(&[link("empty", "")]), "without a valid target");
    check(&archive(&[raw(b'x', "p", "", b"99 path=x\n")]), "malformed record");
    check(
        &archive(&[raw(b'x', "p", "", &pax(&[("uid", b"4294967295")])), file("a", b"")]),
        "no user or group",
    );
    check(&archive(&[raw(b'x', "p", "", &pax(&[("size", b"x")])), file("a", b"")]), "malformed record");
    let deep = format!("{}x", "d/".repeat(300));
    check(
        &archive(&[raw(b'x', "p", "", &pax(&[("path", deep.as_bytes())])), file("a", b"")]),
        "folders deep",
    );
    let name = "n".repeat(256);
    check(&archive(&[raw(b'x', "p", "", &pax(&[("path", name.as_bytes())])), file("a", b"")]), "255 bytes");
    let xattr = vec![b'x'; 70_000];
    let record = pax(&[("SCHILY.xattr.user.big", &xattr)]);
    check(&archive(&[raw(b'x', "p", "", &record), file("a", b"")]), "malformed record");
}

#[test]
fn malformed_sparse_maps_are_refused() {
    for (records, content) in [
        (vec![("GNU.sparse.map", b"0,5".as_slice())], b"12345".as_slice()),
        (vec![("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"0,5,3,2")], b"1234567"),
        (vec![("GNU.sparse.size", b"3"), ("GNU.sparse.map", b"0,5")], b"12345"),
        (vec![("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"0,5,9")], b"12345"),
        (vec![("GNU.sparse.size", b"99"), ("GNU.sparse.map", b"18446744073709551615,5")], b"12345"),
        (vec![("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"10")], b"99999999\n0\n"),
        (vec![("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"10")], b"x\n"),
    ] {
        refused(&[raw(b'x', "p", "", &pax(&records)), file("a", content)], "");
    }
}

#[test]
fn limits_hold() {
    let check = |entries: &[Raw<'_>], limits: Limits, expected: &str| {
        let error = attempt(&archive(entries), limits).0.expect_err(expected);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    let limits = Limits { entries: 2, entry_bytes: 10, total_bytes: 15, path_bytes: 20, ..Limits::default() };
    check(&[file("a", b""), file("b", b""), file("c", b"")], limits, "more entries than 2");
    let comment = pax(&[("comment", b"x")]);
    let headers: Vec<Raw<'_>> = (0..3).map(|_| raw(b'x', "p", "", &comment)).collect();
    check(&headers, limits, "more entries than 2");
    check(&[file("a", b"12345678901")], limits, "an entry of more bytes than 10");
    check(&[file("a", b"1234567890"), file("b", b"1234567890")], limits, "more bytes than 15");
    check(&[file("a/very/long/path/indeed", b"")], limits, "longer than 20 bytes");
    check(&[link("a", "a/very/long/path/indeed")], limits, "longer than 20 bytes");
    // Sizes that only the header has.
    let claims = |size| Raw { kind: b'0', name: "a", link: "", content: b"", size };
    check(&[claims(1 << 32)], Limits::default(), "ends inside a file");
    check(&[Raw { kind: b'x', name: "p", link: "", content: b"", size: 1 << 30 }], limits, "extended header");
    let sparse = pax(&[("GNU.sparse.size", b"99999999999999"), ("GNU.sparse.map", b"0,1")]);
    check(&[raw(b'x', "p", "", &sparse), file("a", b"x")], Limits::default(), "an entry of more bytes");
}

#[test]
fn compression_bombs_are_refused() {
    let limits = Limits { total_bytes: 64 << 20, ratio: 100, ratio_from: 1 << 20, ..Limits::default() };
    let zeros = || std::io::repeat(0).take(32 << 20);
    let mut gzip = Vec::new();
    flate2::read::GzEncoder::new(zeros(), flate2::Compression::best()).read_to_end(&mut gzip).unwrap();
    let zstd = zstd::encode_all(zeros(), 1).unwrap();
    for bomb in [&gzip, &zstd] {
        let mut reader = Compression::detecting_reader(bomb.as_slice(), limits).unwrap();
        let error = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err().to_string();
        assert!(error.contains("refused as a bomb"), "{error}");
    }
    let small = Limits { total_bytes: 1 << 20, ..limits };
    let mut reader = Compression::None.reader(zeros(), small).unwrap();
    let error = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err().to_string();
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
}

#[test]
fn a_refused_layer_leaves_nothing_in_the_store() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let before = listing(place.path());
    let bad = archive(&[file("fine", b"fine"), file("../escape", b"evil")]);
    let expected = Digest::sha256(&bad);
    store.unpack_layer(bad.as_slice(), Compression::None, &expected, Limits::default()).unwrap_err();
    let good = archive(&[file("fine", b"fine")]);
    let error =
        store.unpack_layer(good.as_slice(), Compression::None, &expected, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("expected"), "{error}");
    assert_eq!(listing(place.path()), before);
}

/// Entries near what attacks are made of.
fn odd_entry() -> impl Strategy<Value = (u8, String, String)> {
    let name = "(\\.\\./|/|\\./)?(a|b|\\.wh\\.a|\\.wh\\.\\.wh\\.\\.opq)?(/(a|b|\\.\\.|\\.wh\\.b)){0,3}";
    let target = "(/|\\.\\./){0,3}(a|b|outside)?(/(a|b|\\.\\.|victim)){0,2}";
    ("[0123456]".prop_map(|kind| kind.as_bytes()[0]), name, target)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sequence_of_entries_reaches_outside(entries in proptest::collection::vec(odd_entry(), 1..10)) {
        // A refused entry ends an archive: the next is tried after those that were taken.
        let mut taken = Vec::new();
        for entry in &entries {
            taken.push(entry);
            let raw: Vec<Raw<'_>> = taken.iter().map(|(kind, name, target)| raw(*kind, name, target, b"")).collect();
            if attempt(&archive(&raw), Limits::default()).0.is_err() {
                taken.pop();
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = attempt(&bytes, Limits::default());
    }

    #[test]
    fn changed_archives_are_read_without_panic(
        place in 0usize..4096, value: u8, cut in 0usize..6000, mend: bool,
    ) {
        let record = pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"40"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"b")]);
        let map = [b"1\n10\n5\n".as_slice(), &[0; 505], b"12345"].concat();
        let mut bytes = archive(&[raw(b'x', "p", "", &record), file("sparse", &map), link("l", "/a"), raw(b'S', "s", "", b"")]);
        let place = place.min(bytes.len() - 1);
        bytes[place] = value;
        if mend {
            let start = place / 512 * 512;
            bytes[start + 148..start + 156].fill(b' ');
            let sum: u32 = bytes[start..start + 512].iter().map(|byte| u32::from(*byte)).sum();
            bytes[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        bytes.truncate(cut.max(512));
        let limits = Limits { total_bytes: 1 << 20, entry_bytes: 1 << 20, ..Limits::default() };
        let _ = attempt(&bytes, limits);
    }
}
