//! The content store: what goes in is verified, what nobody refers to goes, what somebody adds stays.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use minato_oci::layer::{Compression, Entry, Kind, Limits, TarWriter, TreePath};
use minato_oci::store::{CollectOptions, Collected};
use minato_oci::{Descriptor, Digest, ImageConfig, Platform, Reference, RootFs, Store, StoreError};

fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    (place, store)
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn tar(entries: &[(&str, Kind, &[u8])]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, kind, content) in entries {
        let entry = Entry::new(TreePath::new(path).unwrap(), kind.clone(), 0o755);
        tar.append(&entry, &mut &**content).unwrap();
    }
    tar.finish().unwrap()
}

fn layer_of(store: &Store, content: &[u8]) -> Digest {
    let tar = tar(&[("file", Kind::File { size: content.len() as u64 }, content)]);
    let diff_id = Digest::sha256(&tar);
    store.unpack_layer(tar.as_slice(), Compression::None, &diff_id, Limits::default()).unwrap();
    diff_id
}

fn image_of(store: &Store, layers: &[Digest], author: &str) -> Digest {
    let config = ImageConfig {
        author: Some(author.to_owned()),
        rootfs: RootFs { diff_ids: layers.to_vec() },
        ..ImageConfig::default()
    };
    store.save_image(&config).unwrap().id
}

fn files_below(path: &Path) -> usize {
    let entries: Vec<_> = fs::read_dir(path).unwrap().map(Result::unwrap).collect();
    entries.iter().map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

#[test]
fn blobs_are_verified_while_they_are_written() {
    let (place, store) = store();
    let digest = store.put_blob(b"content").unwrap();
    assert_eq!(store.read_blob(&digest, 7).unwrap(), b"content");
    assert_eq!(store.blob_size(&digest), Some(7));
    assert!(matches!(store.read_blob(&digest, 6), Err(StoreError::TooLong { limit: 6 })));

    let mut other = store.ingest(Some(&digest), 100).unwrap();
    other.write_all(b"something else").unwrap();
    assert!(matches!(other.commit(), Err(StoreError::Digest { expected, .. }) if expected == digest));
    let mut long = store.ingest(None, 3).unwrap();
    assert!(long.write_all(b"four").unwrap_err().to_string().contains("longer than 3"));
    drop(long);
    assert_eq!(files_below(&place.path().join("ingest")), 0);
    assert_eq!(files_below(&place.path().join("blobs")), 1);
}

#[test]
fn a_damaged_blob_is_noticed() {
    let (place, store) = store();
    let digest = store.put_blob(b"content").unwrap();
    fs::write(place.path().join("blobs/sha256").join(digest.hex()), b"CONTENT").unwrap();
    let error = store.read_blob(&digest, 100).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains(&digest.hex()), "{error}");
}

#[test]
fn an_image_needs_its_layers() {
    let (_place, store) = store();
    let missing = Digest::sha256(b"missing");
    let config = ImageConfig { rootfs: RootFs { diff_ids: vec![missing] }, ..ImageConfig::default() };
    assert!(matches!(store.save_image(&config), Err(StoreError::NoLayer(layer)) if layer == missing));
    assert!(matches!(store.tag(&reference("a"), &missing), Err(StoreError::NoImage(_))));
    assert!(store.image(&missing).unwrap().is_none());
}

