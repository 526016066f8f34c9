//! Copies between registries, and to and from folders: byte for byte, once, and past faults.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod debian;
mod fake;

use std::collections::BTreeMap;
use std::path::Path;

use debian::{PLAIN, Registry};
use fake::{Content, End, Reply, Told, client, noise};
use minato_oci::export::{Artifact, ArtifactLayer};
use minato_oci::{Descriptor, Reference, media_type};
use minato_registry::{Copied, CopyOptions, Options, Place};

/// An index of two platforms, `team/app:1`, and its entries.
fn index(content: &mut Content) -> (Descriptor, Vec<Descriptor>) {
    let entries: Vec<Descriptor> = [("linux/amd64", 300_000), ("linux/arm64", 350_000)]
        .into_iter()
        .map(|(platform, length)| {
            let own = noise(length);
            let made = content.image(
                "team/app",
                platform.rsplit('/').next().unwrap(),
                platform,
                &[("shared", noise(200_000)), ("own", own)],
            );
            Descriptor { platform: Some(platform.parse().unwrap()), ..made.manifest }
        })
        .collect();
    let json = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": entries});
    let index = content.manifest("team/app", "1", media_type::INDEX, json.to_string().into_bytes());
    (index, entries)
}

fn at(reference: Reference) -> Place {
    Place::Registry(reference)
}

fn layout(folder: &Path, name: Option<&str>) -> Place {
    Place::Layout { folder: folder.to_owned(), name: name.map(str::to_owned) }
}

async fn copy(from: &Place, to: &Place, options: &CopyOptions, told: &Told) -> Result<Copied, String> {
    client(Options::default()).copy(from, to, options, told).await.map_err(|error| error.to_string())
}

