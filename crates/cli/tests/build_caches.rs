//! What one machine built, another need not build again: caches in folders, registries and images.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/registry.rs"]
mod registry;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use registry::Registry;
use support::machine::{Machine, Run};
use support::parts::{Part, busybox, present};

/// Two steps that take what no other run gives, so that an equal image can only come from a cache.
const DOCKERFILE: &str = "FROM scratch AS made\nCOPY busybox /bin/sh\nRUN cat /proc/sys/kernel/random/uuid >/made\nFROM scratch\nCOPY busybox /bin/sh\nCOPY --from=made /made /app/\nRUN --mount=type=cache,target=/kept cat /proc/sys/kernel/random/uuid >>/kept/all && cp /kept/all /seen\n";

fn context(folder: &Path) -> PathBuf {
    let context = folder.join("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    fs::copy(busybox(), context.join("busybox")).unwrap();
    context
}

fn build(machine: &Machine, context: &Path, flags: &[&str]) -> Run {
    let run = machine.minato(&[&["build", context.to_str().unwrap()], flags].concat());
    run.expect(0);
    run
}

/// Builds on one machine with `to`, on another one with `from`; both answers.
fn twice(context: &Path, to: &[&str], from: &[&str]) -> (Run, Run) {
    let first = build(&Machine::new(), context, to);
    (first, build(&Machine::new(), context, from))
}

#[test]
fn a_cache_in_a_folder_is_all_that_another_machine_needs() {
    let test = "a_cache_in_a_folder_is_all_that_another_machine_needs";
    if !present(test, &[Part::Root, Part::Command("busybox")]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let context = context(place.path());
    let folder = place.path().join("cache");
    let (to, from) =
        (format!("type=local,dest={}", folder.display()), format!("type=local,src={}", folder.display()));
    for mode in ["max", "min"] {
        // The second time over the first one's folder.
        let (one, other) =
            twice(&context, &["--cache-to", &format!("{to},mode={mode}")], &["--cache-from", &from]);
        match mode {
            "max" => assert_eq!(one.stdout, other.stdout, "{other}"),
            // The step of the other stage is not in it, so what is copied from there differs.
            _ => assert_ne!(one.stdout, other.stdout, "{other}"),
        }
    }
    let absent = format!("type=local,src={}", place.path().join("absent").display());
    build(&Machine::new(), &context, &["--cache-from", &absent]).says("building without it");
}

#[test]
fn a_cache_in_a_registry_and_one_in_the_image_itself() {
    let test = "a_cache_in_a_registry_and_one_in_the_image_itself";
    if !present(test, &[Part::Root, Part::Command("busybox"), Part::Command("docker-registry")]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let context = context(place.path());
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::serve(storage.path());
    let cache = format!("type=registry,ref={}/team/app:cache,compression=zstd", registry.host());
    let from = format!("{}/team/app:cache", registry.host());
    let (one, other) =
        twice(&context, &["--cache-to", &format!("{cache},mode=max")], &["--cache-from", &from]);
    assert_eq!(one.stdout, other.stdout, "{other}");

    // An image's own layers: here the last stage's, whose steps ask for no other stage.
    let dockerfile = "FROM scratch\nCOPY busybox /bin/sh\nRUN cat /proc/sys/kernel/random/uuid >/made\n";
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    let image = format!("{}/team/app:1", registry.host());
    let (one, other) =
        twice(&context, &["--push", "-t", &image, "--cache-to", "type=inline"], &["--cache-from", &image]);
    assert_eq!(one.stdout, other.stdout, "{other}");
    // A manifest without a cache is said to have none.
    let plain = format!("{}/team/app:plain", registry.host());
    build(&Machine::new(), &context, &["--push", "-t", &plain]);
    build(&Machine::new(), &context, &["--cache-from", &plain]).says("it is no cache of minato");
}

#[test]
fn the_files_of_a_cache_mount_go_along_when_asked() {
    let test = "the_files_of_a_cache_mount_go_along_when_asked";
    if !present(test, &[Part::Root, Part::Command("busybox")]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let context = context(place.path());
    let folder = place.path().join("cache");
    let to = format!("type=local,dest={},mounts=true", folder.display());
    build(&Machine::new(), &context, &["--cache-to", &to]);
    let out = place.path().join("out");
    let from = format!("type=local,src={}", folder.display());
    // The other machine does the step again: it depends on a stage that is not in the cache.
    build(&Machine::new(), &context, &["--cache-from", &from, "-o", out.to_str().unwrap()]);
    let seen = fs::read_to_string(out.join("seen")).unwrap();
    assert_eq!(seen.lines().count(), 2, "one line of each machine: {seen}");
}
