//! What makes a step be done again, and what does not.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use minato_build::FakeExecutor;
use support::{Workshop, steps};

const DOCKERFILE: &str = "FROM scratch\nCOPY files /files\nRUN make\nCOPY late /late\n";

/// Builds, changes something, builds again: the steps of the second build.
fn after(change: impl FnOnce(&Workshop)) -> String {
    let workshop = Workshop::new();
    workshop.write("files/a", "one").write("files/b", "two").write("late", "late");
    symlink("a", workshop.context().join("files/link")).unwrap();
    assert_eq!(steps(&workshop.build(DOCKERFILE).unwrap()), "...");
    change(&workshop);
    steps(&workshop.build(DOCKERFILE).unwrap())
}

fn change(workshop: &Workshop, path: &str, content: &str) {
    workshop.write(path, content);
}

fn set_modified(workshop: &Workshop, path: &str, time: SystemTime) {
    File::options().write(true).open(workshop.context().join(path)).unwrap().set_modified(time).unwrap();
}

#[test]
fn nothing_changed_is_nothing_done() {
    assert_eq!(after(|_| {}), "ccc");
}

#[test]
fn a_new_modification_time_is_no_change() {
    let touch = |workshop: &Workshop| {
        let time = SystemTime::now() + Duration::from_secs(3600);
        set_modified(workshop, "files/a", time);
        set_modified(workshop, "late", time);
    };
    assert_eq!(after(touch), "ccc");
}

#[test]
fn the_same_content_written_again_is_no_change() {
    assert_eq!(after(|workshop| change(workshop, "files/a", "one")), "ccc");
}

#[test]
fn content_is_noticed_under_the_same_size_and_time() {
    let edit = |workshop: &Workshop| {
        let time = workshop.context().join("files/a").metadata().unwrap().modified().unwrap();
        workshop.write("files/a", "eno");
        set_modified(workshop, "files/a", time);
    };
    // The RUN sees other layers below; the file after it goes where nothing changed.
    assert_eq!(after(edit), "..c");
}

#[test]
fn a_mode_is_noticed() {
    let edit = |workshop: &Workshop| {
        std::fs::set_permissions(workshop.context().join("files/b"), Permissions::from_mode(0o755)).unwrap();
    };
    assert_eq!(after(edit), "..c");
}

#[test]
fn the_target_of_a_link_is_noticed() {
    let edit = |workshop: &Workshop| {
        let link = workshop.context().join("files/link");
        std::fs::remove_file(&link).unwrap();
        symlink("b", link).unwrap();
    };
    assert_eq!(after(edit), "..c");
}

#[test]
fn a_new_name_and_a_missing_one_are_noticed() {
    assert_eq!(after(|workshop| change(workshop, "files/new", "")), "..c");
    assert_eq!(after(|workshop| std::fs::remove_file(workshop.context().join("files/b")).unwrap()), "..c");
}

#[test]
fn a_hard_link_is_noticed() {
    let edit = |workshop: &Workshop| {
        let files = workshop.context().join("files");
        std::fs::remove_file(files.join("b")).unwrap();
        std::fs::hard_link(files.join("a"), files.join("b")).unwrap();
    };
    assert_eq!(after(edit), "..c");
}

#[test]
fn a_late_change_keeps_the_early_steps() {
    assert_eq!(after(|workshop| change(workshop, "late", "changed")), "cc.");
}

#[test]
fn a_layer_that_was_collected_is_made_again() {
    let collect = |workshop: &Workshop| {
        std::fs::remove_dir_all(workshop.store.root().join("layers")).unwrap();
        std::fs::create_dir(workshop.store.root().join("layers")).unwrap();
    };
    assert_eq!(after(collect), "...");
}

#[test]
fn losing_the_cache_costs_time_only() {
    assert_eq!(after(|workshop| std::fs::remove_dir_all(workshop.cache()).unwrap()), "...");
}

#[test]
fn a_file_that_is_ignored_is_no_change() {
    let workshop = Workshop::new();
    workshop.write(".dockerignore", "*.log\n.dockerignore\n").write("a", "").write("x.log", "1");
    let first = workshop.build("FROM scratch\nCOPY . /\n").unwrap();
    workshop.write("x.log", "2").write("y.log", "3");
    let second = workshop.build("FROM scratch\nCOPY . /\n").unwrap();
    assert_eq!((steps(&second).as_str(), first.image.id), ("c", second.image.id));
}

#[test]
fn a_run_that_makes_the_same_again_keeps_what_follows() {
    // The command changes, what it makes does not.
    let workshop = Workshop::with(FakeExecutor::new(|_, upper| {
        std::fs::write(upper.join("made"), "always the same").unwrap();
        Ok(0)
    }));
    workshop.build("FROM scratch\nRUN make\nRUN test\n").unwrap();
    let second = workshop.build("FROM scratch\nRUN make all\nRUN test\n").unwrap();
    assert_eq!(steps(&second), ".c");
}

#[test]
fn the_environment_of_a_run_decides_and_what_is_passed_through_does_not() {
    let workshop = Workshop::new();
    let dockerfile = "FROM scratch\nARG WHO\nRUN make\n";
    let build = |arguments: &[(&str, &str)], passed: &[(&str, &str)]| {
        let mut request = workshop.request(dockerfile);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        request.arguments = arguments.iter().map(owned).collect();
        request.pass_through.environment = passed.iter().map(owned).collect();
        steps(&workshop.build_request(&request).unwrap())
    };
    assert_eq!(build(&[], &[]), ".");
    assert_eq!(build(&[("HTTP_PROXY", "http://proxy")], &[("CA", "/ca")]), "c");
    assert_eq!(build(&[("WHO", "me")], &[]), ".");
}

#[test]
fn without_the_cache_everything_is_done_and_the_image_is_the_same() {
    let workshop = Workshop::new();
    workshop.write("files/a", "one").write("late", "");
    let first = workshop.build(DOCKERFILE).unwrap();
    let mut request = workshop.request(DOCKERFILE);
    request.no_cache = true;
    let second = workshop.build_request(&request).unwrap();
    assert_eq!((steps(&second).as_str(), first.image.id), ("...", second.image.id));
}

#[test]
fn builds_at_the_same_time_do_not_harm_each_other() {
    let workshop = Workshop::new();
    for number in 0..200 {
        workshop.write(&format!("files/{number}"), &number.to_string());
    }
    workshop.write("late", "");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..6).map(|_| scope.spawn(|| workshop.build(DOCKERFILE).unwrap().image.id)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().to_string()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