#[test]
fn tags_follow_references() {
    let (_place, store) = store();
    let (first, second) = (image_of(&store, &[], "1"), image_of(&store, &[], "2"));
    store.tag(&reference("app"), &first).unwrap();
    store.tag(&reference("ghcr.io/team/app:1.0"), &first).unwrap();
    assert_eq!(store.resolve(&reference("docker.io/library/app:latest")).unwrap(), Some(first));
    store.tag(&reference("app:latest"), &second).unwrap();
    assert_eq!(store.resolve(&reference("app")).unwrap(), Some(second));
    let tagged: Vec<_> =
        store.tagged().unwrap().into_iter().map(|(name, id, _)| (name.familiar(), id)).collect();
    assert_eq!(tagged, [("app:latest".to_owned(), second), ("ghcr.io/team/app:1.0".to_owned(), first)]);
    assert!(store.untag(&reference("app")).unwrap());
    assert!(!store.untag(&reference("app")).unwrap());
    assert_eq!(store.resolve(&reference("app")).unwrap(), None);
    let pinned = reference("app").with_digest(first);
    assert!(matches!(store.tag(&pinned, &first), Err(StoreError::TagWithDigest(_))));
}

#[test]
fn a_digest_means_an_image_or_what_it_came_with() {
    let (_place, store) = store();
    let id = image_of(&store, &[], "1");
    let (manifest, index) = (Digest::sha256(b"manifest"), Digest::sha256(b"index"));
    store.record_manifest(&id, &manifest, Some(&index)).unwrap();
    for digest in [id, manifest, index] {
        assert_eq!(store.resolve(&reference("any").with_digest(digest)).unwrap(), Some(id));
    }
    let no_config = store.put_blob(b"plain").unwrap();
    for digest in [no_config, Digest::sha256(b"absent")] {
        assert_eq!(store.resolve(&reference("any").with_digest(digest)).unwrap(), None);
    }
}

#[test]
fn garbage_goes_and_what_roots_reach_stays() {
    let (_place, store) = store();
    let [shared, only_old, pinned, loose] = [b"1", b"2", b"3", b"4"].map(|content| layer_of(&store, content));
    let (old, new) = (image_of(&store, &[shared, only_old], "old"), image_of(&store, &[shared], "new"));
    let (garbage, kept) = (store.put_blob(b"garbage").unwrap(), store.put_blob(b"kept").unwrap());
    store.tag(&reference("app"), &old).unwrap();
    store.pin("history/1", &[old]).unwrap();
    store.pin("cache", &[pinned, kept]).unwrap();
    store.tag(&reference("app"), &new).unwrap();

    let collected = store.collect_garbage(CollectOptions::default()).unwrap();
    assert!(matches!(collected, Collected::Done { blobs: 1, layers: 1, .. }), "{collected:?}");
    assert!(!store.has_blob(&garbage) && store.has_blob(&kept));
    assert!(store.layer(&loose).unwrap().is_none());
    for layer in [shared, only_old, pinned] {
        assert!(store.layer(&layer).unwrap().is_some());
    }
    assert!(store.unpin("history/1").unwrap());
    store.collect_garbage(CollectOptions::default()).unwrap();
    assert!(store.image(&old).unwrap().is_none() && store.layer(&only_old).unwrap().is_none());
    assert!(store.image(&new).unwrap().is_some() && store.layer(&shared).unwrap().is_some());
}

#[test]
fn unused_content_stays_as_long_as_asked() {
    let (_place, store) = store();
    let layer = layer_of(&store, b"cached");
    let hour = CollectOptions { keep_unused_for: Duration::from_secs(3600), at_most: None };
    assert_eq!(store.collect_garbage(hour).unwrap(), Collected::Done { blobs: 0, layers: 0, bytes: 0 });
    assert!(store.layer(&layer).unwrap().is_some());
}

