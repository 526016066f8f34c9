//! A cache that another machine wrote: what it knows is not done again, and what it lies about stays small.

#![allow(clippy::unwrap_used)] // Helpers of tests are no tests to clippy.

mod support;

use minato_build::cache_exchange::{CacheMode, CacheRecords, ImportedCache, LayerSource};
use minato_build::{Built, FakeExecutor, FetchError, Request};
use minato_oci::layer::{Compression, Encoding, Limits};
use minato_oci::{Descriptor, Digest, Layer, Store};
use support::{Workshop, steps};

const DOCKERFILE: &str =
    "FROM scratch AS one\nCOPY a /a\nRUN generate\nFROM scratch\nCOPY --from=one /ran /out\nRUN last\n";

/// Another machine's blobs.
struct Blobs {
    theirs: Store,
    ours: Store,
}

impl LayerSource for Blobs {
    fn fetch(&self, blob: &Descriptor, diff_id: &Digest) -> Result<Layer, FetchError> {
        let bytes = self.theirs.open_blob(&blob.digest).map_err(|error| FetchError(error.into()))?;
        let layer = self.ours.ingest_layer(bytes, blob, diff_id, Limits::default());
        layer.map_err(|error| FetchError(error.into()))
    }
}

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.write("a", "a");
    workshop
}

/// What `theirs` exports of a build, as `ours` imports it; `change` is what the cache does to its records.
fn exchanged(
    theirs: &Workshop,
    built: &Built,
    ours: &Workshop,
    mode: CacheMode,
    change: impl Fn(String) -> String,
) -> ImportedCache {
    let records = built.used_cache.records(mode, &built.image.config.rootfs.diff_ids);
    let json = change(String::from_utf8(records.to_json()).unwrap());
    let records = CacheRecords::parse(json.as_bytes(), None).unwrap();
    let encoding = Encoding::new(Compression::Zstd, None).unwrap();
    let blob = |layer: &Digest| {
        let layer = theirs.store.layer(layer).unwrap().unwrap();
        theirs.store.export_layer(&layer, encoding).unwrap()
    };
    let blobs = records.layers.iter().map(blob).collect();
    let source = Blobs { theirs: theirs.store.clone(), ours: ours.store.clone() };
    ImportedCache::new("theirs", records, blobs, source).unwrap()
}

fn request(workshop: &Workshop, cache: ImportedCache) -> Request {
    let mut request = workshop.request(DOCKERFILE);
    request.cache_imports = vec![cache];
    request
}

#[test]
fn what_another_machine_did_is_not_done_again() {
    let theirs = workshop();
    let built = theirs.build(DOCKERFILE).unwrap();
    for (mode, expected) in [(CacheMode::Max, "cccc"), (CacheMode::Min, "..cc")] {
        let ours = workshop();
        let cache = exchanged(&theirs, &built, &ours, mode, |json| json);
        let again = ours.build_request(&request(&ours, cache)).unwrap();
        assert_eq!(steps(&again), expected, "{mode:?}");
        assert_eq!(again.image.id, built.image.id);
    }
}

#[test]
fn what_only_a_cache_says_is_forgotten_after_the_build() {
    let (theirs, ours) = (workshop(), workshop());
    let built = theirs.build(DOCKERFILE).unwrap();
    let cache = exchanged(&theirs, &built, &ours, CacheMode::Max, |json| json);
    ours.build_request(&request(&ours, cache)).unwrap();
    assert_eq!(steps(&ours.build(DOCKERFILE).unwrap()), "....");
}

#[test]
fn a_cache_that_lies_about_a_layer_changes_no_other_step_and_no_config() {
    let (theirs, ours) = (workshop(), workshop());
    let built = theirs.build(DOCKERFILE).unwrap();
    // Every key stands for the same layer.
    let lie = |json: String| {
        (0..9).fold(json, |json, number| json.replace(&format!("\"layer\":{number}"), "\"layer\":0"))
    };
    let cache = exchanged(&theirs, &built, &ours, CacheMode::Max, lie);
    let again = ours.build_request(&request(&ours, cache)).unwrap();
    let (one, other) = (&built.image.config, &again.image.config);
    assert_eq!((&one.config, &one.history), (&other.config, &other.history));
    let honest = built.used_cache.records(CacheMode::Max, &[]);
    assert!(other.rootfs.diff_ids.iter().any(|layer| honest.layers[0] == *layer));
    // The lie ends with the build that believed it.
    assert_eq!(ours.build(DOCKERFILE).unwrap().image.id, built.image.id);
}

#[test]
fn a_blob_that_is_not_its_layer_is_refused_and_the_step_is_done_here() {
    let (theirs, ours) = (workshop(), workshop());
    let built = theirs.build(DOCKERFILE).unwrap();
    let wrong = Digest::sha256(b"wrong").to_string();
    let records = built.used_cache.records(CacheMode::Max, &[]);
    let right: Vec<String> = records.layers.iter().map(ToString::to_string).collect();
    let mut json = String::from_utf8(records.to_json()).unwrap();
    right.iter().for_each(|layer| json = json.replace(layer, &wrong));
    let encoding = Encoding::default();
    let blob = |layer: &Digest| {
        theirs.store.export_layer(&theirs.store.layer(layer).unwrap().unwrap(), encoding).unwrap()
    };
    let blobs = records.layers.iter().map(blob).collect();
    let source = Blobs { theirs: theirs.store.clone(), ours: ours.store.clone() };
    let lying = CacheRecords::parse(json.as_bytes(), None).unwrap();
    let cache = ImportedCache::new("lying", lying, blobs, source).unwrap();
    let again = ours.build_request(&request(&ours, cache)).unwrap();
    assert_eq!((again.image.id, steps(&again).as_str()), (built.image.id, "...."));
    let warnings = ours.progress.lines().join("\n");
    assert!(warnings.contains("cache lying: content has digest"), "{warnings}");
}

#[test]
fn cache_mounts_are_noted_and_begin_with_what_another_machine_had() {
    let dockerfile = "FROM scratch\nRUN --mount=type=cache,target=/cache,id=deps fill\n";
    let filling = || {
        FakeExecutor::new(|step, upper| {
            let minato_build::StepMount::Folder { source, .. } = &step.mounts[0] else { return Ok(1) };
            let found = std::fs::read_to_string(source.join("kept")).unwrap_or_default();
            std::fs::write(upper.join("found"), &found).unwrap();
            std::fs::write(source.join("kept"), format!("{found}x")).unwrap();
            Ok(0)
        })
    };
    let (theirs, ours) = (Workshop::with(filling()), Workshop::with(filling()));
    let built = theirs.build(dockerfile).unwrap();
    let mount = built.used_cache.mounts.first().unwrap().clone();
    assert_eq!(std::fs::read_to_string(mount.path.join("kept")).unwrap(), "x");

    let (diff_id, blob) = theirs.store.pack_tree(&mount.path, Encoding::default()).unwrap();
    let mut records = built.used_cache.records(CacheMode::Min, &[]);
    records.add_mount(&mount.name, diff_id);
    let source = Blobs { theirs: theirs.store.clone(), ours: ours.store.clone() };
    let cache = ImportedCache::new("theirs", records, vec![blob], source).unwrap();
    let mut request = ours.request(dockerfile);
    request.cache_imports = vec![cache];
    let again = ours.build_request(&request).unwrap();
    assert_eq!(std::fs::read_to_string(ours.layers(&again)[0].join("found")).unwrap(), "x");
}
