//! A process that is killed at any named point leaves a store that the next one uses as if nothing had been.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;

use minato_oci::layer::{Entry, Kind, Limits, TarWriter, TreePath};
use minato_oci::store::{CollectOptions, Collected};
use minato_oci::{Descriptor, Digest, ImageConfig, RootFs, Store};

const POINT: &str = "MINATO_TEST_KILL_AT";
const ROOT: &str = "MINATO_TEST_STORE";
const POINTS: [&str; 9] = [
    "oci.record.before-rename",
    "oci.record.after-rename",
    "oci.blob.before-rename",
    "oci.blob.after-rename",
    "oci.layer.unpacking",
    "oci.layer.before-rename",
    "oci.layer.after-rename",
    "oci.collect.layer-moved",
    "oci.collect.blob-removed",
];

/// Adds an image, takes it away and adds it again, as one process may do.
fn work(root: &Path) {
    let store = Store::open(root).unwrap();
    add(&store, "first");
    store.untag(&"app".parse().unwrap()).unwrap();
    store.collect_garbage(CollectOptions::default()).unwrap();
    add(&store, "second");
}

fn add(store: &Store, content: &str) {
    let mut tar = TarWriter::new(Vec::new());
    let entry = Entry::new(TreePath::new("file").unwrap(), Kind::File { size: content.len() as u64 }, 0o644);
    tar.append(&entry, &mut content.as_bytes()).unwrap();
    let tar = tar.finish().unwrap();
    let descriptor = Descriptor::new("", Digest::sha256(&tar), tar.len() as u64);
    let _lease = store.lease().unwrap();
    store.ingest_layer(tar.as_slice(), &descriptor, &descriptor.digest, Limits::default()).unwrap();
    let rootfs = RootFs { diff_ids: vec![descriptor.digest] };
    let image = store.save_image(&ImageConfig { rootfs, ..ImageConfig::default() }).unwrap();
    store.tag(&"app".parse().unwrap(), &image.id).unwrap();
}

/// Not a test of its own: the process that the test below kills.
#[test]
fn child() {
    let (Some(point), Some(root)) = (std::env::var_os(POINT), std::env::var_os(ROOT)) else { return };
    let _scenario = fail::FailScenario::setup();
    fail::cfg_callback(point.into_string().unwrap(), || std::process::abort()).unwrap();
    work(Path::new(&root));
}

#[test]
fn the_next_process_carries_on() {
    for point in POINTS {
        let place = tempfile::tempdir().unwrap();
        let killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--test-threads=1"])
            .env(POINT, point)
            .env(ROOT, place.path())
            .output()
            .unwrap();
        assert!(!killed.status.success(), "{point} was never reached");
        work(place.path());
        let store = Store::open(place.path()).unwrap();
        let id = store.resolve(&"app".parse().unwrap()).unwrap().expect("tagged");
        let layers = store.image_layers(&store.image(&id).unwrap().unwrap()).unwrap();
        assert_eq!(std::fs::read(layers[0].path.join("file")).unwrap(), b"second", "{point}");
        let left = std::fs::read_dir(place.path().join("ingest")).unwrap().count();
        assert_eq!(left, 0, "{point} left something behind");
        // Everything that is not the image's own is gone: a second collection finds nothing.
        store.collect_garbage(CollectOptions::default()).unwrap();
        let again = store.collect_garbage(CollectOptions::default()).unwrap();
        assert_eq!(again, Collected::Done { blobs: 0, layers: 0, bytes: 0 }, "{point}");
    }
}
