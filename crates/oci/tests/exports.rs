//! What an export is made of: deterministic documents, annotations where they belong, platforms sorted.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use minato_oci::export::{Annotation, Artifact, ArtifactLayer, Export, ExportOptions, MediaTypes, Packed};
use minato_oci::layer::{Compression, Encoding, Entry, Kind, Limits, TarWriter, TreePath};
use minato_oci::{
    Digest, Image, ImageConfig, Manifest, ManifestDocument, Platform, RootFs, Store, media_type,
};

fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(&place.path().join("store")).unwrap();
    (place, store)
}

/// An image for `platform` of one layer with one file.
fn image(store: &Store, platform: &str, content: &[u8]) -> Image {
    let platform: Platform = platform.parse().unwrap();
    let mut tar = TarWriter::new(Vec::new());
    let kind = Kind::File { size: content.len() as u64 };
    tar.append(&Entry::new(TreePath::new("file").unwrap(), kind, 0o644), &mut &*content).unwrap();
    let tar = tar.finish().unwrap();
    let diff_id = Digest::sha256(&tar);
    store.unpack_layer(tar.as_slice(), Compression::None, &diff_id, Limits::default()).unwrap();
    let config = ImageConfig {
        os: platform.os,
        architecture: platform.architecture,
        variant: platform.variant,
        rootfs: RootFs { diff_ids: vec![diff_id] },
        ..ImageConfig::default()
    };
    store.save_image(&config).unwrap()
}

fn pack(store: &Store, images: &[Image], annotations: &[&str]) -> Result<Packed, String> {
    let annotations = annotations.iter().map(|text| text.parse::<Annotation>().unwrap()).collect();
    let options = ExportOptions { annotations, ..ExportOptions::default() };
    let export = Export::plan(store, images, options).map_err(|error| error.to_string())?;
    Ok(export.pack(store).unwrap())
}

fn manifest(packed: &Packed, number: usize) -> Manifest {
    let bytes = &packed.documents.manifests[number].bytes;
    match ManifestDocument::parse(bytes, Some(media_type::MANIFEST)).unwrap() {
        ManifestDocument::Manifest(manifest) => *manifest,
        ManifestDocument::Index(_) => unreachable!("declared as a manifest"),
    }
}

#[test]
fn an_index_does_not_depend_on_the_order_of_its_platforms() {
    let (_place, store) = store();
    let images = [image(&store, "linux/arm64", b"a"), image(&store, "linux/amd64", b"b")];
    let one = pack(&store, &images, &[]).unwrap();
    let other = pack(&store, &[images[1].clone(), images[0].clone()], &[]).unwrap();
    assert_eq!(one.documents, other.documents);
    let ManifestDocument::Index(index) = ManifestDocument::parse(&one.root().bytes, None).unwrap() else {
        unreachable!("two platforms make an index");
    };
    assert_eq!(index.platforms(), ["linux/amd64", "linux/arm64"]);
    let chosen = index.select(&"linux/arm64".parse().unwrap()).unwrap();
    assert_eq!(chosen.digest, one.documents.manifests[1].descriptor.digest);
    assert_eq!(manifest(&one, 1).config.digest, images[0].id);
}

#[test]
fn two_images_of_one_platform_are_refused() {
    let (_place, store) = store();
    let images = [image(&store, "linux/arm64", b"a"), image(&store, "linux/arm64", b"b")];
    let error = pack(&store, &images, &[]).unwrap_err();
    assert!(error.contains("two images are for linux/arm64"), "{error}");
    // The same one twice is one.
    assert!(pack(&store, &[images[0].clone(), images[0].clone()], &[]).unwrap().documents.index.is_none());
}

