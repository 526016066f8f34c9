//! A registry that is killed, at any named point or at random while it is pushed to and collects garbage, has everything
//! that it said it has, and goes on. `MINATO_KILL_SEED` and `MINATO_KILL_ROUNDS` choose the moments.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking and say what they did")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use minato_oci::Digest;
use minato_registry::server::{Options, Policy, RetentionRule, Server, Upkeep};
use serde_json::{Value, json};

const FOLDER: &str = "MINATO_TEST_REGISTRY";
const POINT: &str = "MINATO_TEST_KILL_AT";
const KEEP: &str = "MINATO_TEST_KEEP_MS";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Where the registry dies while it is pushed to and deleted from.
const POINTS: [&str; 11] = [
    "registry.serve.upload.started",
    "registry.serve.upload.written",
    "registry.serve.blob.before-link",
    "registry.serve.blob.linked",
    "registry.serve.blob.kept",
    "registry.serve.record.before-link",
    "registry.serve.record.before-rename",
    "registry.serve.manifest.before-rename",
    "registry.serve.manifest.after-rename",
    "registry.serve.manifest.untagged",
    "registry.serve.manifest.removed",
];
/// Where it dies while it collects.
const COLLECTING: [&str; 2] =
    ["registry.serve.collect.link-removed", "registry.serve.collect.content-removed"];

/// Where it dies while it applies a policy.
const RETAINING: &str = "registry.serve.retain.untagged";

/// Not a test of its own: the process that is killed.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let _scenario = fail::FailScenario::setup();
    if let Ok(point) = std::env::var(POINT) {
        fail::cfg_callback(point, || std::process::abort()).unwrap();
    }
    let keep = std::env::var(KEEP).unwrap().parse().unwrap();
    let upkeep = Upkeep {
        every: Duration::from_millis(30),
        keep_blobs_for: Duration::from_millis(keep),
        keep_uploads_for: Duration::from_millis(keep),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // Where it is to die while it lets go, the policy keeps nothing.
        let lets_go = std::env::var(POINT).is_ok_and(|point| point == RETAINING);
        let retention = lets_go.then(|| Policy {
            rules: vec![RetentionRule {
                repositories: vec![],
                tags: vec![],
                keep_last: Some(0),
                keep_for: None,
            }],
            keep_untagged_for: Duration::ZERO,
        });
        let options = Options { upkeep, retention, ..Options::new(&folder.join("registry")) };
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
        std::fs::write(folder.join("address.new"), server.address().to_string()).unwrap();
        std::fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
        server.run(std::future::pending()).await;
    });
}

#[test]
fn at_each_point_the_next_one_goes_on() {
    for point in POINTS {
        let folder = place();
        // The folder is made before: a point may be on the way to it.
        drop(Victim::start(folder.path(), None, 600_000));
        let first = Victim::start(folder.path(), Some(point), 600_000);
        first.work("first").expect_err(point);
        first.wait_for_death(point);
        let second = Victim::start(folder.path(), None, 600_000);
        second.check(&[]);
        second.work("first").unwrap_or_else(|error| panic!("{point}: {error}"));
        second.check(&[]);
    }
    let folder = place();
    Victim::start(folder.path(), None, 600_000).push("a", "gone", "content").unwrap();
    Victim::start(folder.path(), Some(RETAINING), 600_000).wait_for_death(RETAINING);
    let next = Victim::start(folder.path(), None, 600_000);
    next.check(&[]);
    next.push("a", "gone", "content").unwrap();
    for point in COLLECTING {
        let folder = place();
        let filled = Victim::start(folder.path(), None, 600_000);
        filled.work("garbage").unwrap();
        let kept = filled.push("a", "kept", "kept").unwrap();
        drop(filled);
        Victim::start(folder.path(), Some(point), 0).wait_for_death(point);
        let next = Victim::start(folder.path(), None, 0);
        next.check(&[("a", "kept".to_owned(), kept)]);
        next.wait_until_clean(folder.path(), 2);
        next.check(&[("a", "kept".to_owned(), kept)]);
    }
}

#[test]
fn at_random_moments_nothing_that_was_acknowledged_is_lost() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, rounds) = (number("MINATO_KILL_SEED", 1), number("MINATO_KILL_ROUNDS", 50));
    let folder = place();
    let acknowledged = Mutex::new(Vec::new());
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for round in 0..rounds {
        let victim = Victim::start(folder.path(), None, 3000);
        victim.check(&acknowledged.lock().unwrap());
        let moment = Duration::from_millis(random.below(300));
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for repository in ["a", "b/c"] {
                let (victim, acknowledged, ended) = (&victim, &acknowledged, &ended);
                scope.spawn(move || {
                    for count in 0.. {
                        let tag = format!("r{round}-{count}");
                        let pushed = victim.push(repository, &tag, &format!("{repository} {tag}"));
                        let Ok(digest) = pushed else { break };
                        if count % 2 == 0 {
                            acknowledged.lock().unwrap().push((repository, tag, digest));
                        } else if victim.delete(repository, &digest).is_err() {
                            break;
                        }
                    }
                    assert!(ended.load(Ordering::SeqCst), "the registry refused before it was killed");
                });
            }
            std::thread::sleep(moment);
            ended.store(true, Ordering::SeqCst);
            victim.kill();
        });
    }
    let last = Victim::start(folder.path(), None, 0);
    last.check(&acknowledged.lock().unwrap());
    let images = acknowledged.lock().unwrap().len();
    eprintln!("{rounds} times killed, seed {seed}: all of {images} images are whole");
}

