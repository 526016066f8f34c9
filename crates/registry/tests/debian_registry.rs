//! Pulls from Debian's docker-registry, filled by skopeo from a layout of ours.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

mod debian;
mod fake;

use std::path::Path;
use std::process::Command;

use debian::{PLAIN, Registry, image};
use fake::client;
use minato_oci::export::{Export, ExportOptions};
use minato_oci::layout::{Item, write_folder};
use minato_oci::{Digest, Platform, Reference, Store};
use minato_registry::{Credentials, Options};

/// A layout with one image of two layers, and the image's identity.
fn layout(folder: &Path) -> (std::path::PathBuf, Digest) {
    let store = Store::open(&folder.join("made")).unwrap();
    let image = image(&store, &[("noise", fake::noise(3_000_000)), ("text", b"text".to_vec())]);
    let path = folder.join("layout");
    let export = Export::plan(&store, std::slice::from_ref(&image), ExportOptions::default()).unwrap();
    write_folder(&store, &[Item::new(&export.pack(&store).unwrap(), &[])], &path).unwrap();
    (path, image.id)
}

async fn pull(
    reference: &Reference,
    folder: &Path,
    options: Options,
) -> Result<(Store, minato_oci::Image), String> {
    let store = Store::open(&folder.join("pulled")).unwrap();
    let pulled = client(options).pull(reference, &Platform::host(), &store, &()).await;
    pulled.map(|image| (store, image)).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_image_comes_back_as_it_was_pushed() {
    let place = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start("an_image_comes_back_as_it_was_pushed", place.path(), PLAIN) else {
        return;
    };
    let (layout, id) = layout(place.path());
    registry.push(&layout, "team/app:oci", &[]);
    let (store, image) =
        pull(&registry.reference("team/app:oci"), place.path(), Options::default()).await.unwrap();
    assert_eq!(image.id, id);
    let layers = store.image_layers(&image).unwrap();
    assert_eq!(std::fs::read(layers[0].path.join("noise")).unwrap(), fake::noise(3_000_000));

    // As Docker's media types, by digest, through a mirror, into an empty store.
    registry.push(&layout, "library/app:docker", &["--format", "v2s2"]);
    let other = tempfile::tempdir().unwrap();
    let mirror = format!("docker.io=http://{}", registry.address).parse().unwrap();
    let options = Options { mirrors: vec![mirror], ..Options::default() };
    let resolved =
        client(options.clone()).resolve(&"app:docker".parse().unwrap(), &Platform::host()).await.unwrap();
    let by_digest = "app".parse::<Reference>().unwrap().with_digest(resolved.descriptor.digest);
    let (store, image) = pull(&by_digest, other.path(), options).await.unwrap();
    let layers = store.image_layers(&image).unwrap();
    assert_eq!(std::fs::read(layers[1].path.join("text")).unwrap(), b"text");
    assert_eq!(store.resolve(&by_digest).unwrap(), Some(image.id));
}

#[tokio::test]
async fn a_registry_with_passwords_takes_the_right_one() {
    let place = tempfile::tempdir().unwrap();
    // user:secret, as `htpasswd -bnBC 5 user secret` writes it.
    let htpasswd = "user:$2y$05$IRBsf9p9F2Y3fFG9l3d9..lYaXBVcBOrb607qiLXptkPum3YlP2Nu\n";
    let path = place.path().join("htpasswd");
    std::fs::write(&path, htpasswd).unwrap();
    let with_auth = format!("{PLAIN}\nauth: {{htpasswd: {{realm: here, path: {}}}}}", path.display());
    let test = "a_registry_with_passwords_takes_the_right_one";
    let Some(registry) = Registry::start(test, place.path(), &with_auth) else { return };
    let (layout, id) = layout(place.path());
    registry.push(&layout, "app:1", &["--dest-creds", "user:secret"]);
    let reference = registry.reference("app:1");
    let error = pull(&reference, place.path(), Options::default()).await.unwrap_err();
    assert!(error.contains("access denied; log in first"), "{error}");
    let config = place.path().join("config.json");
    let auth = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, registry.address);
    std::fs::write(&config, auth).unwrap();
    let options = Options { credentials: Credentials::load(&config).unwrap(), ..Options::default() };
    assert_eq!(pull(&reference, place.path(), options).await.unwrap().1.id, id);
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_when_given() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=here",
        ])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
        ])
        .arg(at("key.pem"))
        .arg("-out")
        .arg(at("cert.pem"))
        .output();
    let tls = format!(
        "http: {{addr: ADDRESS, tls: {{certificate: {}, key: {}}}}}",
        at("cert.pem").display(),
        at("key.pem").display()
    );
    let test = "a_certificate_of_ones_own_is_trusted_when_given";
    let Some(registry) = Registry::start(test, place.path(), &tls) else { return };
    assert!(made.unwrap().status.success());
    let (layout, id) = layout(place.path());
    registry.push(&layout, "app:1", &[]);
    let reference = registry.reference("app:1");
    // On this machine HTTP is the rule: TLS is asked for by a mirror of the registry's own name.
    let mirrors = vec![format!("{0}=https://{0}", registry.address).parse().unwrap()];
    let strange = Options { mirrors: mirrors.clone(), ..Options::default() };
    let told = fake::Told::default();
    let store = Store::open(&place.path().join("none")).unwrap();
    client(strange).pull(&reference, &Platform::host(), &store, &told).await.unwrap_err();
    assert!(
        told.0.lock().unwrap().iter().any(|event| event.contains("invalid peer certificate")),
        "{:?}",
        told.0
    );
    let known = Options { mirrors, certificates: vec![at("cert.pem")], ..Options::default() };
    assert_eq!(pull(&reference, place.path(), known).await.unwrap().1.id, id);
}
