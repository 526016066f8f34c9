//! The contract of the command line: exit codes, which stream says what, machine-readable output, help for slips.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::fs;
use std::path::Path;

use support::application::{Application, Version};
use support::machine::Machine;
use support::parts::{Part, present};

#[test]
fn what_cannot_be_asked_ends_with_code_2_and_a_hint() {
    let machine = Machine::new();
    for (arguments, says) in [
        (&["up", "--wacth"][..], "--watch"),
        (&["biuld"], "build"),
        (&["up", "/no/such/folder"], "/no/such/folder"),
        (&["status", "-o", "xml"], "json"),
        (&["build", "--build-arg"], "NAME"),
        (&["history", "nobody"], "nobody"),
        (&["logs", "nobody"], "nobody"),
        (&["delete", "nobody"], "nobody"),
        (&["up", "--registry-mirror", "no-equals-sign", "."], "REGISTRY=URL"),
    ] {
        let run = machine.minato(arguments);
        run.expect(2);
        assert!(run.stderr.contains(says), "expected {says:?} from {run}");
        assert_eq!(run.stdout, "", "errors go to stderr: {run}");
    }
}

#[test]
fn help_and_version_are_data() {
    let machine = Machine::new();
    let help = machine.minato(&["--help"]);
    help.expect(0);
    for verb in [
        "up", "build", "images", "check", "sync", "diff", "status", "logs", "exec", "history", "rollback",
        "delete",
    ] {
        assert!(help.stdout.contains(verb), "{verb} is not in the help");
        let verb_help = machine.minato(&[verb, "--help"]);
        assert!(verb_help.expect(0).stdout.contains("Usage:"), "{verb_help}");
    }
    assert!(machine.minato(&["--version"]).expect(0).stdout.starts_with("minato "));
}

#[test]
fn verbs_on_an_empty_machine_print_empty_data() {
    let machine = Machine::new();
    for verb in ["status", "images"] {
        let run = machine.minato(&[verb, "-o", "json"]);
        assert_eq!(run.expect(0).json(), serde_json::json!([]), "{run}");
    }
}

#[test]
fn check_finds_what_lint_finds_with_its_place() {
    let machine = Machine::new();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM debian:latest\nCMD [\"true\"]\n").unwrap();
    let run = machine.minato(&[Path::new("check"), folder.path()]);
    run.expect(1).says("Dockerfile:1:6").says("latest");
    let json = machine.minato(&[Path::new("check"), Path::new("-o"), Path::new("json"), folder.path()]);
    json.expect(1);
    assert!(json.json().as_array().is_some_and(|findings| !findings.is_empty()), "{json}");
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY a /a\nUSER 1\nCMD [\"/a\"]\n").unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    machine.minato(&[Path::new("check"), folder.path()]).expect(0);
}

#[test]
fn data_goes_to_stdout_and_json_is_json() {
    if !present("data_goes_to_stdout_and_json_is_json", &[Part::Root]) {
        return;
    }
    let (machine, application) = (Machine::new(), Application::new(&Version::good("1")));
    machine.up(application.path());
    for verb in ["status", "images", "history"] {
        let json = machine.minato(&[verb, "-o", "json"]);
        assert_eq!(json.expect(0).json().as_array().map(Vec::len), Some(1), "{json}");
        let table = machine.minato(&[verb]);
        assert!(table.expect(0).stdout.lines().count() >= 2, "a head and a row: {table}");
    }
    let logs = machine.minato(&["logs"]);
    assert!(logs.expect(0).stdout.contains("listening"), "{logs}");
    machine.minato(&["diff", &application.path().to_string_lossy()]).expect(0);
    application.write(&Version::good("2"));
    let diff = machine.minato(&["diff", &application.path().to_string_lossy()]);
    assert!(diff.expect(1).stdout.contains("/spec/template/spec/containers/0/env/0/value"), "{diff}");
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}
