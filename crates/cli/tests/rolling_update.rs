//! Under load, a new version takes over without one failed request, and a bad one never gets any.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/load.rs"]
mod load;
mod support;

use std::path::Path;

use load::{Load, assert_executed_once, assert_none_failed};
use minato_loadgen::Report;
use support::application::{Application, Version};
use support::http::page;
use support::machine::{Machine, Run};
use support::parts::{Part, present};

const SLOW_START: u32 = 3000;

#[test]
fn a_new_version_takes_over_without_a_failed_request() {
    if !present("a_new_version_takes_over_without_a_failed_request", &[Part::Root]) {
        return;
    }
    let new = Version::good("2").starting_slowly(SLOW_START);
    let (report, run, answer) = update_under_load("rolling update", &new);
    run.expect(0);
    assert!(answer.contains("version=2"), "{answer}");
    assert!(report.by_version.len() == 2, "both versions have answered: {:?}", report.by_version);
}

#[test]
fn a_version_that_crashes_at_start_gets_no_request() {
    bad(
        "a_version_that_crashes_at_start_gets_no_request",
        "crash-at-start",
        &["the database does not answer", "3"],
    );
}

#[test]
fn a_version_that_is_never_ready_gets_no_request() {
    bad("a_version_that_is_never_ready_gets_no_request", "never-ready", &["503", "still loading the model"]);
}

#[test]
fn a_version_that_fails_soon_after_it_is_ready_gets_no_request() {
    let causes = ["lost the connection to the queue", "4"];
    bad("a_version_that_fails_soon_after_it_is_ready_gets_no_request", "fail-after-ready", &causes);
}

#[test]
fn a_version_without_its_command_gets_no_request() {
    let test = "a_version_without_its_command_gets_no_request";
    if !present(test, &[Part::Root]) {
        return;
    }
    let mut new = Version::good("2");
    new.command = "/no/such/command".into();
    expect_the_old_version(test, &new, &["/no/such/command"]);
}

#[test]
fn a_version_that_needs_too_much_memory_gets_no_request() {
    bad("a_version_that_needs_too_much_memory_gets_no_request", "out-of-memory", &["memory"]);
}

fn bad(test: &str, behaviour: &str, causes: &[&str]) {
    if !present(test, &[Part::Root]) {
        return;
    }
    expect_the_old_version(test, &Version::good("2").behaving(behaviour), causes);
}

/// The update fails, says why, and the old version has answered everything.
fn expect_the_old_version(test: &str, new: &Version, causes: &[&str]) {
    let new = Version { progress_deadline_seconds: 12, ..new.clone() };
    let (report, run, answer) = update_under_load(test, &new);
    run.expect(1);
    for cause in causes {
        run.says(cause);
    }
    assert!(answer.contains("version=1"), "{answer}");
    assert_eq!(report.by_version.keys().collect::<Vec<_>>(), ["1"], "who has answered");
}

/// Version 1 serves the load while `up` brings the new one; what is true for every update is asserted here.
fn update_under_load(test: &str, new: &Version) -> (Report, Run, String) {
    let machine = Machine::new();
    let application = Application::new(&Version::good("1").starting_slowly(SLOW_START));
    let address = machine.up(application.path());
    let load = Load::on(&address);
    application.write(new);
    let run = machine.minato(&[Path::new("up"), Path::new("--detach"), application.path()]);
    machine.look();
    let answer = page(&address, "/");
    let report = load.stop();
    eprintln!(
        "{test}: up took {:.1} s; {} requests, {} failed, p99 {:.0} ms",
        run.took.as_secs_f64(),
        report.sent,
        report.failed,
        report.latency.p99_ms
    );
    assert_none_failed(&report);
    let logs = machine.minato(&[Path::new("logs"), Path::new("--previous"), application.path()]);
    assert_executed_once(&report, &logs.expect(0).stdout);
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
    (report, run, answer)
}
