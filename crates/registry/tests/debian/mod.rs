//! Debian's docker-registry on loopback, for as long as a test runs, and images to fill it with.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "each test file uses a part of it; tests fail by panicking and name what they skip"
)]

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use minato_oci::layer::{Compression, Limits};
use minato_oci::{Digest, Image, ImageConfig, Platform, Reference, RootFs, Store};

use crate::fake;

pub const PLAIN: &str = "http: {addr: ADDRESS}";

pub struct Registry {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// `None`, told by name, when a part is missing.
    pub fn start(test: &str, folder: &Path, more: &str) -> Option<Self> {
        Self::start_with(test, folder, more, "")
    }

    /// As [`Registry::start`], of a registry that deletes.
    pub fn start_deleting(test: &str, folder: &Path) -> Option<Self> {
        Self::start_with(test, folder, PLAIN, ", delete: {enabled: true}")
    }

    fn start_with(test: &str, folder: &Path, more: &str, storage: &str) -> Option<Self> {
        for part in ["docker-registry", "skopeo", "openssl"] {
            if Command::new(part).arg("version").output().is_err() {
                eprintln!("SKIPPED {test}: {part} is not installed");
                return None;
            }
        }
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}{storage}}}\n{http}\n",
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

    pub fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }

    pub fn push(&self, layout: &Path, name: &str, more: &[&str]) {
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

/// An image of this machine's platform with a file in each layer.
pub fn image(store: &Store, layers: &[(&str, Vec<u8>)]) -> Image {
    let layer = |(name, content): &(&str, Vec<u8>)| {
        let tar = fake::tar(name, content);
        let diff_id = Digest::sha256(&tar);
        store.unpack_layer(tar.as_slice(), Compression::None, &diff_id, Limits::default()).unwrap();
        diff_id
    };
    let platform = Platform::host();
    let config = ImageConfig {
        os: platform.os,
        architecture: platform.architecture,
        rootfs: RootFs { diff_ids: layers.iter().map(layer).collect() },
        ..ImageConfig::default()
    };
    store.save_image(&config).unwrap()
}
