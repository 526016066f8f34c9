//! A small image with a shell, in a registry that runs as long as a test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::registry::Registry;
use super::support::parts::busybox;

/// `docker.io/library/small:1.0.0`: busybox and nothing else.
pub struct BaseImage {
    registry: Registry,
    // Removed after the registry has ended.
    _storage: TempDir,
}

impl BaseImage {
    pub fn serve() -> BaseImage {
        let (storage, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let registry = Registry::serve(storage.path());
        let layout = work.path().join("layout");
        write_layout(&layout, &layer(work.path()));
        let copied = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"])
            .arg(format!("oci:{}", layout.display()))
            .arg(format!("docker://{}/library/small:1.0.0", registry.host()))
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        BaseImage { registry, _storage: storage }
    }

    /// The value of `--registry-mirror`.
    pub fn mirror(&self) -> String {
        self.registry.mirror("docker.io")
    }
}

fn layer(work: &Path) -> Vec<u8> {
    let commands = work.join("root/bin");
    fs::create_dir_all(&commands).unwrap();
    fs::copy(busybox(), commands.join("busybox")).unwrap();
    symlink("busybox", commands.join("sh")).unwrap();
    let archive =
        Command::new("tar").arg("-C").arg(work.join("root")).args(["-cf", "-", "."]).output().unwrap();
    assert!(archive.status.success());
    archive.stdout
}

/// An OCI image layout of one layer; see the image specification's image-layout.md.
fn write_layout(folder: &Path, layer: &[u8]) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(folder.join("blobs/sha256").join(&digest), bytes).unwrap();
        let size = bytes.len();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"sha256:{digest}","size":{size}}}"#
        )
    };
    let layer = blob("layer.v1.tar", layer);
    let diff_id = layer.split('"').find(|word| word.starts_with("sha256:")).unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let config = blob("config.v1+json", config.as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{config},"layers":[{layer}]}}"#);
    let manifest = blob("manifest.v1+json", manifest.as_bytes());
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(folder.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#))
        .unwrap();
}
