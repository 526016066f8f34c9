//! The verbs around registries: copy, login, logout, and what `minato registry` shows and deletes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/registry.rs"]
mod registry;
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use registry::Registry;
use support::machine::Machine;

fn is_missing(test: &str, parts: &[&str]) -> bool {
    let missing = parts.iter().find(|part| Command::new(part).arg("--version").output().is_err());
    missing.inspect(|part| eprintln!("SKIPPED {test}: {part} is not installed")).is_some()
}

/// An image on the machine, without a base.
fn build(machine: &Machine, name: &str) {
    let context = machine.folder().join("context");
    fs::create_dir_all(&context).unwrap();
    fs::write(context.join("file"), "content").unwrap();
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
    machine.minato(&["build", "-t", name, context.to_str().unwrap()]).expect(0);
}

#[test]
fn an_image_goes_through_every_kind_of_place() {
    if is_missing("an_image_goes_through_every_kind_of_place", &["docker-registry", "skopeo"]) {
        return;
    }
    let machine = Machine::new();
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::serve(storage.path());
    let host = registry.host();
    build(&machine, "app:1");
    let copy = |arguments: &[&str]| {
        let run = machine.minato(&[&["copy"], arguments].concat());
        run.expect(0);
        run.stdout.trim().to_owned()
    };
    let remote = |name: &str| format!("{host}/{name}");
    let at = |name: &str| machine.folder().join(name).display().to_string();
    let (layout, archive) =
        (format!("oci-layout://{}", at("layout")), format!("docker-archive:{}", at("app.tar")));
    let first = copy(&["local://app:1", &remote("a/app:1"), "--tag", "also"]);
    assert!(first.starts_with(&format!("{host}/a/app:1@sha256:")), "{first}");
    let digest = first.rsplit_once('@').unwrap().1;
    assert!(copy(&[&remote("a/app:also"), &remote("b/app")]).ends_with(digest));
    assert!(copy(&[&remote("b/app:also"), &layout]).ends_with(digest));
    assert!(copy(&[&format!("{layout}:also"), &remote("c/app:2")]).ends_with(digest));
    copy(&[&remote("c/app:2"), &archive]);
    copy(&[&archive, "local://back:1"]);
    copy(&["--all-tags", &remote("a/app"), &remote("d/app")]);
    let ids = machine.minato(&["images", "-o", "json"]).json();
    let id = |name: &str| {
        let mut rows = ids.as_array().unwrap().iter();
        rows.find(|row| row["reference"] == name).map(|row| row["id"].clone()).unwrap()
    };
    assert_eq!(id("app:1"), id("back:1"));

    let list = |arguments: &[&str]| machine.minato(&[&["registry"], arguments].concat()).stdout;
    assert_eq!(list(&["list", &host]), "a/app\nb/app\nc/app\nd/app\n");
    assert_eq!(list(&["tags", &remote("d/app")]), "1\nalso\n");
    let seen: serde_json::Value =
        serde_json::from_str(&list(&["inspect", &remote("d/app:1"), "-o", "json"])).unwrap();
    assert_eq!((seen["digest"].as_str().unwrap(), &seen["config"]["os"]), (digest, &"linux".into()));
    let theirs = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{host}/d/app:1")])
        .output()
        .unwrap();
    assert_eq!(list(&["inspect", "--raw", &remote("d/app:1")]).as_bytes(), theirs.stdout);
    assert_eq!(list(&["referrers", &remote("d/app:1"), "-o", "json"]).trim(), "[]");

    for (arguments, code, says) in [
        (&["copy", &remote("none:1"), &remote("x:1")][..], 1, "not found"),
        (&["copy", "--referrers", "local://app:1", &remote("x:1")], 2, "--referrers works between"),
        (&["copy", "--all-tags", &remote("a/app:1"), &remote("x")], 2, "without a tag"),
        (&["copy", "ftp://x", &remote("x")], 2, "oci-layout://DIR"),
        (&["copy", "127.0.0.1:1/x:1", &layout], 2, "127.0.0.1:1"),
        (&["registry", "delete", &remote("a/app:1")], 1, ""),
        (&["registry", "tags", &remote("none")], 1, "not found"),
    ] {
        let run = machine.minato(arguments);
        run.expect(code);
        assert!(run.stderr.contains(says), "{says}: {run}");
    }
}

/// A registry with a password, and a folder for Docker's config.json.
struct Guarded {
    machine: Machine,
    registry: Registry,
    _storage: tempfile::TempDir,
}

