//! A registry that lies gets nothing into the store.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fake;

use std::path::Path;

use fake::{Content, End, Made, Registry, Reply, Seen, client};
use minato_oci::layer::Limits;
use minato_oci::{Digest, ImageConfig, RootFs, Store, media_type};
use minato_registry::Options;

/// One image with one layer; the change gets the image's parts.
async fn refused(change: impl Fn(&Made, &Seen, Reply) -> Reply + Send + Sync + 'static, expected: &str) {
    let mut content = Content::default();
    let made = content.image("app", "latest", "linux/amd64", &[("file", fake::noise(100_000))]);
    refused_content(&content, move |seen, reply| change(&made, seen, reply), expected).await;
}

async fn refused_content(
    content: &Content,
    change: impl Fn(&Seen, Reply) -> Reply + Send + Sync + 'static,
    expected: &str,
) {
    let registry = Registry::start(content, change).await;
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let reference = registry.reference("app");
    let client = client(Options::default());
    let pulled = client.pull(&reference, &"linux/amd64".parse().unwrap(), &store, &()).await;
    let error = pulled.expect_err(expected).to_string();
    assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    assert!(store.tagged().unwrap().is_empty());
    assert_eq!(entries(&place.path().join("layers")), 0, "a layer was taken: {error}");
    assert_eq!(entries(&place.path().join("ingest")), 0, "something was left behind: {error}");
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn is_layer(made: &Made, seen: &Seen) -> bool {
    seen.path.ends_with(&made.layers[0].digest.to_string())
}

#[tokio::test]
async fn a_wrong_digest_is_refused() {
    refused(
        |made, seen, reply| match is_layer(made, seen) {
            true => {
                let mut body = reply.body.clone();
                let last = body.len() / 2;
                body[last] ^= 1;
                Reply { body, ..reply }
            }
            false => reply,
        },
        "has digest",
    )
    .await;
    refused(
        |made, seen, reply| match is_layer(made, seen) {
            true => Reply { body: fake::noise(reply.body.len()), ..reply },
            false => reply,
        },
        "has digest",
    )
    .await;
    refused(
        |made, seen, reply| match seen.path.ends_with(&made.config.digest.to_string()) {
            true => Reply { body: reply.body.to_ascii_uppercase(), ..reply },
            false => reply,
        },
        "its config has digest",
    )
    .await;
    let wrong = Digest::sha256(b"other").to_string();
    refused(
        move |_, seen, reply| match seen.path.contains("/manifests/") {
            true => reply.header("docker-content-digest", &wrong),
            false => reply,
        },
        "Docker-Content-Digest is",
    )
    .await;
}

#[tokio::test]
async fn a_manifest_of_another_digest_is_refused() {
    let mut content = Content::default();
    let made = content.image("app", "latest", "linux/amd64", &[]);
    let other = content.image("app", "other", "linux/amd64", &[("a", b"evil".to_vec())]);
    let mut entry = made.manifest.clone();
    entry.platform = Some("linux/amd64".parse().unwrap());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    content.manifest("app", "latest", media_type::INDEX, index.into_bytes());
    let (asked, given) = (made.manifest.digest.to_string(), other.manifest.digest.to_string());
    let served = Registry::honest(&content).await;
    let bytes = served.reference("app").with_digest(other.manifest.digest);
    drop((served, bytes));
    let evil =
        serde_json::json!({"schemaVersion": 2, "config": other.config, "layers": other.layers}).to_string();
    refused_content(
        &content,
        move |seen, reply| match seen.path.ends_with(&asked) {
            true => {
                Reply { body: evil.clone().into_bytes(), ..reply }.header("docker-content-digest", &given)
            }
            false => reply,
        },
        "digest is",
    )
    .await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused() {
    refused(
        |made, seen, reply| match is_layer(made, seen) {
            true => reply.ending(End::Endless),
            false => reply,
        },
        "answer is longer than",
    )
    .await;
    refused(
        |made, seen, reply| match seen.path.ends_with(&made.config.digest.to_string()) {
            true => reply.ending(End::Endless),
            false => reply,
        },
        "answer is longer than",
    )
    .await;
    refused(
        |_, seen, reply| match seen.path.contains("/manifests/") {
            true => reply.ending(End::Endless),
            false => reply,
        },
        "answer is longer than 4194304 bytes",
    )
    .await;
}

#[tokio::test]
async fn another_length_than_promised_is_refused() {
    refused(
        |made, seen, reply| match is_layer(made, seen) {
            true => Reply { body: reply.body[..1000].to_vec(), ..reply },
            false => reply,
        },
        "has 1000 bytes, expected",
    )
    .await;
    refused(
        |made, seen, reply| match is_layer(made, seen) {
            true => Reply { body: [reply.body.clone(), b"more".to_vec()].concat(), ..reply },
            false => reply,
        },
        "answer is longer than",
    )
    .await;
}

#[tokio::test]
async fn nonsense_is_refused() {
    refused(
        |_, seen, reply| match seen.path.contains("/manifests/") {
            true => Reply::bytes("<html>welcome</html>"),
            false => reply,
        },
        "manifest is not valid",
    )
    .await;
    refused(
        |_, seen, reply| match seen.path.contains("/manifests/") {
            true => Reply::bytes("[".repeat(100_000)),
            false => reply,
        },
        "manifest is not valid",
    )
    .await;
    refused(
        |_, seen, reply| match seen.path.contains("/manifests/") {
            true => Reply::bytes(r#"{"schemaVersion":1,"fsLayers":[]}"#),
            false => reply,
        },
        "schema 1",
    )
    .await;
    refused(
        |_, _, _| Reply::status(301).header("location", "/v2/app/manifests/latest"),
        "too many redirects",
    )
    .await;
    refused(|_, _, _| Reply::status(418), "answered 418").await;
}

#[tokio::test]
async fn an_index_without_end_is_refused() {
    let mut content = Content::default();
    let mut bytes = serde_json::json!({"schemaVersion": 2, "manifests": []}).to_string().into_bytes();
    for _ in 0..6 {
        let inner = content.manifest("app", "latest", media_type::INDEX, bytes);
        bytes = serde_json::json!({"schemaVersion": 2, "manifests": [inner]}).to_string().into_bytes();
    }
    content.manifest("app", "latest", media_type::INDEX, bytes);
    refused_content(&content, |_, reply| reply, "too many other indexes").await;
}

#[tokio::test]
async fn an_image_that_contradicts_itself_is_refused() {
    let mut content = Content::default();
    let layer = content.blob("app", media_type::LAYER, fake::tar("a", b"1"));
    let image = |content: &mut Content, diff_ids: Vec<Digest>| {
        let config = ImageConfig { rootfs: RootFs { diff_ids }, ..ImageConfig::default() };
        let config = content.blob("app", media_type::CONFIG, config.to_json());
        let manifest =
            serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        content.manifest("app", "latest", media_type::MANIFEST, manifest.into_bytes());
    };
    image(&mut content, vec![]);
    refused_content(&content, |_, reply| reply, "1 layers and 0 diff_ids").await;
    image(&mut content, vec![Digest::sha256(b"other")]);
    refused_content(&content, |_, reply| reply, "has digest").await;
}

#[tokio::test]
async fn a_hostile_layer_is_refused() {
    let mut content = Content::default();
    let mut tar = fake::tar("xxxevil", b"evil");
    tar[..3].copy_from_slice(b"../");
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let config =
        ImageConfig { rootfs: RootFs { diff_ids: vec![Digest::sha256(&tar)] }, ..ImageConfig::default() };
    let config = content.blob("app", media_type::CONFIG, config.to_json());
    let layer = content.blob("app", media_type::LAYER, tar);
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
    content.manifest("app", "latest", media_type::MANIFEST, manifest.into_bytes());
    refused_content(&content, |_, reply| reply, "\"../evil\" path has a component \"..\"").await;
}

#[tokio::test]
async fn a_layer_over_the_limits_is_refused() {
    let mut content = Content::default();
    content.image("app", "latest", "linux/amd64", &[("big", vec![0; 100_000])]);
    let registry = Registry::honest(&content).await;
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    let limits = Limits { entry_bytes: 50_000, ..Limits::default() };
    let client = client(Options { limits, ..Options::default() });
    let pulled = client.pull(&registry.reference("app"), &"linux/amd64".parse().unwrap(), &store, &()).await;
    let error = pulled.unwrap_err().to_string();
    assert!(error.contains("an entry of more bytes than 50000"), "{error}");
}
