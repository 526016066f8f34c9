//! `examples/hello`: up, edit, up again, nothing changed, a broken version, delete.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::http::{get, page};
use support::machine::{Machine, Running};
use support::parts::{Part, present, repository};

#[test]
fn an_edit_replaces_the_page_and_delete_leaves_nothing() {
    if !present("an_edit_replaces_the_page_and_delete_leaves_nothing", &[Part::Root]) {
        return;
    }
    let (machine, hello) = (Machine::new(), copy_of_hello());
    let address = machine.up(hello.path());
    assert!(page(&address, "/").contains("This is version 1"));

    edit(&hello.path().join("Dockerfile"), "VERSION=1", "VERSION=2");
    assert_eq!(machine.up(hello.path()), address, "the published address stays");
    assert!(page(&address, "/").contains("This is version 2"));

    edit(&hello.path().join("page.html"), "Hello from", "Good evening from");
    machine.up(hello.path());
    assert!(page(&address, "/").contains("Good evening from Minato"));

    machine.minato(&["delete", "--all"]).expect(0);
    assert!(get(&address, "/").is_err(), "the published port is closed");
    machine.assert_nothing_is_left();
}

#[test]
fn up_without_a_change_keeps_the_container() {
    if !present("up_without_a_change_keeps_the_container", &[Part::Root]) {
        return;
    }
    let (machine, hello) = (Machine::new(), copy_of_hello());
    machine.up(hello.path());
    let before = machine.look();
    machine.up(hello.path());
    assert_eq!(before.named("/server"), machine.look().named("/server"), "the same processes serve");
    assert!(!before.named("/server").is_empty());
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn a_broken_health_check_keeps_the_old_version_and_says_why() {
    if !present("a_broken_health_check_keeps_the_old_version_and_says_why", &[Part::Root]) {
        return;
    }
    let (machine, hello) = (Machine::new(), copy_of_hello());
    let address = machine.up(hello.path());
    edit(&hello.path().join("Dockerfile"), "VERSION=1", "VERSION=2");
    edit(&hello.path().join("Dockerfile"), "COPY page.html /page.html", "COPY page.html /elsewhere.html");
    let run = machine.minato(&[Path::new("up"), Path::new("--detach"), hello.path()]);
    run.expect(1).says("/page.html: No such file");
    machine.look();
    assert!(page(&address, "/").contains("This is version 1"));
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn watch_deploys_what_is_saved_and_interrupting_it_stops_nothing() {
    if !present("watch_deploys_what_is_saved_and_interrupting_it_stops_nothing", &[Part::Root]) {
        return;
    }
    let (machine, hello) = (Machine::new(), copy_of_hello());
    let address = machine.up(hello.path());
    let watch = machine.start(&[Path::new("up"), Path::new("--watch"), hello.path()], &[]);
    edit(&hello.path().join("page.html"), "Hello from", "Good night from");
    let watch = until(watch, "the new page", || page(&address, "/").contains("Good night from"));
    machine.look();
    watch.interrupt();
    watch.wait();
    assert!(page(&address, "/").contains("Good night from"), "still served after Ctrl-C");
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn watch_leaves_a_bad_version_as_soon_as_it_is_mended() {
    if !present("watch_leaves_a_bad_version_as_soon_as_it_is_mended", &[Part::Root]) {
        return;
    }
    let (machine, hello) = (Machine::new(), copy_of_hello());
    let address = machine.up(hello.path());
    let watch = machine.start(&[Path::new("up"), Path::new("--watch"), hello.path()], &[]);
    // Never ready, and long given time for it: nobody would wait for its end.
    let (dockerfile, before) = (hello.path().join("Dockerfile"), machine.look().named("/server").len());
    edit(
        &dockerfile,
        "--start-period=5s --retries=3 CMD [\"/server\", \"health\"]",
        "--start-period=600s CMD [\"/nothing\"]",
    );
    let bad = || machine.look().named("/server").len() > before;
    let watch = until(watch, "a replica of the bad version", bad);
    edit(
        &dockerfile,
        "--start-period=600s CMD [\"/nothing\"]",
        "--start-period=5s --retries=3 CMD [\"/server\", \"health\"]",
    );
    edit(&dockerfile, "VERSION=1", "VERSION=2");
    let watch = until(watch, "the mended version", || page(&address, "/").contains("This is version 2"));
    watch.interrupt();
    watch.wait();
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

/// Waits, as long as `--watch` runs.
fn until(mut watch: Running, what: &str, is_so: impl Fn() -> bool) -> Running {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        if !watch.is_running() || Instant::now() > deadline {
            panic!("{what} never happened: {}", watch.kill());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    watch
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from:?}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

/// The example's files in a folder that a test may edit. Cargo has made its server: see `build.rs`.
fn copy_of_hello() -> tempfile::TempDir {
    let copy = tempfile::Builder::new().prefix("hello-").tempdir().unwrap();
    let example: PathBuf = repository().join("examples/hello");
    fs::create_dir(copy.path().join("bin")).unwrap();
    for file in ["Dockerfile", ".dockerignore", "page.html", "bin/server"] {
        fs::copy(example.join(file), copy.path().join(file)).unwrap();
    }
    copy
}
