//! BuildKit's build checks around `check` and `build`: named as BuildKit names them, at their place, as warnings or errors.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::path::Path;

use support::machine::Machine;

const DOCKERFILE: &str = "FROM scratch AS other\nMAINTAINER me\nFROM scratch\nCOPY a /a\nWORKDIR app\nUSER 1000\nCMD node app.js\n";

fn write(folder: &Path, dockerfile: &str) {
    fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    fs::write(folder.join("a"), "a").unwrap();
}

#[test]
fn build_warns_and_builds() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), DOCKERFILE);
    let run = machine.minato(&["build", folder.path().to_str().unwrap()]);
    run.expect(0);
    for says in [
        "warning[WorkdirRelativePath]",
        "Dockerfile:5:9",
        "warning[JSONArgsRecommended]",
        "[\"node\", \"app.js\"]",
    ] {
        assert!(run.stderr.contains(says), "expected {says:?} from {run}");
    }
}

#[test]
fn error_true_stops_the_build() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &format!("# check=error=true\n{DOCKERFILE}"));
    let folder = folder.path().to_str().unwrap();
    let run = machine.minato(&["build", folder]);
    run.expect(1);
    assert!(run.stderr.contains("error[WorkdirRelativePath]") && run.stdout.is_empty(), "{run}");
    assert_eq!(machine.minato(&["images", "-o", "json"]).json(), serde_json::json!([]));
    machine.minato(&["build", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=error=false", folder]).expect(0);
    let skip = "BUILDKIT_DOCKERFILE_CHECK=skip=all;error=true";
    let run = machine.minato(&["build", "--build-arg", skip, folder]);
    assert!(!run.expect(0).stderr.contains("WorkdirRelativePath"), "{run}");
}

#[test]
fn build_check_only_answers() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), DOCKERFILE);
    let path = folder.path().to_str().unwrap().to_owned();
    for call in [&["--check"][..], &["--call", "check"]] {
        let run = machine.minato(&[&["build", "-o", "json", &path][..], call].concat());
        let codes = run.expect(1).json();
        let codes: Vec<&str> =
            codes.as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect();
        let expected = ["MaintainerDeprecated", "WorkdirRelativePath", "JSONArgsRecommended"];
        assert_eq!(codes, expected, "{run}");
    }
    assert_eq!(machine.minato(&["images", "-o", "json"]).json(), serde_json::json!([]));
    write(folder.path(), "FROM scratch\nCOPY a /a\n");
    machine.minato(&["build", "--check", &path]).expect(0);
}

#[test]
fn check_knows_the_ignore_file_and_build_arguments() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "FROM scratch\nCOPY a /a\nUSER 1000\nHEALTHCHECK NONE\n");
    fs::write(folder.path().join(".dockerignore"), "a\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let run = machine.minato(&["check", path]);
    assert!(run.stdout.contains("CopyIgnoredFile") && run.stdout.contains("Dockerfile:2:6"), "{run}");
    let argument = "BUILDKIT_DOCKERFILE_CHECK=error=true";
    let run = machine.minato(&["check", "--build-arg", argument, path]);
    assert!(run.expect(1).stdout.contains("error[CopyIgnoredFile]"), "{run}");
    let run = machine.minato(&["check", "--allow", "CopyIgnoredFile", path]);
    assert!(!run.stdout.contains("CopyIgnoredFile"), "{run}");
}