impl Guarded {
    fn start(test: &str) -> Option<Guarded> {
        if is_missing(test, &["docker-registry", "skopeo"]) {
            return None;
        }
        let machine = Machine::new();
        // user:secret, as `htpasswd -bnBC 5 user secret` writes it.
        let htpasswd = machine.folder().join("htpasswd");
        fs::write(&htpasswd, "user:$2y$05$IRBsf9p9F2Y3fFG9l3d9..lYaXBVcBOrb607qiLXptkPum3YlP2Nu\n").unwrap();
        let storage = tempfile::tempdir().unwrap();
        let settings = [
            ("REGISTRY_AUTH_HTPASSWD_REALM", "here"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", htpasswd.to_str().unwrap()),
        ];
        let registry = Registry::serve_with(storage.path(), &settings);
        Some(Guarded { machine, registry, _storage: storage })
    }

    fn config(&self) -> PathBuf {
        self.machine.folder().join("docker/config.json")
    }

    fn bin(&self) -> PathBuf {
        self.machine.folder().join("bin")
    }

    /// Exit code and stderr of a verb that reads `input`.
    fn minato(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let path = format!("{}:{}", self.bin().display(), std::env::var("PATH").unwrap());
        let mut child = Command::new(env!("CARGO_BIN_EXE_minato"))
            .args(arguments)
            .env("MINATO_DATA_DIR", self.machine.data())
            .env("DOCKER_CONFIG", self.config().parent().unwrap())
            .env("PATH", path)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn skopeo_login(&self, arguments: &[&str]) -> String {
        let output = Command::new("skopeo")
            .args(["login", "--tls-verify=false", "--authfile", self.config().to_str().unwrap()])
            .args(arguments)
            .arg(self.registry.host())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[test]
fn a_login_is_shared_with_other_tools() {
    let Some(guarded) = Guarded::start("a_login_is_shared_with_other_tools") else { return };
    let host = guarded.registry.host();
    let login = ["login", &host, "-u", "user", "--password-stdin"];
    let (code, said) = guarded.minato(&login, "wrong\n");
    assert!(code == 1 && said.contains("not accepted") && !said.contains("wrong"), "{said}");
    assert!(!guarded.config().exists());
    let (code, said) = guarded.minato(&login, "secret\n");
    assert!(code == 0 && said.contains("not encrypted"), "{said}");
    assert_eq!(guarded.config().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(guarded.skopeo_login(&["--get-login"]), "user");
    let image = format!("{host}/app:1");
    build(&guarded.machine, &image);
    assert_eq!(guarded.minato(&["push", &image], "").0, 0);
    assert_eq!(guarded.minato(&["logout", &host], "").0, 0);
    let (code, said) = guarded.minato(&["push", &image], "");
    assert!(code == 1 && said.contains("log in first"), "{said}");
    guarded.skopeo_login(&["-u", "user", "-p", "secret"]);
    assert_eq!(guarded.minato(&["registry", "list", &host], "").0, 0);
}

#[test]
fn a_helper_keeps_the_login_where_the_file_names_one() {
    let test = "a_helper_keeps_the_login_where_the_file_names_one";
    let Some(guarded) = Guarded::start(test) else { return };
    let host = guarded.registry.host();
    let kept = guarded.machine.folder().join("kept");
    let helper = "#!/bin/sh
case $1 in
store) cat >KEPT ;;
get) [ -e KEPT ] && cat KEPT || { echo credentials not found in native keychain; exit 1; } ;;
erase) rm KEPT ;;
esac
";
    fs::create_dir_all(guarded.bin()).unwrap();
    let program = guarded.bin().join("docker-credential-test");
    fs::write(&program, helper.replace("KEPT", kept.to_str().unwrap())).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(guarded.config().parent().unwrap()).unwrap();
    fs::write(guarded.config(), r#"{"credsStore":"test","other":1}"#).unwrap();
    let (code, said) = guarded.minato(&["login", &host, "-u", "user", "--token-stdin"], "secret");
    assert!(code == 0 && said.contains("kept by docker-credential-test"), "{said}");
    assert!(fs::read_to_string(&kept).unwrap().contains(r#""Secret":"secret""#));
    let written = fs::read_to_string(guarded.config()).unwrap();
    assert!(!written.contains("secret") && written.contains("\"other\": 1"), "{written}");
    assert_eq!(guarded.minato(&["registry", "list", &host], "").0, 0);
    assert_eq!(guarded.minato(&["logout", &host], "").0, 0);
    assert!(!kept.exists());
    assert_eq!(guarded.minato(&["registry", "list", &host], "").0, 1);
}

#[test]
fn a_login_that_cannot_be_tried_ends_with_code_2() {
    let Some(guarded) = Guarded::start("a_login_that_cannot_be_tried_ends_with_code_2") else { return };
    let host = guarded.registry.host();
    for (arguments, says) in [
        (&["login", &host][..], "--token-stdin"),
        (&["login", &host, "--password-stdin"], "--username"),
        (&["login", "ghcr.io/owner", "--token-stdin"], "not a registry"),
        (&["login", &host, "--token-stdin"], "no password or token came"),
        (&["login", "127.0.0.1:1", "--token-stdin"], "127.0.0.1:1"),
    ] {
        let input = if says == "127.0.0.1:1" { "token" } else { "" };
        let (code, said) = guarded.minato(arguments, input);
        assert!(code == 2 && said.contains(says), "{said}");
    }
}
