//! The same application on the second implementation of containers: `crun` and `runc` from the PATH.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use support::application::{Application, Version};
use support::http::page;
use support::machine::Machine;
use support::parts::{Part, present};

#[test]
fn crun_runs_what_the_embedded_engine_runs() {
    check("crun_runs_what_the_embedded_engine_runs", "crun");
}

#[test]
fn runc_runs_what_the_embedded_engine_runs() {
    check("runc_runs_what_the_embedded_engine_runs", "runc");
}

fn check(test: &str, engine: &'static str) {
    if !present(test, &[Part::Root, Part::Command(engine)]) {
        return;
    }
    let (machine, application) =
        (Machine::with_flags(&["--engine", engine]), Application::new(&Version::good("1")));
    let address = machine.up(application.path());
    assert!(page(&address, "/").contains("version=1"));
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}
