//! What `minato build` builds from: repositories, archives, standard input, and folders under other names.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use support::machine::Machine;
use support::parts::{Part, present};

/// Calls the program with something on its standard input.
fn fed(machine: &Machine, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_minato"))
        .arg("--data-dir")
        .arg(machine.data())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not want it closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// A context with a Dockerfile below `sub` that copies a file and ignores another.
fn context(folder: &Path) -> PathBuf {
    let context = folder.join("context");
    fs::create_dir_all(context.join("sub")).unwrap();
    fs::write(context.join("sub/Dockerfile"), "FROM scratch\nCOPY . /app/\n").unwrap();
    fs::write(context.join("sub/.dockerignore"), "hidden\nDockerfile\n.dockerignore\n").unwrap();
    fs::write(context.join("sub/file"), "content").unwrap();
    fs::write(context.join("sub/hidden"), "hidden").unwrap();
    context
}

fn files(folder: &Path) -> Vec<String> {
    let mut found: Vec<String> = folder
        .read_dir()
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    found
}

#[test]
fn a_dockerfile_or_an_archive_comes_on_standard_input() {
    if !present("a_dockerfile_or_an_archive_comes_on_standard_input", &[Part::Root]) {
        return;
    }
    let machine = Machine::new();
    let out = machine.folder().join("out");
    let to = out.to_str().unwrap();
    let run = fed(&machine, &["build", "-", "-o", to], b"FROM scratch\nCOPY <<EOF /made\nhere\nEOF\n");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(fs::read_to_string(out.join("made")).unwrap(), "here\n");

    let context = context(machine.folder());
    let tar = Command::new("tar").arg("-C").arg(&context).args(["-czf", "-", "."]).output().unwrap().stdout;
    let out = machine.folder().join("out-of-tar");
    let run = fed(&machine, &["build", "-", "-f", "sub/Dockerfile", "-o", out.to_str().unwrap()], &tar);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(files(&out.join("app")), ["sub"]);
    assert_eq!(files(&out.join("app/sub")), [".dockerignore", "Dockerfile", "file", "hidden"]);

    let run = fed(&machine, &["build", "-"], b"FORM scratch\n");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(2) && said.contains("Dockerfile:1:1"), "{said}");
}

#[test]
fn a_link_out_of_an_archive_is_not_followed() {
    let machine = Machine::new();
    let context = machine.folder().join("hostile");
    fs::create_dir(&context).unwrap();
    let secret = machine.folder().join("secret");
    fs::write(&secret, "SECRET\n").unwrap();
    std::os::unix::fs::symlink(&secret, context.join("Dockerfile")).unwrap();
    let tar = Command::new("tar").arg("-C").arg(&context).args(["-cf", "-", "."]).output().unwrap().stdout;
    let run = fed(&machine, &["build", "-"], &tar);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code() == Some(2) && said.contains("has no Dockerfile"), "{said}");
    assert!(!said.contains("SECRET"), "{said}");
}

#[test]
fn a_name_means_a_folder() {
    if !present("a_name_means_a_folder", &[Part::Root]) {
        return;
    }
    let machine = Machine::new();
    let other = context(machine.folder());
    let here = machine.folder().join("here");
    fs::create_dir(&here).unwrap();
    fs::write(here.join("Dockerfile"), "FROM scratch\nCOPY --from=alpine /sub/file /taken\n").unwrap();
    let out = machine.folder().join("out");
    let name = format!("docker.io/library/alpine={}", other.display());
    machine
        .minato(&["build", here.to_str().unwrap(), "--build-context", &name, "-o", out.to_str().unwrap()])
        .expect(0);
    assert_eq!(fs::read_to_string(out.join("taken")).unwrap(), "content");
    machine.minato(&["build", here.to_str().unwrap(), "--build-context", "alpine"]).expect(2);
    machine.minato(&["build", here.to_str().unwrap(), "--ulimit", "nofile=2:1"]).expect(2);
    machine.minato(&["build", here.to_str().unwrap(), "--allow", "everything"]).expect(2);
}

/// `git daemon`, until it is dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.0.id().cast_signed()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn a_repository_is_built() {
    if !present("a_repository_is_built", &[Part::Root, Part::Command("git")]) {
        return;
    }
    let machine = Machine::new();
    let repository = context(machine.folder());
    for words in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "."],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "one"],
        &["tag", "v1"],
    ] {
        assert!(Command::new("git").arg("-C").arg(&repository).args(words).status().unwrap().success());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("git");
    command
        .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"])
        .arg(format!("--port={port}"));
    command.arg(format!("--base-path={}", machine.folder().display())).arg(machine.folder());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut daemon = Daemon(command.spawn().unwrap());
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(daemon.0.try_wait().unwrap().is_none(), "git daemon ended");
        std::thread::yield_now();
    }
    let out = machine.folder().join("out");
    let address = format!("git://127.0.0.1:{port}/context#v1:sub");
    machine.minato(&["build", &address, "-o", out.to_str().unwrap()]).expect(0);
    assert_eq!(files(&out.join("app")), ["file"]);
    machine.minato(&["build", &address]).says("context:latest is ");
    let run = machine.minato(&["build", &format!("git://127.0.0.1:{port}/context#nothing")]);
    run.expect(2);
    run.says("has no branch, tag or commit \"nothing\"");
}
