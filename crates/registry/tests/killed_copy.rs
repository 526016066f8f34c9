//! A copy into a folder and a login that are killed at any named point: the old state is there, and the next one finishes.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fake;

use std::path::Path;
use std::process::Command;

use fake::{Content, Registry, client};
use minato_oci::Reference;
use minato_registry::{CopyOptions, Credential, CredentialFile, Credentials, Options, Place, Secret};

const POINT: &str = "MINATO_TEST_KILL_AT";
const FOLDER: &str = "MINATO_TEST_FOLDER";
const REFERENCE: &str = "MINATO_TEST_REFERENCE";

async fn copy(folder: &Path, reference: &Reference) {
    let to = Place::Layout { folder: folder.join("layout"), name: None };
    let from = Place::Registry(reference.clone());
    client(Options::default()).copy(&from, &to, &CopyOptions::default(), &()).await.unwrap();
}

async fn log_in(folder: &Path, password: &str) {
    let credential = Credential::Password { user: "user".to_owned(), password: Secret::new(password) };
    CredentialFile::at(&folder.join("config.json")).store("a.example", &credential).await.unwrap();
}

/// Not a test of its own: the process that the tests below kill.
#[tokio::test]
async fn child() {
    let Some(point) = std::env::var_os(POINT) else { return };
    let (folder, reference) = (std::env::var(FOLDER).unwrap(), std::env::var(REFERENCE).unwrap());
    let _scenario = fail::FailScenario::setup();
    fail::cfg_callback(point.into_string().unwrap(), || std::process::abort()).unwrap();
    match reference.parse() {
        Ok(reference) => copy(Path::new(&folder), &reference).await,
        Err(_) => log_in(Path::new(&folder), "new").await,
    }
}

async fn kill(point: &str, folder: &Path, reference: &str) {
    let mut killed = Command::new(std::env::current_exe().unwrap());
    killed.args(["--exact", "child", "--test-threads=1"]).env(POINT, point);
    killed.env(FOLDER, folder).env(REFERENCE, reference);
    let killed = tokio::task::spawn_blocking(move || killed.output().unwrap()).await.unwrap();
    assert!(!killed.status.success(), "{point} was never reached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_copy_finishes() {
    let mut content = Content::default();
    let made = content.image("app", "1", "linux/amd64", &[("a", fake::noise(200_000))]);
    let registry = Registry::honest(&content).await;
    let reference = registry.reference("app:1");
    // The first file of a layout is the first that can be half-written.
    for point in ["copy.layout.before-rename", "copy.blob.before-rename"] {
        let place = tempfile::tempdir().unwrap();
        kill(point, place.path(), &reference.to_string()).await;
        assert!(!place.path().join("layout/index.json").exists());
        copy(place.path(), &reference).await;
        let layer = place.path().join("layout/blobs/sha256").join(made.layers[0].digest.hex());
        assert_eq!(layer.metadata().unwrap().len(), made.layers[0].size);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_the_old_or_the_new_one() {
    let place = tempfile::tempdir().unwrap();
    log_in(place.path(), "old").await;
    let file = place.path().join("config.json");
    let before = std::fs::read(&file).unwrap();
    kill("login.file.before-rename", place.path(), "").await;
    assert_eq!(std::fs::read(&file).unwrap(), before);
    log_in(place.path(), "new").await;
    assert_ne!(std::fs::read(&file).unwrap(), before);
    Credentials::load(&file).unwrap();
}