/// In memory where that can be: a killed process loses nothing of a file system, and a slow disk would only make pushes
/// few.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A registry in a process of its own.
struct Victim {
    child: Mutex<Child>,
    address: SocketAddr,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.lock().unwrap().wait();
    }
}

impl Victim {
    fn start(folder: &Path, point: Option<&str>, keep: u64) -> Self {
        let file = folder.join("address");
        let _ = std::fs::remove_file(&file);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(KEEP, keep.to_string());
        point.map(|point| command.env(POINT, point));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        let address = loop {
            if let Ok(address) = std::fs::read_to_string(&file) {
                break address.parse().unwrap();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the registry does not start");
            std::thread::sleep(Duration::from_millis(5));
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let http = reqwest::Client::builder().tls_built_in_root_certs(false).build().unwrap();
        Self { child: Mutex::new(child), address, http, runtime }
    }

    fn kill(&self) {
        let _ = self.child.lock().unwrap().kill();
    }

    fn wait_for_death(&self, point: &str) {
        let began = Instant::now();
        while self.child.lock().unwrap().try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(20), "{point} was never reached");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Comes to every point that is not of collecting.
    fn work(&self, content: &str) -> Result<(), String> {
        let subject = self.push("a", "latest", content)?;
        let referrer = image(content, Some(&subject));
        let digest = self.put("a", "about", &referrer)?;
        self.delete("a", &digest)?;
        self.push("a", "latest", content).map(drop)?;
        self.delete("a", &subject)
    }

    fn push(&self, repository: &str, tag: &str, content: &str) -> Result<Digest, String> {
        for blob in [b"{}".as_slice(), content.as_bytes()] {
            let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "", Vec::new())?;
            let path = format!("{}?digest={}", begun.1, Digest::sha256(blob));
            self.ask("PUT", &path, "application/octet-stream", blob.to_vec())?;
        }
        self.put(repository, tag, &image(content, None))
    }

    fn put(&self, repository: &str, tag: &str, manifest: &Value) -> Result<Digest, String> {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"), MANIFEST, bytes)?;
        Ok(digest)
    }

    fn delete(&self, repository: &str, digest: &Digest) -> Result<(), String> {
        self.ask("DELETE", &format!("/v2/{repository}/manifests/{digest}"), "", Vec::new()).map(drop)
    }

    /// Everything that a tag leads to is whole, and `expected` is among it.
    fn check(&self, expected: &[(&str, String, Digest)]) {
        for (repository, tag, digest) in expected {
            let bytes = self.get(&format!("/v2/{repository}/manifests/{}", tag));
            assert_eq!(Digest::sha256(bytes), *digest, "{repository}:{}", tag);
        }
        let catalog: Value = serde_json::from_slice(&self.get("/v2/_catalog")).unwrap();
        for repository in
            catalog["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap())
        {
            let tags: Value =
                serde_json::from_slice(&self.get(&format!("/v2/{repository}/tags/list"))).unwrap();
            for tag in tags["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()) {
                self.check_image(repository, tag);
            }
        }
    }

    fn check_image(&self, repository: &str, tag: &str) {
        let manifest: Value =
            serde_json::from_slice(&self.get(&format!("/v2/{repository}/manifests/{tag}"))).unwrap();
        for blob in [&manifest["config"], &manifest["layers"][0]] {
            let digest = blob["digest"].as_str().unwrap();
            let content = self.get(&format!("/v2/{repository}/blobs/{digest}"));
            assert_eq!(Digest::sha256(content).to_string(), digest);
        }
    }

    /// Until so many blobs are left, and nothing that is not whole.
    fn wait_until_clean(&self, folder: &Path, blobs: usize) {
        let count =
            |part: &str| std::fs::read_dir(folder.join("registry").join(part)).map_or(0, Iterator::count);
        let began = Instant::now();
        while count("blobs/sha256") != blobs || count("repositories/a/_uploads") != 0 || count("staging") != 0
        {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "garbage stays: {} blobs",
                count("blobs/sha256")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let url = format!("http://{}{path}", self.address);
        self.runtime.block_on(async {
            let response = self.http.get(&url).send().await.unwrap();
            assert_eq!(response.status(), 200, "{url}");
            response.bytes().await.unwrap().to_vec()
        })
    }

    /// The answer's status and where it leads.
    fn ask(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<(u16, String), String> {
        let request = self.http.request(method.parse().unwrap(), format!("http://{}{path}", self.address));
        let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
        self.runtime.block_on(async {
            let response =
                request.body(body).send().await.map_err(|error| format!("{method} {path}: {error}"))?;
            let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
            let status = response.status().as_u16();
            if status >= 300 {
                return Err(format!(
                    "{method} {path}: {status} {}",
                    response.text().await.unwrap_or_default()
                ));
            }
            Ok((status, location.unwrap_or_default()))
        })
    }
}

fn image(content: &str, subject: Option<&Digest>) -> Value {
    let about =
        |bytes: &[u8]| json!({"mediaType": "x", "digest": Digest::sha256(bytes), "size": bytes.len()});
    let mut image = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": about(b"{}"), "layers": [about(content.as_bytes())]});
    if let Some(subject) = subject {
        image["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    }
    image
}

/// An xorshift generator: the same seed, the same moments.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
