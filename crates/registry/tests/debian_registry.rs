//! Pulls from Debian's docker-registry, filled by skopeo from a layout of ours.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

mod fake;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fake::client;
use minato_oci::layer::{Entry, Kind, TarWriter, TreePath};
use minato_oci::layout::write_folder;
use minato_oci::{Digest, ImageConfig, Platform, Reference, RootFs, Store};
use minato_registry::{Credentials, Options};

const PLAIN: &str = "http: {addr: ADDRESS}";

struct Registry {
    child: Child,
    address: SocketAddr,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// `None`, told by name, when a part is missing.
    fn start(test: &str, folder: &Path, more: &str) -> Option<Self> {
        for part in ["docker-registry", "skopeo", "openssl"] {
            if Command::new(part).arg("version").output().is_err() {
                eprintln!("SKIPPED {test}: {part} is not installed");
                return None;
            }
        }
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n{http}\n",
            folder.join("registry").display(),
            http = more.replace("ADDRESS", &address.to_string()),
        );
        let path = folder.join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self { child: command.spawn().unwrap(), address };
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }

    fn push(&self, layout: &Path, name: &str, more: &[&str]) {
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--dest-tls-verify=false"])
            .args(more)
            .arg(format!("oci:{}", layout.display()))
            .arg(format!("docker://{}/{name}", self.address))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A layout with one image of two layers, and the image's identity.
fn layout(folder: &Path) -> (std::path::PathBuf, Digest) {
    let store = Store::open(&folder.join("made")).unwrap();
    let layer = |name: &str, content: Vec<u8>| {
        let mut tar = TarWriter::new(Vec::new());
        let kind = Kind::File { size: content.len() as u64 };
        tar.append(&Entry::new(TreePath::new(name).unwrap(), kind, 0o644), &mut content.as_slice()).unwrap();
        let tar = tar.finish().unwrap();
        let diff_id = Digest::sha256(&tar);
        let none = minato_oci::layer::Compression::None;
        store.unpack_layer(tar.as_slice(), none, &diff_id, minato_oci::layer::Limits::default()).unwrap();
        diff_id
    };
    let platform = Platform::host();
    let config = ImageConfig {
        os: platform.os,
        architecture: platform.architecture,
        rootfs: RootFs {
            diff_ids: vec![layer("noise", fake::noise(3_000_000)), layer("text", b"text".to_vec())],
        },
        ..ImageConfig::default()
    };
    let image = store.save_image(&config).unwrap();
    let path = folder.join("layout");
    write_folder(&store, &[(image.clone(), Vec::new())], &path).unwrap();
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
