//! Layouts and archives are read and written as other tools read and write them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use minato_oci::export::{Export, ExportOptions, Packed};
use minato_oci::layer::{Compression, Encoding, Entry, Kind, Limits, TarWriter, TreePath};
use minato_oci::layout::{self, ArchiveForm, Item, LayoutError, Selection, read};
use minato_oci::{ContainerConfig, Digest, Image, ImageConfig, Platform, Reference, RootFs, Store};

fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(&place.path().join("store")).unwrap();
    (place, store)
}

/// An image whose layers the store has as trees only.
fn built(store: &Store, author: &str, files: &[(&str, &[u8])]) -> Image {
    let layer = |(name, content): &(&str, &[u8])| {
        let mut tar = TarWriter::new(Vec::new());
        let kind = Kind::File { size: content.len() as u64 };
        tar.append(&Entry::new(TreePath::new(name).unwrap(), kind, 0o644), &mut &**content).unwrap();
        let whiteout = Entry::new(TreePath::new("zzz").unwrap(), Kind::Whiteout, 0);
        tar.append(&whiteout, &mut std::io::empty()).unwrap();
        let tar = tar.finish().unwrap();
        let diff_id = Digest::sha256(&tar);
        let none = minato_oci::layer::Compression::None;
        store.unpack_layer(tar.as_slice(), none, &diff_id, Limits::default()).unwrap();
        diff_id
    };
    let platform = Platform::host();
    let config = ImageConfig {
        author: Some(author.to_owned()),
        os: platform.os,
        architecture: platform.architecture,
        config: ContainerConfig { cmd: Some(vec!["/run".to_owned()]), ..ContainerConfig::default() },
        rootfs: RootFs { diff_ids: files.iter().map(layer).collect() },
        ..ImageConfig::default()
    };
    store.save_image(&config).unwrap()
}

/// What came compressed stays so, what was built is not compressed.
fn plain(store: &Store, image: &Image) -> Packed {
    packed(store, image, false)
}

fn packed(store: &Store, image: &Image, force: bool) -> Packed {
    let encoding = Encoding::new(Compression::None, None).unwrap();
    let options = ExportOptions { encoding, force, ..ExportOptions::default() };
    Export::plan(store, std::slice::from_ref(image), options).unwrap().pack(store).unwrap()
}

type Named = (Image, Vec<Reference>);

fn write_folder(store: &Store, images: &[Named], path: &Path) -> Result<(), LayoutError> {
    let packed: Vec<Packed> = images.iter().map(|(image, _)| plain(store, image)).collect();
    let pairs = packed.iter().zip(images);
    let items: Vec<Item<'_>> = pairs.map(|(packed, (_, names))| Item::new(packed, names)).collect();
    layout::write_folder(store, &items, path)
}

