//! A pull that is killed at any named point is finished by the next one.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fake;

use std::path::Path;
use std::process::Command;

use fake::{Content, Registry, client};
use minato_oci::{Image, Reference, Store};
use minato_registry::Options;

const POINT: &str = "MINATO_TEST_KILL_AT";
const FOLDER: &str = "MINATO_TEST_STORE";
const REFERENCE: &str = "MINATO_TEST_REFERENCE";
const POINTS: [&str; 7] = [
    "registry.blob.chunk",
    "registry.layer.done",
    "registry.image.before-tag",
    "oci.layer.unpacking",
    "oci.blob.before-rename",
    "oci.layer.before-rename",
    "oci.record.before-rename",
];

async fn pull(folder: &Path, reference: &Reference) -> (Store, Image) {
    let store = Store::open(folder).unwrap();
    let platform = "linux/amd64".parse().unwrap();
    let image = client(Options::default()).pull(reference, &platform, &store, &()).await.unwrap();
    (store, image)
}

/// Not a test of its own: the process that the test below kills.
#[tokio::test]
async fn child() {
    let Some(point) = std::env::var_os(POINT) else { return };
    let (folder, reference) = (std::env::var(FOLDER).unwrap(), std::env::var(REFERENCE).unwrap());
    let _scenario = fail::FailScenario::setup();
    fail::cfg_callback(point.into_string().unwrap(), || std::process::abort()).unwrap();
    pull(Path::new(&folder), &reference.parse().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_pull_finishes() {
    let mut content = Content::default();
    content.image("app", "1", "linux/amd64", &[("a", fake::noise(200_000)), ("b", b"2".to_vec())]);
    let registry = Registry::honest(&content).await;
    let reference = registry.reference("app:1");
    for point in POINTS {
        let place = tempfile::tempdir().unwrap();
        let mut killed = Command::new(std::env::current_exe().unwrap());
        killed.args(["--exact", "child", "--test-threads=1"]).env(POINT, point);
        killed.env(FOLDER, place.path()).env(REFERENCE, reference.to_string());
        let killed = tokio::task::spawn_blocking(move || killed.output().unwrap()).await.unwrap();
        assert!(!killed.status.success(), "{point} was never reached");
        let (store, image) = pull(place.path(), &reference).await;
        let layers = store.image_layers(&image).unwrap();
        assert_eq!(std::fs::read(layers[0].path.join("a")).unwrap(), fake::noise(200_000), "{point}");
        assert_eq!(store.resolve(&reference).unwrap(), Some(image.id));
        assert_eq!(
            std::fs::read_dir(place.path().join("ingest")).unwrap().count(),
            0,
            "{point} left something"
        );
    }
}
