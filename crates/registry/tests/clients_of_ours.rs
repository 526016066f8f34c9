//! Clients of others push to our registry and pull from it, with and without tokens; each brings back the same image.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

mod debian;
mod fake;
mod served;

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minato_oci::layer::{Compression, Encoding};
use minato_oci::{Image, Platform, Reference, Store};
use minato_registry::server::{AccessOptions, Options as ServerOptions};
use minato_registry::{Client, Credentials, Options};
use served::Registry;

/// Two of ours with the same folder: one for everybody, one with users and tokens.
struct Stage {
    place: tempfile::TempDir,
    open: Registry,
    closed: Registry,
    image: Image,
}

const USER: &str = "alice:secret";

impl Stage {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("registry");
        let users = place.path().join("users");
        std::fs::write(&users, format!("alice:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
        let access = AccessOptions { htpasswd: Some(users), tokens: true, ..AccessOptions::default() };
        let open = Registry::start(&folder);
        let closed = Registry::start_with(ServerOptions { access, ..ServerOptions::new(&folder) });
        let store = Store::open(&place.path().join("store")).unwrap();
        let layers = [("noise", fake::noise(300_000)), ("text", b"text ".repeat(50_000))];
        let image = debian::image(&store, &layers);
        let stage = Self { place, open, closed, image };
        stage.with_client(async |client| {
            let encoding = Encoding::new(Compression::Gzip, None).unwrap();
            client.push(&stage.image, &stage.reference("ours"), encoding, &store, &()).await.unwrap();
        });
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn reference(&self, name: &str) -> Reference {
        format!("{}/team/{name}:1", self.open.address).parse().unwrap()
    }

    /// The addresses to use, and whether they want a user.
    fn sides(&self) -> [(String, bool); 2] {
        [(self.open.address.to_string(), false), (self.closed.address.to_string(), true)]
    }

    /// What another client pushed under `name` is the image that was pushed first, and is whole.
    fn check(&self, name: &str) {
        let store = Store::open(&self.path(&format!("pulled-{}", name.replace('/', "-")))).unwrap();
        let image = self.with_client(async |client| {
            client.pull(&self.reference(name), &Platform::host(), &store, &()).await.unwrap()
        });
        assert_eq!(image.id, self.image.id, "{name}");
        let layers = store.image_layers(&image).unwrap();
        assert!(std::fs::read(layers[1].path.join("text")).unwrap() == b"text ".repeat(50_000), "{name}");
    }

    fn with_client<T>(&self, work: impl AsyncFn(&Client) -> T) -> T {
        let client = Client::new(Options::default()).unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(work(&client))
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&text));
}

fn is_missing(test: &str, program: &str) -> bool {
    let missing = Command::new(program).arg("--version").output().is_err();
    if missing {
        eprintln!("SKIPPED {test}: {program} is not installed");
    }
    missing
}

#[test]
fn skopeo_pulls_and_pushes() {
    if is_missing("skopeo_pulls_and_pushes", "skopeo") {
        return;
    }
    let stage = Stage::new();
    for (address, wants_user) in stage.sides() {
        let name = format!("skopeo-{wants_user}");
        let layout = format!("oci:{}", stage.path(&name).display());
        let skopeo = |from: &str, to: &str, side: &str| {
            let mut command = Command::new("skopeo");
            command.args(["--insecure-policy", "copy", &format!("--{side}-tls-verify=false")]);
            if wants_user {
                command.args([&format!("--{side}-creds"), USER]);
            }
            run(command.args([from, to]));
        };
        skopeo(&format!("docker://{address}/team/ours:1"), &layout, "src");
        skopeo(&layout, &format!("docker://{address}/team/{name}:1"), "dest");
        stage.check(&name);
    }
}

#[test]
fn buildah_pulls_and_pushes() {
    if is_missing("buildah_pulls_and_pushes", "buildah") {
        return;
    }
    let stage = Stage::new();
    let policy = stage.path("policy.json");
    std::fs::write(&policy, r#"{"default": [{"type": "insecureAcceptAnything"}]}"#).unwrap();
    for (address, wants_user) in stage.sides() {
        let name = format!("buildah-{wants_user}");
        let buildah = |arguments: &[&str]| {
            let mut command = Command::new("buildah");
            command.arg("--root").arg(stage.path("buildah")).arg("--runroot").arg(stage.path("buildah-run"));
            command.args(["--storage-driver", "vfs", arguments[0], "--tls-verify=false"]);
            command.arg("--signature-policy").arg(&policy);
            if wants_user {
                command.args(["--creds", USER]);
            }
            run(command.args(&arguments[1..]));
        };
        let from = format!("{address}/team/ours:1");
        buildah(&["pull", &from]);
        buildah(&["push", &from, &format!("docker://{address}/team/{name}:1")]);
        stage.check(&name);
    }
}

/// Docker and, with the containerd below it, `ctr`.
#[test]
fn docker_and_containerd_pull_and_push() {
    let test = "docker_and_containerd_pull_and_push";
    let stage = Stage::new();
    let Some(docker) = Docker::start(test, &stage.path("docker")) else { return };
    for (address, wants_user) in stage.sides() {
        let (ours, theirs) = (format!("{address}/team/ours:1"), format!("docker-{wants_user}"));
        if wants_user {
            docker.run(&["login", "--username", "alice", "--password", "secret", &address]);
        }
        let pushed = format!("{address}/team/{theirs}:1");
        docker.run(&["pull", &ours]);
        docker.run(&["tag", &ours, &pushed]);
        docker.run(&["push", &pushed]);
        stage.check(&theirs);

        let theirs = format!("containerd-{wants_user}");
        let pushed = format!("{address}/team/{theirs}:1");
        let user: &[&str] = if wants_user { &["--user", USER] } else { &[] };
        docker.ctr(&[&["images", "pull", "--plain-http"], user, &[&ours]].concat());
        docker.ctr(&["images", "tag", &ours, &pushed]);
        docker.ctr(&[&["images", "push", "--plain-http"], user, &[&pushed]].concat());
        stage.check(&theirs);
    }
}

/// The reference Docker while a test runs.
struct Docker {
    root: PathBuf,
}

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/reference-docker");

impl Docker {
    fn start(test: &str, root: &Path) -> Option<Self> {
        let started = Command::new(TOOL).arg("start").arg(root).output().unwrap();
        if started.status.code() == Some(3) {
            eprintln!("SKIPPED {test}: {}", String::from_utf8_lossy(&started.stderr).trim());
            return None;
        }
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        Some(Self { root: root.to_owned() })
    }

    fn run(&self, arguments: &[&str]) {
        run(Command::new(TOOL).arg("run").arg(&self.root).args(arguments));
    }

    fn ctr(&self, arguments: &[&str]) {
        let fetched = Command::new(TOOL).arg("fetch").output().unwrap();
        let folder = String::from_utf8(fetched.stdout).unwrap();
        let mut command = Command::new(Path::new(folder.trim()).join("usr/bin/ctr"));
        run(command.arg("--address").arg(self.root.join("containerd.sock")).args(arguments));
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = Command::new(TOOL).arg("stop").arg(&self.root).output();
    }
}

#[test]
fn our_client_pulls_and_pushes_with_a_token() {
    let stage = Stage::new();
    let registry = stage.closed.address.to_string();
    let file = stage.path("config.json");
    let auth = STANDARD.encode(USER);
    std::fs::write(&file, format!(r#"{{"auths": {{"{registry}": {{"auth": "{auth}"}}}}}}"#)).unwrap();
    let credentials = Credentials::load(&file).unwrap();
    let client = Client::new(Options { credentials, ..Options::default() }).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Store::open(&stage.path("store")).unwrap();
    let encoding = Encoding::new(Compression::Zstd, None).unwrap();
    let reference: Reference = format!("{registry}/team/own:1").parse().unwrap();
    runtime.block_on(client.push(&stage.image, &reference, encoding, &store, &())).unwrap();
    stage.check("own");
    let nobody = Client::new(Options::default()).unwrap();
    let refused = runtime.block_on(nobody.pull(&reference, &Platform::host(), &store, &())).unwrap_err();
    assert!(refused.to_string().contains("access denied"), "{refused}");
}
