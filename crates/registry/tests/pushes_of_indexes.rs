//! Images for several platforms under one tag, in Debian's docker-registry.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod debian;
mod fake;

use std::process::Command;

use debian::{PLAIN, Registry, image};
use fake::client;
use minato_oci::export::{Export, ExportOptions};
use minato_oci::{Image, Platform, Store};
use minato_registry::{Options, Pushed};

fn store(folder: &std::path::Path, name: &str) -> Store {
    Store::open(&folder.join(name)).unwrap()
}

/// The image as if it had been built for `platform`.
fn for_platform(store: &Store, image: &Image, platform: &str) -> Image {
    let Platform { architecture, os, variant } = platform.parse().unwrap();
    let config = minato_oci::ImageConfig { architecture, os, variant, ..image.config.clone() };
    store.save_image(&config).unwrap()
}

fn inspect(image: &str) -> serde_json::Value {
    let output = Command::new("skopeo")
        .args(["--insecure-policy", "inspect", "--raw", "--tls-verify=false", &format!("docker://{image}")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn every_platform_is_found_under_the_tag() {
    let place = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start("every_platform_is_found_under_the_tag", place.path(), PLAIN) else {
        return;
    };
    let made = store(place.path(), "made");
    let base = image(&made, &[("noise", fake::noise(300_000)), ("text", b"text".to_vec())]);
    let images = ["linux/arm64", "linux/amd64"].map(|platform| for_platform(&made, &base, platform));
    let reference = registry.reference("team/app:1");
    let push = async |images: &[Image]| -> Pushed {
        let export = Export::plan(&made, images, ExportOptions::default()).unwrap();
        client(Options::default()).push_export(&export, &reference, &made, &()).await.unwrap()
    };
    let pushed = push(&images).await;
    let [arm, amd] = images.clone();
    assert_eq!(push(&[amd, arm]).await.digest, pushed.digest, "the order of platforms matters");

    let index = inspect(&reference.to_string());
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    for image in &images {
        let pulled = store(place.path(), &image.config.architecture);
        let platform = image.config.platform();
        let again = client(Options::default()).pull(&reference, &platform, &pulled, &()).await.unwrap();
        assert_eq!(again.id, image.id);
    }
    // Here, too, the index's digest means them all.
    assert_eq!(made.tagged_images(&pushed.reference).unwrap().len(), 2);
}
