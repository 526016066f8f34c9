//! `--builder docker|buildkit`: an engine that is there builds, and its image is one of this machine's.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::machine::Machine;
use support::parts::{Part, present};

const DOCKERFILE: &str = "FROM scratch AS base\nCOPY busybox /bin/sh\nFROM base AS wanted\nARG WHO=nobody\n\
    RUN --mount=type=secret,id=s read x </run/secrets/s; echo \"$WHO $x\" >/said\nFROM base\nRUN exit 3\n";

/// A reference engine under a folder, ended with the test.
struct Engine {
    tool: PathBuf,
    root: PathBuf,
    /// Where it listens.
    address: String,
}

impl Engine {
    /// `None` where it can't be had, which is said then.
    fn start(test: &str, tool: &str, root: &Path) -> Option<Engine> {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(tool);
        let output = Command::new(&tool).arg("start").arg(root).output().unwrap();
        if !output.status.success() {
            eprintln!("SKIPPED {test}: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        let address = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Engine { tool, root: root.to_owned(), address })
    }

    fn run(&self, words: &[&str]) {
        assert!(
            Command::new(&self.tool)
                .arg("run")
                .arg(&self.root)
                .args(words)
                .output()
                .unwrap()
                .status
                .success()
        );
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        Command::new(&self.tool).arg("stop").arg(&self.root).output().unwrap();
    }
}

/// The folder that a reference tool prints.
fn fetched(tool: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools").join(tool);
    PathBuf::from(String::from_utf8(Command::new(tool).arg("fetch").output().unwrap().stdout).unwrap().trim())
}

fn path_with(folder: &Path) -> String {
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// A context with the Dockerfile, and a secret beside it.
fn write_context(folder: &Path) {
    fs::write(folder.join("Dockerfile"), DOCKERFILE).unwrap();
    fs::copy(fetched("reference-docker").join("bin/busybox"), folder.join("busybox")).unwrap();
    fs::write(folder.join("secret"), "hush\n").unwrap();
}

fn builds_like_the_own_builder(machine: &Machine, engine: &str, context: &Path) {
    let (path, secret) = (context.to_str().unwrap(), format!("id=s,src={}/secret", context.display()));
    let common = ["--target", "wanted", "--build-arg", "WHO=me", "--label", "l=v", "--secret", &secret, path];
    let run = machine.minato(&[&["build", "-t", "made:1", "--builder", engine][..], &common].concat());
    assert!(run.expect(0).stdout.starts_with("sha256:"), "{run}");
    let own = machine.minato(&[&["build", "-t", "own:1"][..], &common].concat());
    own.expect(0);
    // What is in both images, as the own builder reads them.
    let reader = tempfile::tempdir().unwrap();
    let text = "FROM made:1 AS made\nFROM own:1\nCOPY --from=made /said /other\n\
        RUN read x </said; read y </other; [ \"$x\" = \"me hush\" ] && [ \"$y\" = \"$x\" ]\n";
    fs::write(reader.path().join("Dockerfile"), text).unwrap();
    machine.minato(&["build", reader.path().to_str().unwrap()]).expect(0);
    let failed = machine.minato(&["build", "--builder", engine, path]);
    failed.expect(1).says("exit");
}

#[test]
fn docker_builds() {
    if !present("docker_builds", &[Part::Root]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::start("docker_builds", "reference-docker", &folder.path().join("docker"))
    else {
        return;
    };
    // The client's folder, with buildx in it, is made by the first call.
    engine.run(&["version"]);
    let context = tempfile::tempdir().unwrap();
    write_context(context.path());
    let client = folder.path().join("docker/client");
    let machine = Machine::new().with_environment(&[
        ("PATH", &path_with(&fetched("reference-docker").join("usr/bin"))),
        ("DOCKER_HOST", &engine.address),
        ("DOCKER_CONFIG", client.to_str().unwrap()),
    ]);
    builds_like_the_own_builder(&machine, "docker", context.path());
}

#[test]
fn buildkit_builds() {
    if !present("buildkit_builds", &[Part::Root]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) =
        Engine::start("buildkit_builds", "reference-buildkit", &folder.path().join("buildkit"))
    else {
        return;
    };
    let context = tempfile::tempdir().unwrap();
    write_context(context.path());
    let machine = Machine::new().with_environment(&[
        ("PATH", &path_with(&fetched("reference-buildkit"))),
        ("BUILDKIT_HOST", &engine.address),
    ]);
    builds_like_the_own_builder(&machine, "buildkit", context.path());
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let nothing = Machine::new().with_environment(&[("PATH", "/nothing")]);
    for (engine, program) in [("docker", "docker"), ("buildkit", "buildctl")] {
        let run = nothing.minato(&["build", "--builder", engine, path]);
        run.expect(2).says(program);
        assert!(run.stderr.contains("on the PATH"), "{run}");
    }
    // A client whose daemon is not there.
    let programs = tempfile::tempdir().unwrap();
    let client = programs.path().join("docker");
    fs::write(&client, "#!/bin/sh\necho 'cannot connect' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&client, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let machine = Machine::new().with_environment(&[("PATH", &path_with(programs.path()))]);
    let run = machine.minato(&["build", "--builder", "docker", path]);
    assert!(run.expect(2).stderr.contains("cannot connect") && run.stderr.contains("DOCKER_HOST"), "{run}");
    let run = machine.minato(&["build", "--builder", "docker", "--build-env", "A=b", path]);
    assert!(run.expect(2).stderr.contains("--build-env"), "{run}");
    let run = machine.minato(&["build", "--builder", "docker", "--cache-to", "type=inline", path]);
    assert!(run.expect(2).stderr.contains("--builder"), "{run}");
}
