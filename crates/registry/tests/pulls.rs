//! An image is pulled by tag or digest, for the right platform, and nothing twice.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fake;

use fake::{Content, Registry, Told, client};
use minato_oci::store::CollectOptions;
use minato_oci::{Platform, Store, media_type};
use minato_registry::Options;

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    (place, store)
}

#[tokio::test]
async fn a_tag_is_pulled_and_tagged() {
    let mut content = Content::default();
    let made = content.image(
        "team/app",
        "1.0",
        "linux/amd64",
        &[("a", fake::noise(300_000)), ("b", b"two".to_vec())],
    );
    let registry = Registry::honest(&content).await;
    let (_place, store) = store();
    let reference = registry.reference("team/app:1.0");
    let image = client(Options::default()).pull(&reference, &amd64(), &store, &()).await.unwrap();
    assert_eq!(image.id, made.config.digest);
    assert_eq!(store.resolve(&reference).unwrap(), Some(image.id));
    let layers = store.image_layers(&image).unwrap();
    assert_eq!(std::fs::read(layers[0].path.join("a")).unwrap(), fake::noise(300_000));
    assert_eq!(std::fs::read(layers[1].path.join("b")).unwrap(), b"two");
    assert_eq!(store.manifest_of(&image.id).unwrap(), Some(made.manifest.digest));
    store.collect_garbage(CollectOptions::default()).unwrap();
    assert!(made.layers.iter().all(|layer| store.has_blob(&layer.digest)));
}

#[tokio::test]
async fn a_digest_is_pulled_without_a_tag() {
    let mut content = Content::default();
    let made = content.image("app", "latest", "linux/amd64", &[("a", b"1".to_vec())]);
    let registry = Registry::honest(&content).await;
    let (_place, store) = store();
    // The digest decides, whatever the tag says.
    let reference = registry.reference("app:no-such-tag").with_digest(made.manifest.digest);
    let image = client(Options::default()).pull(&reference, &amd64(), &store, &()).await.unwrap();
    assert_eq!(store.resolve(&reference).unwrap(), Some(image.id));
    assert!(store.tagged().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let mut content = Content::default();
    content.image("app", "1", "linux/amd64", &[("base", b"base".to_vec()), ("a", b"1".to_vec())]);
    let second =
        content.image("app", "2", "linux/amd64", &[("base", b"base".to_vec()), ("a", b"2".to_vec())]);
    let registry = Registry::honest(&content).await;
    let (_place, store) = store();
    let client = client(Options::default());
    client.pull(&registry.reference("app:1"), &amd64(), &store, &()).await.unwrap();
    let before = registry.paths().len();
    let told = Told::default();
    client.pull(&registry.reference("app:2"), &amd64(), &store, &told).await.unwrap();
    let mut fetched = registry.paths().split_off(before);
    fetched.sort();
    let mut expected = [
        "/v2/app/manifests/2".to_owned(),
        format!("/v2/app/blobs/{}", second.config.digest),
        format!("/v2/app/blobs/{}", second.layers[1].digest),
    ];
    expected.sort();
    assert_eq!(fetched, expected);
    assert_eq!((told.count("LayerPresent"), told.count("LayerDone")), (1, 1));
    client.pull(&registry.reference("app:2"), &amd64(), &store, &()).await.unwrap();
    assert_eq!(registry.paths().len(), before + 4, "only the manifest is asked for");
}

#[tokio::test]
async fn an_index_gives_the_platforms_own_image() {
    let mut content = Content::default();
    let arm = content.image("app", "arm", "linux/arm64", &[("a", b"arm".to_vec())]);
    let amd = content.image("app", "amd", "linux/amd64", &[("a", b"amd".to_vec())]);
    let entry = |made: &fake::Made, platform: &str| {
        let mut descriptor = made.manifest.clone();
        descriptor.platform = Some(platform.parse().unwrap());
        descriptor
    };
    let entries = [entry(&arm, "unknown/unknown"), entry(&arm, "linux/arm64"), entry(&amd, "linux/amd64")];
    let index =
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type::DOCKER_INDEX, "manifests": entries});
    let index = content.manifest("app", "latest", media_type::DOCKER_INDEX, index.to_string().into_bytes());
    let registry = Registry::honest(&content).await;
    let (_place, store) = store();
    let client = client(Options::default());
    let reference = registry.reference("app");
    let resolved = client.resolve(&reference, &amd64()).await.unwrap();
    assert_eq!((resolved.descriptor.digest, resolved.index), (amd.manifest.digest, Some(index.digest)));
    let image = client.pull(&reference, &amd64(), &store, &()).await.unwrap();
    assert_eq!(image.id, amd.config.digest);
    for digest in [index.digest, amd.manifest.digest] {
        assert_eq!(store.resolve(&reference.with_digest(digest)).unwrap(), Some(image.id));
    }
    let error =
        client.pull(&reference, &"linux/s390x".parse().unwrap(), &store, &()).await.unwrap_err().to_string();
    assert!(error.contains("no image for linux/s390x; there is one for linux/arm64, linux/amd64"), "{error}");
}

#[tokio::test]
async fn an_image_for_another_platform_is_refused() {
    let mut content = Content::default();
    content.image("app", "latest", "linux/arm64", &[]);
    let registry = Registry::honest(&content).await;
    let (_place, store) = store();
    let pulled = client(Options::default()).pull(&registry.reference("app"), &amd64(), &store, &()).await;
    let error = pulled.unwrap_err().to_string();
    assert!(error.contains("no image for linux/amd64; there is one for linux/arm64"), "{error}");
}

#[tokio::test]
async fn layers_are_downloaded_at_the_same_time() {
    let mut content = Content::default();
    let layers: Vec<(String, Vec<u8>)> = (0..3).map(|n| (format!("f{n}"), vec![n; 1000])).collect();
    let layers: Vec<(&str, Vec<u8>)> =
        layers.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let made = content.image("app", "latest", "linux/amd64", &layers);
    let blobs: Vec<String> = made.layers.iter().map(|layer| layer.digest.to_string()).collect();
    // Each blob is answered only when all three were asked for; alone none would ever be.
    let all = std::sync::Arc::new(tokio::sync::Barrier::new(3));
    let registry = Registry::start(&content, move |seen, reply| {
        let is_layer = blobs.iter().any(|blob| seen.path.ends_with(blob.as_str()));
        fake::Reply { meet: is_layer.then(|| all.clone()), ..reply }
    });
    let registry = registry.await;
    let (_place, store) = store();
    let reference = registry.reference("app");
    let (client, platform) = (client(Options::default()), amd64());
    let pull = client.pull(&reference, &platform, &store, &());
    tokio::time::timeout(std::time::Duration::from_secs(20), pull).await.expect("not in parallel").unwrap();
}