#[test]
fn the_store_keeps_to_its_limit_and_to_what_has_a_name() {
    let (_place, store) = store();
    let contents: Vec<Vec<u8>> = (0..4).map(|number| vec![number; 10_000]).collect();
    let layers: Vec<Digest> = contents.iter().map(|content| layer_of(&store, content)).collect();
    for (hours, layer) in layers.iter().enumerate() {
        let path = store.layer(layer).unwrap().unwrap().path.with_file_name("layer.json");
        let used = std::time::SystemTime::now() - Duration::from_secs(3600 * (1 + hours as u64));
        std::fs::File::options().write(true).open(path).unwrap().set_modified(used).unwrap();
    }
    // The one that was used longest ago has a name.
    let named = image_of(&store, &layers[3..], "named");
    store.tag(&reference("app"), &named).unwrap();
    let size = store.layer(&layers[0]).unwrap().unwrap().size;
    let limit = 3 * size + 4096;
    let options = CollectOptions { keep_unused_for: Duration::from_secs(86_400), at_most: Some(limit) };
    store.collect_garbage(options).unwrap();
    let there: Vec<bool> = layers.iter().map(|layer| store.layer(layer).unwrap().is_some()).collect();
    assert_eq!(there, [true, true, false, true]);
    store.collect_garbage(CollectOptions { at_most: Some(1), ..options }).unwrap();
    assert!(store.layer(&layers[0]).unwrap().is_none());
    assert!(store.layer(&layers[3]).unwrap().is_some(), "what has a name stays, whatever the limit");
}

#[test]
fn a_layer_stays_together_with_its_blob() {
    let (_place, store) = store();
    let tar = tar(&[("a", Kind::Directory, b"")]);
    let blob = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let descriptor = Descriptor::new("", Digest::sha256(&blob), blob.len() as u64);
    let layer =
        store.ingest_layer(blob.as_slice(), &descriptor, &Digest::sha256(&tar), Limits::default()).unwrap();
    assert_eq!(layer.blob, Some(descriptor.digest));
    let id = image_of(&store, &[layer.diff_id], "pulled");
    store.tag(&reference("pulled"), &id).unwrap();
    store.collect_garbage(CollectOptions::default()).unwrap();
    assert!(store.has_blob(&descriptor.digest));
    store.untag(&reference("pulled")).unwrap();
    store.collect_garbage(CollectOptions::default()).unwrap();
    assert!(!store.has_blob(&descriptor.digest) && store.layer(&layer.diff_id).unwrap().is_none());
}

#[test]
fn a_blob_that_lies_is_told_from_an_archive_that_is_broken() {
    let (place, store) = store();
    let tar = tar(&[("a", Kind::Directory, b"")]);
    let honest = Descriptor::new("", Digest::sha256(&tar), tar.len() as u64);
    let attempt = |blob: &[u8], descriptor: &Descriptor| {
        let result = store.ingest_layer(blob, descriptor, &Digest::sha256(&tar), Limits::default());
        result.unwrap_err().to_string()
    };
    let garbage = vec![b'x'; tar.len()];
    let error = attempt(&garbage, &honest);
    assert!(error.contains(&format!("expected {}", honest.digest)), "{error}");
    let broken = Descriptor::new("", Digest::sha256(&garbage), garbage.len() as u64);
    assert!(attempt(&garbage, &broken).contains("checksum"));
    let more = [tar.clone(), b"more".to_vec()].concat();
    assert!(attempt(&more, &honest).contains("longer than"));
    let short = Descriptor { size: 100, ..honest.clone() };
    assert!(attempt(&tar, &short).contains("longer than 100 bytes"));
    assert!(store.layer(&Digest::sha256(&tar)).unwrap().is_none());
    assert_eq!(files_below(&place.path().join("layers")), 0);
}

#[test]
fn nothing_is_collected_while_somebody_adds() {
    let (place, store) = store();
    let other_process = Store::open(place.path()).unwrap();
    let garbage = store.put_blob(b"garbage").unwrap();
    let lease = store.lease().unwrap();
    assert_eq!(other_process.collect_garbage(CollectOptions::default()).unwrap(), Collected::Busy);
    drop(lease);
    let writer = store.ingest(None, 10).unwrap();
    let staged = store.stage_layer().unwrap();
    assert_eq!(other_process.collect_garbage(CollectOptions::default()).unwrap(), Collected::Busy);
    drop((writer, staged));
    assert!(store.has_blob(&garbage));
    other_process.collect_garbage(CollectOptions::default()).unwrap();
    assert!(!store.has_blob(&garbage));
}

