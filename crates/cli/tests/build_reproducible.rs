//! One commit gives one digest: whatever the time, the folder, the file system and the user.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/registry.rs"]
mod registry;
mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use registry::Registry;
use support::machine::{Machine, Run};
use support::parts::{Part, busybox, present};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/// What RUN makes is the same each time; its files are as new as the clock, and one is of a time to come.
const RUN: &str = "FROM scratch\nCOPY . /app/\nCOPY busybox /bin/sh\nRUN echo built >/built && mkdir -p /a/b && ln -s b /a/c && touch -d '2100-01-01 00:00' /late\nWORKDIR /work\nCMD [\"/bin/sh\"]\n";
const PLAIN: &str = "FROM scratch\nCOPY . /app/\nWORKDIR /work\nENV A=b\n";

/// The commit's files in a folder, checked out at a time.
fn checkout(folder: &Path, dockerfile: &str, at: SystemTime) -> PathBuf {
    let context = folder.join("a").join("context");
    fs::create_dir_all(context.join("src")).unwrap();
    let files = [
        ("Dockerfile", dockerfile.to_owned()),
        ("src/main", "main\n".repeat(100_000)),
        ("z", "z".to_owned()),
    ];
    for (name, content) in files {
        fs::write(context.join(name), content).unwrap();
    }
    fs::copy(busybox(), context.join("busybox")).unwrap();
    for name in ["Dockerfile", "src/main", "z", "busybox"] {
        File::options().write(true).open(context.join(name)).unwrap().set_modified(at).unwrap();
    }
    context
}

fn push(machine: &Machine, context: &Path, name: &str) -> Run {
    let run = machine.minato(&[
        "build",
        context.to_str().unwrap(),
        "-t",
        name,
        "-o",
        "type=registry,compression=zstd",
        "-o",
        "json",
    ]);
    run.expect(0);
    run
}

/// Identity of the image and digest of its manifest.
fn digests(run: &Run) -> (String, String) {
    let answer = run.json();
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    (text("id"), text("exported"))
}

#[test]
fn time_folder_and_file_system_do_not_matter() {
    let test = "time_folder_and_file_system_do_not_matter";
    let parts =
        [Part::Root, Part::Command("busybox"), Part::Command("docker-registry"), Part::Command("faketime")];
    if !present(test, &parts) {
        return;
    }
    let library = Path::new(LIBRARY);
    if !library.exists() || !Path::new("/dev/shm").is_dir() {
        return eprintln!("SKIPPED {test}: {LIBRARY} or /dev/shm is missing");
    }
    let (storage, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let registry = Registry::serve(storage.path());
    let year = Duration::from_secs(400 * 86_400);
    let here = checkout(disk.path(), RUN, SystemTime::now() - year);
    let there = checkout(&memory.path().join("deeper"), RUN, SystemTime::now() + year);
    let one = Machine::new();
    let data = memory.path().join("data");
    let other = Machine::new().with_environment(&[
        ("MINATO_DATA_DIR", data.to_str().unwrap()),
        ("LD_PRELOAD", LIBRARY),
        ("FAKETIME", "+700d"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ]);
    let one = push(&one, &here, &format!("{}/team/app:1", registry.host()));
    let other = push(&other, &there, &format!("{}/team/other:1", registry.host()));
    assert!(!digests(&one).1.is_empty(), "{one}");
    assert_eq!(digests(&one), digests(&other));
}

#[test]
fn the_user_does_not_matter() {
    let test = "the_user_does_not_matter";
    let parts =
        [Part::Root, Part::Command("busybox"), Part::Command("setpriv"), Part::Command("docker-registry")];
    if !present(test, &parts) {
        return;
    }
    let (storage, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = Registry::serve(storage.path());
    let name = format!("{}/team/app:1", registry.host());
    let root = push(&Machine::new(), &checkout(place.path(), PLAIN, SystemTime::now()), &name);
    let ordinary = Machine::of_ordinary_user();
    let context = checkout(ordinary.folder(), PLAIN, SystemTime::now());
    let ordinary = push(&ordinary, &context, &name);
    assert_eq!(digests(&root), digests(&ordinary));
}