async fn digest_at(reference: &Reference) -> Result<String, String> {
    let document = client(Options::default()).document(reference, &()).await;
    document.map(|document| document.descriptor.digest.to_string()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_index_is_copied_whole_and_once() {
    let place = tempfile::tempdir().unwrap();
    let test = "an_index_is_copied_whole_and_once";
    let Some(registry) = Registry::start(test, place.path(), PLAIN) else { return };
    let mut content = Content::default();
    let (index, entries) = index(&mut content);
    let origin = fake::Registry::honest(&content).await;
    let from = at(origin.reference("team/app:1"));
    let to = at(registry.reference("copied/app"));
    let options = CopyOptions { tags: vec!["also".to_owned()], ..CopyOptions::default() };
    let told = Told::default();
    let copied = copy(&from, &to, &options, &told).await.unwrap();
    assert_eq!((copied.digest, copied.documents), (index.digest, 3));
    assert!(copied.sent > 800_000, "{copied:?}");
    // Two images of two layers, of which they share one; and two configs.
    assert_eq!(told.count("LayerStarted"), 5);
    for tag in ["1", "also"] {
        assert_eq!(
            digest_at(&registry.reference(&format!("copied/app:{tag}"))).await.unwrap(),
            index.digest.to_string()
        );
    }

    let again = copy(&from, &to, &options, &told).await.unwrap();
    assert_eq!(again.sent, 0);
    assert_eq!(told.count("LayerStarted"), 5);

    // Within the registry nothing is sent.
    let beside = at(registry.reference("beside/app:2"));
    let mounted =
        copy(&to_tagged(&registry), &beside, &CopyOptions::default(), &Told::default()).await.unwrap();
    assert_eq!((mounted.digest, mounted.sent), (index.digest, 0));

    let one = CopyOptions { platform: Some("linux/arm64".parse().unwrap()), ..CopyOptions::default() };
    let single = at(registry.reference("single/app:arm"));
    assert_eq!(copy(&from, &single, &one, &Told::default()).await.unwrap().digest, entries[1].digest);
    let none = CopyOptions { platform: Some("linux/s390x".parse().unwrap()), ..CopyOptions::default() };
    let error = copy(&from, &single, &none, &Told::default()).await.unwrap_err();
    assert_eq!(error, "no image for linux/s390x; there is one for linux/amd64, linux/arm64");
}

fn to_tagged(registry: &Registry) -> Place {
    at(registry.reference("copied/app:1"))
}

#[tokio::test]
async fn a_folder_holds_what_a_registry_had() {
    let place = tempfile::tempdir().unwrap();
    let test = "a_folder_holds_what_a_registry_had";
    let Some(registry) = Registry::start(test, place.path(), PLAIN) else { return };
    let mut content = Content::default();
    let (index, _) = index(&mut content);
    let origin = fake::Registry::honest(&content).await;
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    let all = CopyOptions::default();
    let told = Told::default();
    copy(&at(origin.reference("team/app:1")), &layout(&one, None), &all, &told).await.unwrap();
    copy(&layout(&one, Some("1")), &layout(&two, Some("other")), &all, &told).await.unwrap();
    let to = at(registry.reference("from/folder:3"));
    let copied = copy(&layout(&two, None), &to, &all, &told).await.unwrap();
    assert_eq!(copied.digest, index.digest);
    // What skopeo reads is a layout.
    registry.push(&one, "by/skopeo:1", &["--all"]);
    assert_eq!(digest_at(&registry.reference("by/skopeo:1")).await.unwrap(), index.digest.to_string());

    let missing = copy(&layout(&one, Some("2")), &to, &all, &told).await.unwrap_err();
    assert!(missing.contains("no image is called 2; it has 1"), "{missing}");
    let stranger = place.path().join("stranger");
    std::fs::create_dir_all(stranger.join("files")).unwrap();
    let refused = copy(&layout(&one, None), &layout(&stranger, None), &all, &told).await.unwrap_err();
    assert!(refused.contains("neither empty nor an OCI layout"), "{refused}");
}

#[tokio::test]
async fn what_is_said_about_an_image_goes_along() {
    let place = tempfile::tempdir().unwrap();
    let test = "what_is_said_about_an_image_goes_along";
    let Some(registry) = Registry::start(test, place.path(), PLAIN) else { return };
    let mut content = Content::default();
    let (index, entries) = index(&mut content);
    let origin = fake::Registry::honest(&content).await;
    let here = registry.reference("said/app:1");
    copy(&at(origin.reference("team/app:1")), &at(here.clone()), &CopyOptions::default(), &Told::default())
        .await
        .unwrap();
    let client = client(Options::default());
    let sbom = artifact("application/spdx+json", "an SBOM");
    let attached = client.attach(&here, &entries[0], &sbom, &()).await.unwrap();
    assert_eq!(client.attach(&here, &entries[0], &sbom, &()).await.unwrap(), attached);
    // A signature of the SBOM.
    let of_sbom = client.document(&here.with_digest(attached), &()).await.unwrap().descriptor;
    client.attach(&here, &of_sbom, &artifact("application/x.signature", "signed"), &()).await.unwrap();
    client.attach(&here, &index, &artifact("application/x.signature", "also signed"), &()).await.unwrap();

    let list = |reference: &Reference, kind: Option<&'static str>| {
        let (client, reference) = (client.clone(), reference.clone());
        async move {
            let found = client.referrers(&reference, kind, &()).await.unwrap();
            found.into_iter().map(|entry| entry.digest).collect::<Vec<_>>()
        }
    };
    let of_image = here.with_digest(entries[0].digest);
    assert_eq!(list(&of_image, None).await, [attached]);
    assert_eq!(list(&of_image, Some("application/spdx+json")).await, [attached]);
    assert!(list(&of_image, Some("application/other")).await.is_empty());
    assert_eq!(list(&here, None).await.len(), 1);

    // By way of a folder into another repository.
    let with = CopyOptions { referrers: true, ..CopyOptions::default() };
    let folder = layout(&place.path().join("folder"), None);
    let there = registry.reference("there/app:1");
    let first = copy(&at(here.clone()), &folder, &with, &Told::default()).await.unwrap();
    let from = layout(&place.path().join("folder"), Some("1"));
    let second = copy(&from, &at(there.clone()), &with, &Told::default()).await.unwrap();
    assert_eq!((first.documents, second.documents), (6, 6));
    assert_eq!(list(&there.with_digest(entries[0].digest), None).await, [attached]);
    assert_eq!(list(&there.with_digest(attached), None).await.len(), 1);
}

fn artifact(kind: &str, content: &str) -> Artifact {
    let layer = ArtifactLayer {
        media_type: kind.to_owned(),
        content: content.as_bytes().to_vec(),
        annotations: BTreeMap::new(),
    };
    Artifact { artifact_type: kind.to_owned(), layers: vec![layer], annotations: BTreeMap::new() }
}

#[tokio::test]
async fn a_source_that_breaks_off_is_read_on_without_the_targets_notice() {
    let place = tempfile::tempdir().unwrap();
    let test = "a_source_that_breaks_off_is_read_on_without_the_targets_notice";
    let Some(registry) = Registry::start(test, place.path(), PLAIN) else { return };
    let mut content = Content::default();
    let made = content.image("app", "1", "linux/amd64", &[("file", noise(900_000))]);
    let layer = made.layers[0].digest.to_string();
    let origin = fake::Registry::start(&content, move |seen, reply| {
        match seen.path.ends_with(&layer) && seen.before < 4 {
            true => reply.ending(End::Broken(150_000)),
            false => reply,
        }
    });
    let origin = origin.await;
    let to = registry.reference("app:1");
    let from = at(origin.reference("app:1"));
    let copied = copy(&from, &at(to.clone()), &CopyOptions::default(), &Told::default()).await.unwrap();
    assert_eq!(digest_at(&to).await.unwrap(), copied.digest.to_string());
    let ranges: Vec<_> = origin.seen().into_iter().filter_map(|seen| seen.range).collect();
    assert_eq!(ranges, ["bytes=150000-", "bytes=300000-", "bytes=450000-", "bytes=600000-"]);
}

#[tokio::test]
async fn what_is_not_the_blob_does_not_arrive() {
    let place = tempfile::tempdir().unwrap();
    let test = "what_is_not_the_blob_does_not_arrive";
    let Some(registry) = Registry::start(test, place.path(), PLAIN) else { return };
    let mut content = Content::default();
    let made = content.image("app", "1", "linux/amd64", &[("file", noise(400_000))]);
    let layer = made.layers[0].clone();
    let (name, size) = (layer.digest.to_string(), layer.size as usize);
    let origin = fake::Registry::start(&content, move |seen, reply| match seen.path.ends_with(&name) {
        true => Reply::bytes(vec![7; size]),
        false => reply,
    });
    let from = at(origin.await.reference("app:1"));
    for to in [at(registry.reference("app:1")), layout(&place.path().join("folder"), None)] {
        let error = copy(&from, &to, &CopyOptions::default(), &Told::default()).await.unwrap_err();
        assert!(error.contains(&format!("content is not what {} names", layer.digest)), "{error}");
    }
    assert!(digest_at(&registry.reference("app:1")).await.unwrap_err().contains("not found"));
    assert!(!place.path().join("folder/index.json").exists());
}
