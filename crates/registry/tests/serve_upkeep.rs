//! What a registry lets go of and what it keeps, while it serves.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking and say what they did")]

mod served;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use minato_oci::Digest;
use minato_registry::server::{Options, Policy, RetentionRule, Upkeep, let_go};
use serde_json::json;
use served::{INDEX, MANIFEST, Registry, descriptor};

#[test]
fn an_immutable_tag_means_what_it_means() {
    let folder = tempfile::tempdir().unwrap();
    let immutable_tags = vec!["v*".parse().unwrap()];
    let registry = Registry::start_with(Options { immutable_tags, ..Options::new(folder.path()) });
    let first = registry.push_image("a", "v1", b"one");
    assert_eq!(registry.push_image("a", "v1", b"one"), first, "the same again is no change");
    registry.push_image("a", "latest", b"one");
    registry.push_image("a", "latest", b"two");
    let other =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("c", b"{}"), "layers": []});
    let put = |path: &str| {
        registry.ask("PUT", path, &[("content-type", MANIFEST)], other.to_string().as_bytes()).refusal()
    };
    assert_eq!(put("/v2/a/manifests/v1"), (409, "DENIED".to_owned()));
    let digest = Digest::sha256(other.to_string());
    assert_eq!(put(&format!("/v2/a/manifests/{digest}?tag=x&tag=v1")), (409, "DENIED".to_owned()));
    assert_eq!(registry.get("/v2/a/manifests/x").status, 404, "nothing of a refused request is done");
    for path in ["/v2/a/manifests/v1".to_owned(), format!("/v2/a/manifests/{first}")] {
        assert_eq!(registry.ask("DELETE", &path, &[], b"").refusal(), (409, "DENIED".to_owned()), "{path}");
    }
    assert_eq!(registry.get("/v2/a/manifests/v1").header("docker-content-digest"), first.to_string());
}

#[test]
fn retention_takes_tags_manifests_and_then_their_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path());
    let kept = registry.push_image("team/app", "new", b"kept");
    let child = registry.push_image("team/app", "old", b"child");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [{"mediaType": MANIFEST, "digest": child, "size": 1}]});
    let index = registry.push_manifest("team/app", "old", &index);
    let rule = |tag: &str| RetentionRule {
        repositories: Vec::new(),
        tags: vec![tag.parse().unwrap()],
        keep_last: Some(0),
        keep_for: None,
    };
    let policy = |tag| Policy { rules: vec![rule(tag)], keep_untagged_for: Duration::ZERO };
    let gone = let_go(folder.path(), &policy("old"), &[], true).unwrap();
    let manifests = vec![index.to_string(), child.to_string()];
    assert_eq!((gone.len(), &gone[0].tags, &gone[0].manifests), (1, &vec!["old".to_owned()], &manifests));
    assert_eq!(registry.get(&format!("/v2/team/app/manifests/{child}")).status, 200, "it was only told");

    let_go(folder.path(), &policy("old"), &["old".parse().unwrap()], false).unwrap();
    assert_eq!(registry.get("/v2/team/app/manifests/old").status, 200, "an immutable tag stays");
    let_go(folder.path(), &policy("old"), &[], false).unwrap();
    for digest in [index, child] {
        assert_eq!(registry.get(&format!("/v2/team/app/manifests/{digest}")).status, 404);
    }
    registry.stop();

    let upkeep = Upkeep {
        every: Duration::from_millis(20),
        keep_blobs_for: Duration::ZERO,
        keep_uploads_for: Duration::ZERO,
    };
    let registry = Registry::start_with(Options { upkeep, ..Options::new(folder.path()) });
    let has = |content: &[u8]| {
        registry.get(&format!("/v2/team/app/blobs/{}", Digest::sha256(content))).status == 200
    };
    let began = Instant::now();
    while has(b"child") {
        assert!(began.elapsed() < Duration::from_secs(20), "the blob stays");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(has(b"kept") && has(b"{}"));
    assert_eq!(registry.get("/v2/team/app/manifests/new").header("docker-content-digest"), kept.to_string());
}

/// Pushes, pulls and deletes on four threads while garbage is collected all the time: nobody is ever refused, and what
/// is deleted goes.
#[test]
fn a_collection_breaks_no_push_and_no_pull() {
    let folder = tempfile::tempdir().unwrap();
    let upkeep = Upkeep {
        every: Duration::from_millis(5),
        // Far longer than one push takes here, far shorter than the test.
        keep_blobs_for: Duration::from_secs(3),
        keep_uploads_for: Duration::from_secs(3),
    };
    let policy = Policy {
        rules: vec![RetentionRule {
            repositories: Vec::new(),
            tags: Vec::new(),
            keep_last: Some(3),
            keep_for: None,
        }],
        keep_untagged_for: Duration::from_secs(3),
    };
    let options = Options { upkeep, retention: Some(policy), ..Options::new(folder.path()) };
    let registry = Registry::start_with(options);
    let (is_over, pushes, pulls) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (registry, is_over, pushes, pulls) = (&registry, &is_over, &pushes, &pulls);
            scope.spawn(move || {
                let repository = ["a", "b"][worker % 2];
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    // Some layers are everybody's, and come back after they went.
                    let layer = format!("layer {}", (number * 7 + worker) % 40);
                    let tag = format!("w{worker}");
                    let digest = registry.push_image(repository, &tag, layer.as_bytes());
                    pushes.fetch_add(1, Ordering::SeqCst);
                    let pulled = registry.get(&format!("/v2/{repository}/manifests/{digest}"));
                    assert_eq!(pulled.status, 200, "{}", pulled.text());
                    let blob = pulled.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
                    assert_eq!(
                        registry.get(&format!("/v2/{repository}/blobs/{blob}")).body,
                        layer.as_bytes()
                    );
                    pulls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        std::thread::sleep(Duration::from_secs(8));
        is_over.store(true, Ordering::SeqCst);
    });
    eprintln!("{} pushes and {} pulls beside collections", pushes.into_inner(), pulls.into_inner());
    let began = Instant::now();
    let count = || std::fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count();
    // Two tags in each of two repositories: four layers at most, and the config.
    while count() > 5 {
        assert!(began.elapsed() < Duration::from_secs(30), "{} blobs stay", count());
        std::thread::sleep(Duration::from_millis(50));
    }
}