#[test]
fn what_a_killed_process_left_is_cleared_unless_somebody_adds() {
    let (place, store) = store();
    let left = place.path().join("ingest/layer-left");
    fs::create_dir_all(left.join("tree/locked")).unwrap();
    fs::set_permissions(left.join("tree/locked"), std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .unwrap();
    let staged = store.stage_layer().unwrap();
    Store::open(place.path()).unwrap();
    assert!(left.exists() && staged.path().exists());
    drop(staged);
    Store::open(place.path()).unwrap();
    assert_eq!(fs::read_dir(place.path().join("ingest")).unwrap().count(), 0);
}

#[test]
fn another_version_is_not_touched() {
    let (place, _store) = store();
    fs::write(place.path().join("store.json"), "{\"version\":2}").unwrap();
    assert!(matches!(Store::open(place.path()), Err(StoreError::Version { found: 2, .. })));
    fs::write(place.path().join("store.json"), "nonsense").unwrap();
    assert!(matches!(Store::open(place.path()), Err(StoreError::Damaged { .. })));
}

/// Adding, tagging, untagging and collecting at once, each through a store of its own as processes have it.
#[test]
fn many_at_once_never_lose_a_tagged_image() {
    let (place, _store) = store();
    let root = place.path();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let store = Store::open(root).unwrap();
            let mut collections = 0;
            while !done.load(Ordering::Relaxed) {
                let collected = store.collect_garbage(CollectOptions::default()).unwrap();
                collections += usize::from(collected != Collected::Busy);
                std::thread::yield_now();
            }
            collections
        });
        let workers: Vec<_> = (0..4)
            .map(|worker: usize| {
                scope.spawn(move || {
                    let store = Store::open(root).unwrap();
                    for round in 0..20 {
                        let lease = store.lease().unwrap();
                        // The same layers as the neighbours, so that all race for them.
                        let layers = [layer_of(&store, &[round % 5]), layer_of(&store, b"shared")];
                        let id = image_of(&store, &layers, &format!("{worker}"));
                        let name = reference(&format!("app{worker}"));
                        store.tag(&name, &id).unwrap();
                        drop(lease);
                        let found = store.resolve(&name).unwrap().unwrap();
                        let image = store.image(&found).unwrap().expect("a tagged image is there");
                        assert_eq!(store.image_layers(&image).unwrap().len(), 2);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(collector.join().unwrap() > 0, "no collection ever ran");
    });
    let store = Store::open(root).unwrap();
    let ids: BTreeSet<Digest> = store.tagged().unwrap().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn opening_the_store_disturbs_nobody_who_writes() {
    let (place, store) = store();
    let id = image_of(&store, &[], "1");
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| (0..5000).for_each(|_| drop(Store::open(place.path()).unwrap())));
        let mut number = 0_u32;
        while !opener.is_finished() {
            number += 1;
            let manifest = Digest::sha256(number.to_le_bytes());
            store.record_manifest(&id, &manifest, None).unwrap();
        }
        opener.join().unwrap();
        assert!(number > 0);
    });
}