fn write_archive(store: &Store, (image, names): &Named) -> Vec<u8> {
    let packed = packed(store, image, true);
    layout::write_archive(store, &[Item::new(&packed, names)], ArchiveForm::Docker, Vec::new()).unwrap()
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn file_of(store: &Store, image: &Image, layer: usize, name: &str) -> Vec<u8> {
    fs::read(store.image_layers(image).unwrap()[layer].path.join(name)).unwrap()
}

#[test]
fn a_built_image_comes_back_from_every_form() {
    let (place, store) = store();
    let image = built(&store, "me", &[("a", b"1"), ("b", b"2")]);
    let images = [(image.clone(), vec![reference("team/app:1")])];
    let (folder, archive) = (place.path().join("layout"), place.path().join("image.tar"));
    write_folder(&store, &images, &folder).unwrap();
    let bytes = write_archive(&store, &images[0]);
    assert_eq!(write_archive(&store, &images[0]), bytes, "not the same bytes again");
    fs::write(&archive, bytes).unwrap();
    for path in [&folder, &archive] {
        let (_other, fresh) = self::store();
        for selection in [Selection::only(), Selection::named("1"), Selection::named("team/app:1")] {
            let loaded = read(&fresh, path, &selection).unwrap();
            assert_eq!((loaded.image.id, loaded.names), (image.id, vec![reference("team/app:1")]));
            assert_eq!(file_of(&fresh, &loaded.image, 1, "b"), b"2");
        }
    }
    let error = write_folder(&store, &images, &folder).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
}

#[test]
fn the_image_to_take_must_be_clear() {
    let (place, store) = store();
    let images = [
        (built(&store, "1", &[]), vec![reference("app:1")]),
        (built(&store, "2", &[]), vec![reference("app:2")]),
    ];
    let folder = place.path().join("layout");
    write_folder(&store, &images, &folder).unwrap();
    let error = |selection| read(&store, &folder, &selection).unwrap_err().to_string();
    let both = "it has docker.io/library/app:1, docker.io/library/app:2";
    let several = error(Selection::only());
    assert!(several.contains("several images fit") && several.contains(both), "{several}");
    let unknown = error(Selection::named("3"));
    assert!(unknown.contains("no image is called 3") && unknown.contains(both), "{unknown}");
    let platform = "linux/s390x".parse().unwrap();
    assert!(error(Selection { platform, ..Selection::named("1") }).contains("no image for linux/s390x"));
    assert_eq!(read(&store, &folder, &Selection::named("app:2")).unwrap().image.id, images[1].0.id);
}

#[test]
fn damaged_layouts_are_refused() {
    let check = |damage: &dyn Fn(&Path, &Image), expected: &str| {
        let (place, store) = store();
        let image = built(&store, "me", &[("a", b"1")]);
        let folder = place.path().join("layout");
        write_folder(&store, &[(image.clone(), Vec::new())], &folder).unwrap();
        damage(&folder, &image);
        let (_other, fresh) = self::store();
        let error = read(&fresh, &folder, &Selection::only()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    let blob = |folder: &Path, digest: &Digest| folder.join("blobs/sha256").join(digest.hex());
    let first = |image: &Image| image.config.rootfs.diff_ids[0];
    check(&|folder, _| fs::remove_file(folder.join("oci-layout")).unwrap(), "neither an OCI layout");
    check(&|folder, _| fs::remove_file(folder.join("index.json")).unwrap(), "index.json is missing");
    check(&|folder, _| fs::write(folder.join("index.json"), "{}").unwrap(), "missing field `manifests`");
    check(
        &|folder, _| fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"2.0"}"#).unwrap(),
        "is not 1",
    );
    check(&|folder, image| fs::remove_file(blob(folder, &first(image))).unwrap(), "is missing");
    check(&|folder, image| fs::write(blob(folder, &image.id), "{}").unwrap(), "expected");
    check(
        &|folder, image| {
            let path = blob(folder, &first(image));
            let mut bytes = fs::read(&path).unwrap();
            bytes[512] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        "has digest",
    );
}

#[test]
fn an_archive_reaches_only_its_own_members() {
    let (place, store) = store();
    let secret = place.path().join("secret");
    fs::write(&secret, "{}").unwrap();
    let check = |config: &str, expected: &str| {
        let mut tar = TarWriter::new(Vec::new());
        let link = Kind::Symlink { target: secret.clone() };
        tar.append(&Entry::new(TreePath::new("link").unwrap(), link, 0o777), &mut std::io::empty()).unwrap();
        let json = format!(r#"[{{"Config":"{config}","RepoTags":null,"Layers":null}}]"#);
        let kind = Kind::File { size: json.len() as u64 };
        tar.append(&Entry::new(TreePath::new("manifest.json").unwrap(), kind, 0o644), &mut json.as_bytes())
            .unwrap();
        let archive = place.path().join("hostile.tar");
        fs::write(&archive, tar.finish().unwrap()).unwrap();
        let error = read(&store, &archive, &Selection::only()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    check("../secret", "component \\\"..\\\"".replace('\\', "").as_str());
    check(secret.to_str().unwrap(), "path is absolute");
    check("link", "link is missing");
    check("absent", "absent is missing");
}

/// Docker before version 25 wrote a layer that is there twice as a link to the first.
#[test]
fn an_archive_of_an_old_docker_is_read() {
    let (place, store) = store();
    let mut layer = TarWriter::new(Vec::new());
    let kind = Kind::File { size: 1 };
    layer.append(&Entry::new(TreePath::new("a").unwrap(), kind, 0o644), &mut b"1".as_slice()).unwrap();
    let layer = layer.finish().unwrap();
    let rootfs = RootFs { diff_ids: vec![Digest::sha256(&layer); 2] };
    let config = ImageConfig { rootfs, ..ImageConfig::default() };
    let json = r#"[{"Config":"config.json","RepoTags":["app:1"],"Layers":["a/layer.tar","b/layer.tar"]}]"#;
    let mut tar = TarWriter::new(Vec::new());
    let link = Kind::Symlink { target: "../a/layer.tar".into() };
    for (name, content) in [
        ("a/layer.tar", Some(layer.as_slice())),
        ("b/layer.tar", None),
        ("config.json", Some(&config.to_json())),
        ("manifest.json", Some(json.as_bytes())),
    ] {
        let kind = content.map_or_else(|| link.clone(), |content| Kind::File { size: content.len() as u64 });
        let entry = Entry::new(TreePath::new(name).unwrap(), kind, 0o644);
        tar.append(&entry, &mut content.unwrap_or_default()).unwrap();
    }
    let archive = place.path().join("old.tar");
    fs::write(&archive, tar.finish().unwrap()).unwrap();
    let loaded = read(&store, &archive, &Selection::only()).unwrap();
    assert_eq!((loaded.names, loaded.image.config.clone()), (vec![reference("app:1")], config));
    assert_eq!(file_of(&store, &loaded.image, 1, "a"), b"1");
}

fn has_skopeo(test: &str) -> bool {
    let found = Command::new("skopeo").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED {test}: skopeo is not installed");
    }
    found
}

fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo").arg("--insecure-policy").args(arguments).output().unwrap();
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn skopeo_reads_what_is_written_and_what_it_writes_is_read() {
    if !has_skopeo("skopeo_reads_what_is_written_and_what_it_writes_is_read") {
        return;
    }
    let (place, store) = store();
    let image = built(&store, "me", &[("a", b"1"), ("b", b"2")]);
    let images = [(image.clone(), vec![reference("team/app:1")])];
    let at = |name: &str| place.path().join(name).display().to_string();
    write_folder(&store, &images, &place.path().join("layout")).unwrap();
    fs::write(place.path().join("image.tar"), write_archive(&store, &images[0])).unwrap();
    let ours = [
        format!("oci:{}:1", at("layout")),
        format!("oci-archive:{}", at("image.tar")),
        format!("docker-archive:{}:docker.io/team/app:1", at("image.tar")),
    ];
    for (number, from) in ours.iter().enumerate() {
        let theirs = [
            (format!("oci:{}:1", at(&format!("oci{number}"))), at(&format!("oci{number}"))),
            (format!("oci-archive:{}:1", at(&format!("oci{number}.tar"))), at(&format!("oci{number}.tar"))),
            (
                format!("docker-archive:{}:team/app:1", at(&format!("d{number}.tar"))),
                at(&format!("d{number}.tar")),
            ),
        ];
        for (to, path) in theirs {
            skopeo(&["copy", from, &to]);
            let (_other, fresh) = self::store();
            let loaded = read(&fresh, Path::new(&path), &Selection::only()).unwrap();
            assert_eq!(loaded.image.config, image.config, "{from} to {to}");
            assert_eq!(file_of(&fresh, &loaded.image, 1, "b"), b"2");
        }
    }
}

#[test]
fn a_layout_of_another_tool_is_exported_with_the_same_digests() {
    if !has_skopeo("a_layout_of_another_tool_is_exported_with_the_same_digests") {
        return;
    }
    let (place, store) = store();
    let image = built(&store, "me", &[("a", b"1")]);
    let at = |name: &str| place.path().join(name);
    write_folder(&store, &[(image, vec![reference("app:1")])], &at("ours")).unwrap();
    // skopeo compresses the layers.
    skopeo(&[
        "copy",
        &format!("oci:{}:1", at("ours").display()),
        &format!("oci:{}:1", at("theirs").display()),
    ]);
    let (_other, fresh) = self::store();
    let loaded = read(&fresh, &at("theirs"), &Selection::only()).unwrap();
    write_folder(&fresh, &[(loaded.image, Vec::new())], &at("again")).unwrap();
    let blobs = |name: &str| {
        let entries = fs::read_dir(at(name).join("blobs/sha256")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(blobs("again"), blobs("theirs"));
    assert_ne!(blobs("again"), blobs("ours"));
}
