//! ADD of archives that mean harm.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use std::path::Path;

use support::Workshop;

/// A tar entry: name, type, link target, content.
type Entry<'a> = (&'a str, u8, &'a str, &'a [u8]);

/// Writes headers by hand: no library makes what an attacker would.
fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, link, content) in entries {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = *kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend([0; 1024]);
    archive
}

fn add(entries: &[Entry<'_>]) -> Result<Vec<String>, String> {
    let workshop = Workshop::new();
    std::fs::write(workshop.context().join("x.tar"), tar(entries)).unwrap();
    let before = outside(workshop.folder());
    let result = workshop.build("FROM scratch\nADD x.tar /in/\n");
    assert_eq!(outside(workshop.folder()), before, "something was written outside of store and cache");
    match result {
        Ok(built) => Ok(list(&workshop.layers(&built)[0])),
        Err(error) => Err(error.to_string()),
    }
}

/// What is in the workshop but in no store and no cache.
fn outside(folder: &Path) -> Vec<String> {
    list(folder).into_iter().filter(|path| !path.starts_with("store") && !path.starts_with("cache")).collect()
}

fn list(folder: &Path) -> Vec<String> {
    let (mut paths, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            paths.push(entry.path().strip_prefix(folder).unwrap().display().to_string());
        }
    }
    paths.sort();
    paths
}

#[test]
fn an_honest_archive_is_unpacked() {
    let found = add(&[
        ("d", b'5', "", b""),
        ("d/f", b'0', "", b"x"),
        ("d/l", b'2', "/etc/passwd", b""),
        ("h", b'1', "d/f", b""),
    ]);
    assert_eq!(found.unwrap(), ["in", "in/d", "in/d/f", "in/d/l", "in/h"]);
}

#[test]
fn paths_that_leave_the_destination_are_refused() {
    for (entries, message) in [
        (vec![("../f", b'0', "", &b"x"[..])], "path has a component \"..\""),
        (vec![("ok", b'0', "", b"x"), ("a/../../f", b'0', "", b"x")], "path has a component \"..\""),
        (vec![("/etc/passwd", b'0', "", b"x")], "path is absolute"),
        (vec![("ok", b'0', "", b""), ("l", b'1', "../../etc/passwd", b"")], "component \"..\""),
        (vec![("l", b'1', "nothing", b"")], "is a hard link to \"nothing\""),
        (
            vec![("l", b'2', "/", b""), ("l/etc/passwd", b'0', "", b"x")],
            "a symbolic link that the archive brought",
        ),
        (vec![("l", b'2', "..", b""), ("l/x", b'5', "", b"")], "a symbolic link that the archive brought"),
    ] {
        let error = add(&entries).unwrap_err();
        assert!(
            error.starts_with("Dockerfile:2:1: ADD x.tar /in/: archive") && error.contains(message),
            "{error}"
        );
    }
}

#[test]
fn an_entry_over_the_limit_is_refused_before_it_is_written() {
    // The header promises 8 TiB; nothing of it is there.
    let mut archive = tar(&[("ok", b'0', "", b"x"), ("big", b'0', "", b"")]);
    let header = &mut archive[1024..1536];
    header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0]);
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let workshop = Workshop::new();
    std::fs::write(workshop.context().join("x.tar"), archive).unwrap();
    let error = workshop.build("FROM scratch\nADD x.tar /in/\n").unwrap_err().to_string();
    assert!(error.contains("archive x.tar: archive has an entry of more bytes than"), "{error}");
}

#[test]
fn a_cut_archive_is_refused_and_what_is_none_is_copied() {
    let workshop = Workshop::new();
    let whole = tar(&[("f", b'0', "", &[7; 2000])]);
    std::fs::write(workshop.context().join("x.tar"), &whole[..1500]).unwrap();
    assert!(workshop.build("FROM scratch\nADD x.tar /in/\n").is_err());
    std::fs::write(workshop.context().join("x.tar"), "no archive at all").unwrap();
    let built = workshop.build("FROM scratch\nADD x.tar /in/\n").unwrap();
    assert_eq!(list(&workshop.layers(&built)[0]), ["in", "in/x.tar"]);
}
