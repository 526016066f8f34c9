//! Our own registry on loopback for as long as a test runs, and requests to it that no client of ours would make.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it; tests fail by panicking"
)]

use std::net::SocketAddr;
use std::path::Path;

use minato_oci::Digest;
use minato_registry::server::{Options, Running, Server};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub struct Registry {
    // Ends before the runtime that it runs on.
    running: Running,
    runtime: Runtime,
    http: reqwest::Client,
    pub address: SocketAddr,
}

impl Registry {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(Options::new(folder))
    }

    pub fn start_with(options: Options) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime
            .block_on(async { Server::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap().start() });
        let http = reqwest::Client::builder().tls_built_in_root_certs(false).build().unwrap();
        Self { address: running.address(), running, runtime, http }
    }

    /// What comes of a request: its status and its answer.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.http.request(method.parse().unwrap(), url).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// Pushes a blob by one request; tells its digest.
    pub fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        assert_eq!(self.ask("POST", &path, &[], content).status, 201);
        digest
    }

    /// Pushes an image of one layer; tells the manifest's digest.
    pub fn push_image(&self, repository: &str, tag: &str, content: &[u8]) -> Digest {
        let (config, layer) = (b"{}".as_slice(), content);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        });
        self.push_blob(repository, config);
        self.push_blob(repository, layer);
        self.push_manifest(repository, tag, &manifest)
    }

    /// Pushes a manifest under a name, `""` for its digest; tells the digest.
    pub fn push_manifest(&self, repository: &str, name: &str, manifest: &Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        let name = if name.is_empty() { digest.to_string() } else { name.to_owned() };
        let kind = manifest["mediaType"].as_str().unwrap();
        let path = format!("/v2/{repository}/manifests/{name}");
        let answer = self.ask("PUT", &path, &[("content-type", kind)], &bytes);
        assert_eq!(answer.status, 201, "{}", answer.text());
        digest
    }

    pub fn stop(self) {
        self.runtime.block_on(self.running.stop());
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The error's code, and its status.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["errors"][0]["code"].as_str().unwrap().to_owned())
    }
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub fn descriptor(kind: &str, content: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": Digest::sha256(content).to_string(), "size": content.len() })
}
