//! Layers that hide and replace each other's files make one root file system.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

use std::path::PathBuf;

use minato_oci::layer::{
    Archive, Compression, Entry, Kind, Limits, TarWriter, TreePath, UnpackOptions, unpack, write_merged_tar,
};
use minato_oci::{Digest, Store};

type File<'a> = (&'a str, Kind, &'a str);

fn file(content: &str) -> Kind {
    Kind::File { size: content.len() as u64 }
}

/// The places of layers with these entries.
fn layers(store: &Store, layers: &[&[File<'_>]]) -> Vec<PathBuf> {
    let layer = |entries: &&[File<'_>]| {
        let mut tar = TarWriter::new(Vec::new());
        for (path, kind, content) in *entries {
            let entry = Entry::new(TreePath::new(path).unwrap(), kind.clone(), 0o755);
            tar.append(&entry, &mut content.as_bytes()).unwrap();
        }
        let tar = tar.finish().unwrap();
        let diff_id = Digest::sha256(&tar);
        let none = Compression::None;
        store.unpack_layer(tar.as_slice(), none, &diff_id, Limits::default()).unwrap().path
    };
    layers.iter().map(layer).collect()
}

fn shown(tar: &[u8]) -> Vec<String> {
    let mut archive = Archive::new(tar, Limits::default());
    let mut shown = Vec::new();
    while let Some(entry) = archive.next_entry().unwrap() {
        shown.push(match &entry.kind {
            Kind::File { size } => format!("{} {size}", entry.path),
            Kind::HardLink { target } => format!("{} = {target}", entry.path),
            kind => format!("{} {kind:?}", entry.path),
        });
    }
    shown
}

#[test]
fn upper_layers_win_and_whiteouts_are_gone() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED upper_layers_win_and_whiteouts_are_gone: whiteouts need root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(&place.path().join("store")).unwrap();
    let folder = || Kind::Directory;
    let link = Kind::HardLink { target: TreePath::new("a/one").unwrap() };
    let trees = layers(
        &store,
        &[
            &[
                ("a", folder(), ""),
                ("a/one", file("1"), "1"),
                ("a/two", link, ""),
                ("b", folder(), ""),
                ("b/hidden", file("1"), "1"),
                ("c", folder(), ""),
                ("c/below", file("1"), "1"),
                ("d", file("1"), "1"),
            ],
            &[("a", folder(), ""), ("a/one", Kind::Whiteout, ""), ("c", file("22"), "22")],
            &[
                ("b", folder(), ""),
                ("b", Kind::Opaque, ""),
                ("b/new", file("333"), "333"),
                ("c", folder(), ""),
                ("c/above", file("333"), "333"),
                ("d", Kind::Whiteout, ""),
            ],
        ],
    );
    let tar = write_merged_tar(&trees, Vec::new()).unwrap();
    assert_eq!(shown(&tar), ["a Directory", "a/two 1", "b Directory", "b/new 3", "c Directory", "c/above 3"]);
    let out = place.path().join("out");
    std::fs::create_dir(&out).unwrap();
    unpack(tar.as_slice(), &out, &UnpackOptions::default()).unwrap();
    assert_eq!(std::fs::read(out.join("a/two")).unwrap(), b"1");
}
