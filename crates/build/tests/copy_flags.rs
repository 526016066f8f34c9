//! COPY and ADD with the flags that choose what comes along. Docker's documentation says what each means.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are no tests to clippy.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Workshop, steps};

const FILES: [&str; 9] = [
    "home.md",
    "home.txt",
    "hood.txt",
    "x/a.txt",
    "x/b.md",
    "x/y/c.txt",
    "x/y/d.md",
    "packages/one/package.json",
    "packages/one/src/main.js",
];

/// What `instruction` puts into an image made from nothing; folders end with a slash.
fn copied(instruction: &str) -> Result<Vec<String>, String> {
    let workshop = Workshop::new();
    for file in FILES {
        workshop.write(file, file);
    }
    let dockerfile = format!("FROM scratch\n{instruction}\n");
    let built = workshop.build(&dockerfile).map_err(|error| error.to_string())?;
    let again = workshop.build(&dockerfile).map_err(|error| error.to_string())?;
    assert_eq!((steps(&again).as_str(), again.image.id), ("c", built.image.id), "{instruction}");
    let mut found = Vec::new();
    list(&workshop.layers(&built)[0], Path::new(""), &mut found);
    Ok(found)
}

fn list(root: &Path, folder: &Path, found: &mut Vec<String>) {
    let mut names: Vec<_> =
        root.join(folder).read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = folder.join(name);
        if root.join(&path).is_dir() {
            found.push(format!("{}/", path.display()));
            list(root, &path, found);
        } else {
            found.push(path.display().to_string());
        }
    }
}

fn check(instruction: &str, expected: &[&str]) {
    assert_eq!(copied(instruction).unwrap(), expected, "{instruction}");
}

#[test]
fn what_is_excluded_stays_out() {
    check("COPY --exclude=*.txt hom* /m/", &["m/", "m/home.md"]);
    check("COPY --exclude=*.txt --exclude=*.md ho* /m/", &[]);
    check("COPY --exclude=*.txt x /m/", &["m/", "m/b.md", "m/y/", "m/y/c.txt", "m/y/d.md"]);
    check("COPY --exclude=**/*.txt x /m/", &["m/", "m/b.md", "m/y/", "m/y/d.md"]);
    check("COPY --exclude=y --exclude=!y/d.md x /m/", &["m/", "m/a.txt", "m/b.md", "m/y/", "m/y/d.md"]);
    check("ADD --exclude=y --exclude=a* x /m/", &["m/", "m/b.md"]);
}

#[test]
fn parents_come_along_from_the_pivot_on() {
    check(
        "COPY --parents packages/*/package.json /app/",
        &["app/", "app/packages/", "app/packages/one/", "app/packages/one/package.json"],
    );
    check("COPY --parents ./packages/./*/package.json /app/", &["app/", "app/one/", "app/one/package.json"]);
    check("COPY --parents ./x/./y x/a.txt /", &["x/", "x/a.txt", "y/", "y/c.txt", "y/d.md"]);
    check("COPY --parents **/*.md /d/", &["d/", "d/home.md", "d/x/", "d/x/b.md", "d/x/y/", "d/x/y/d.md"]);
    check("COPY --parents --exclude=x/y x home.* /", &["home.md", "home.txt", "x/", "x/a.txt", "x/b.md"]);
    check("COPY --parents nothing*/here /d/", &["d/"]);
}

#[test]
fn a_missing_file_is_said_with_parents_too() {
    let error = copied("COPY --parents x/nothing /").unwrap_err();
    assert!(
        error.starts_with("Dockerfile:2:1") && error.contains("\"/x/nothing\" is not in the build"),
        "{error}"
    );
    let error = copied("COPY --exclude=[ x /").unwrap_err();
    assert!(error.starts_with("Dockerfile:2:1") && error.contains("'['"), "{error}");
}

#[test]
fn folders_on_the_way_keep_their_mode() {
    let workshop = Workshop::new();
    workshop.write("a/b/c", "c");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&workshop.context().join("a"), 0o700);
    mode(&workshop.context().join("a/b"), 0o750);
    let built =
        workshop.build("FROM scratch\nCOPY --parents a/b/c /\nCOPY --parents --chmod=u=rwX,go= a/b/c /x/\n");
    let layers = workshop.layers(&built.unwrap());
    let modes =
        |path: &str, layer: usize| layers[layer].join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(["a", "a/b"].map(|path| modes(path, 0)), [0o700, 0o750]);
    assert_eq!(["x", "x/a", "x/a/b", "x/a/b/c"].map(|path| modes(path, 1)), [0o755, 0o700, 0o700, 0o600]);
}

#[test]
fn archives_are_unpacked_as_the_flag_says() {
    let workshop = Workshop::new();
    workshop.write("in/file", "content");
    let archive = workshop.context().join("a.tar");
    let folder = workshop.context().join("in");
    let status = std::process::Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(&folder)
        .arg("file")
        .status();
    assert!(status.unwrap().success());
    for (instruction, unpacked) in [
        ("ADD a.tar /", true),
        ("ADD --unpack=true a.tar /", true),
        ("ADD --unpack=false a.tar /", false),
        ("COPY a.tar /", false),
    ] {
        let built = workshop.build(&format!("FROM scratch\n{instruction}\n")).unwrap();
        let layer = &workshop.layers(&built)[0];
        assert_eq!(
            (layer.join("file").exists(), layer.join("a.tar").exists()),
            (unpacked, !unpacked),
            "{instruction}"
        );
    }
}

#[test]
fn scratch_has_no_files() {
    check("COPY --from=scratch / /nothing/", &["nothing/"]);
}