#[test]
fn overlayfs_shows_what_the_layers_say() {
    let test = "overlayfs_shows_what_the_layers_say";
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: must be root to mount overlayfs");
        return;
    }
    let (place, store) = store();
    let file = |content: &'static [u8]| (Kind::File { size: content.len() as u64 }, content);
    let unpack = |entries: &[(&str, (Kind, &'static [u8]))]| {
        let entries: Vec<_> =
            entries.iter().map(|(path, (kind, content))| (*path, kind.clone(), *content)).collect();
        let tar = tar(&entries);
        let diff_id = Digest::sha256(&tar);
        store.unpack_layer(tar.as_slice(), Compression::None, &diff_id, Limits::default()).unwrap().path
    };
    let folder = || (Kind::Directory, b"".as_slice());
    let lower = unpack(&[
        ("gone", file(b"1")),
        ("hidden", folder()),
        ("hidden/below", file(b"1")),
        ("merged", folder()),
        ("merged/below", file(b"1")),
    ]);
    let upper = unpack(&[
        ("gone", (Kind::Whiteout, b"")),
        ("hidden", folder()),
        ("hidden", (Kind::Opaque, b"")),
        ("hidden/above", file(b"2")),
        ("merged", folder()),
        ("merged/above", file(b"2")),
    ]);
    let mounted = place.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let options = format!("lowerdir={}:{}", upper.display(), lower.display());
    let mount =
        Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&mounted).output();
    let mount = mount.unwrap();
    if !mount.status.success() {
        eprintln!(
            "SKIPPED {test}: overlayfs can't be mounted here: {}",
            String::from_utf8_lossy(&mount.stderr)
        );
        return;
    }
    let names = |folder: &str| {
        let entries = fs::read_dir(mounted.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let shown = [names("."), names("hidden"), names("merged")];
    assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    assert_eq!(shown, ["hidden merged", "above", "above below"]);
}

#[test]
fn a_tag_means_one_image_for_each_platform() {
    let (_folder, store) = store();
    let image = |platform: &str| {
        let platform: Platform = platform.parse().unwrap();
        let Platform { architecture, os, variant } = platform;
        store.save_image(&ImageConfig { architecture, os, variant, ..ImageConfig::default() }).unwrap()
    };
    let (amd, arm, other) = (image("linux/amd64"), image("linux/arm64"), image("linux/s390x"));
    let name = reference("app");
    store.tag_all(&name, &amd.id, &[arm.id]).unwrap();
    let found = |platform: &str| {
        let image = store.resolve_for(&name, &platform.parse().unwrap()).unwrap();
        image.map(|image| image.id)
    };
    assert_eq!(store.resolve(&name).unwrap(), Some(amd.id));
    assert_eq!([found("linux/amd64"), found("linux/arm64")], [Some(amd.id), Some(arm.id)]);
    assert_eq!(found("linux/s390x"), None);
    store.collect_garbage(CollectOptions::default()).unwrap();
    assert!(store.image(&arm.id).unwrap().is_some() && store.image(&other.id).unwrap().is_none());
    // Built again for one platform, the tag means no old image for another.
    store.tag(&name, &amd.id).unwrap();
    assert_eq!(store.tagged_images(&name).unwrap(), [amd.id]);
}

#[test]
fn images_that_were_chosen_from_one_index_share_its_tag() {
    let (_folder, store) = store();
    let image = |platform: &str, index: &Digest| {
        let platform: Platform = platform.parse().unwrap();
        let Platform { architecture, os, variant } = platform;
        let author = Some(index.to_string());
        let config = ImageConfig { author, architecture, os, variant, ..ImageConfig::default() };
        let image = store.save_image(&config).unwrap();
        let manifest = store.put_blob(image.id.to_string().as_bytes()).unwrap();
        store.record_manifest(&image.id, &manifest, Some(index)).unwrap();
        image
    };
    let (old, new) = (Digest::sha256(b"old"), Digest::sha256(b"new"));
    let foreign = if Platform::host().architecture == "arm64" { "linux/amd64" } else { "linux/arm64" };
    let host = Platform::host().to_string();
    let name = reference("base");
    let (here, there) = (image(&host, &old), image(foreign, &old));
    for one in [&here, &there] {
        store.tag_one_of(&name, one, Some(&old)).unwrap();
    }
    assert_eq!(store.tagged_images(&name).unwrap(), [here.id, there.id]);
    assert_eq!(store.tagged_images(&name.with_digest(old)).unwrap().len(), 2);
    let newer = image(foreign, &new);
    store.tag_one_of(&name, &newer, Some(&new)).unwrap();
    assert_eq!(
        store.tagged_images(&name).unwrap(),
        [newer.id],
        "the old index is not what the tag means now"
    );
}