#[test]
fn annotations_stand_where_they_were_put() {
    let (_place, store) = store();
    let images = [image(&store, "linux/arm64", b"a"), image(&store, "linux/amd64", b"b")];
    let given =
        ["all=1", "manifest[linux/arm64]:arm=1", "index:index=1", "manifest-descriptor[linux/amd64]:amd=1"];
    let packed = pack(&store, &images, &given).unwrap();
    let keys = |map: &std::collections::BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&manifest(&packed, 0).annotations), ["all"]);
    assert_eq!(keys(&manifest(&packed, 1).annotations), ["all", "arm"]);
    assert_eq!(keys(&packed.documents.manifests[0].descriptor.annotations), ["amd"]);
    let ManifestDocument::Index(index) = ManifestDocument::parse(&packed.root().bytes, None).unwrap() else {
        unreachable!("two platforms make an index");
    };
    assert_eq!(keys(&index.annotations), ["index"]);
    assert_eq!(keys(&index.manifests[0].annotations), ["amd"]);
    for (given, expected) in
        [("index:a=b", "there is no index"), ("manifest[linux/s390x]:a=b", "no image for linux/s390x")]
    {
        let error = pack(&store, &images[..1], &[given]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_came_compressed_keeps_its_bytes_until_it_is_forced() {
    let (_place, store) = store();
    let image = image(&store, "linux/amd64", &b"text ".repeat(10_000));
    let gzip = pack(&store, std::slice::from_ref(&image), &[]).unwrap();
    let layer = &manifest(&gzip, 0).layers[0];
    let diff_id = &image.config.rootfs.diff_ids[0];
    let other = tempfile::tempdir().unwrap();
    let other = Store::open(other.path()).unwrap();
    let blob = store.open_blob(&layer.digest).unwrap();
    other.ingest_layer(blob, layer, diff_id, Limits::default()).unwrap();
    let image = other.save_image(&image.config).unwrap();
    let export = |force| {
        let encoding = Encoding::new(Compression::Zstd, None).unwrap();
        let options = ExportOptions { encoding, force, ..ExportOptions::default() };
        let export = Export::plan(&other, std::slice::from_ref(&image), options).unwrap();
        manifest(&export.pack(&other).unwrap(), 0).layers[0].clone()
    };
    assert_eq!(export(false), *layer);
    assert_eq!(export(true).media_type, media_type::LAYER_ZSTD);
    assert_eq!(export(false), *layer, "a forced export does not change what an unforced one is");
}

#[test]
fn dockers_media_types_are_used_throughout() {
    let (_place, store) = store();
    let images = [image(&store, "linux/arm64", b"a"), image(&store, "linux/amd64", b"b")];
    let options = ExportOptions { media_types: MediaTypes::Docker, ..ExportOptions::default() };
    let packed = Export::plan(&store, &images, options).unwrap().pack(&store).unwrap();
    let text = packed.documents.in_order().map(|it| String::from_utf8(it.bytes.clone()).unwrap());
    let text: String = text.collect();
    assert!(text.contains("manifest.list.v2") && text.contains("image.rootfs.diff.tar.gzip"), "{text}");
    assert!(!text.contains("vnd.oci"), "{text}");
}

#[test]
fn an_artifact_names_its_subject() {
    let (_place, store) = store();
    let packed = pack(&store, &[image(&store, "linux/amd64", b"a")], &[]).unwrap();
    let layer = ArtifactLayer {
        media_type: "text/plain".to_owned(),
        content: b"text".to_vec(),
        annotations: Default::default(),
    };
    let artifact = Artifact {
        artifact_type: "text/plain".to_owned(),
        layers: vec![layer],
        annotations: Default::default(),
    };
    let attached = artifact.attached_to(&packed.root().descriptor);
    let parsed = ManifestDocument::parse(&attached.document.bytes, Some(media_type::MANIFEST)).unwrap();
    let ManifestDocument::Manifest(manifest) = parsed else { unreachable!("declared as a manifest") };
    let subject = packed.root().descriptor.digest;
    assert_eq!(manifest.other["subject"]["digest"], subject.to_string());
    assert_eq!((manifest.config.media_type.as_str(), manifest.layers.len()), (media_type::EMPTY, 1));
    let blobs: Vec<Digest> = attached.blobs.iter().map(|(descriptor, _)| descriptor.digest).collect();
    assert_eq!(blobs, [manifest.config.digest, manifest.layers[0].digest]);
}
