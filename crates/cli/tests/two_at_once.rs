//! Two `up` of one application at the same time: one works, the other waits or says who holds it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::path::Path;

use support::application::{Application, Version};
use support::http::page;
use support::machine::Machine;
use support::parts::{Part, present};

#[test]
fn the_second_up_waits_for_the_first() {
    if !present("the_second_up_waits_for_the_first", &[Part::Root]) {
        return;
    }
    let (machine, application) =
        (Machine::new(), Application::new(&Version::good("1").starting_slowly(1500)));
    let up = [Path::new("up"), Path::new("--detach"), application.path()];
    let (first, second) = (machine.start(&up, &[]), machine.start(&up, &[]));
    let (first, second) = (first.wait(), second.wait());
    machine.look();
    first.expect(0);
    second.expect(0);
    assert_eq!(first.address(), second.address());
    assert!(page(&first.address(), "/").contains("version=1"));
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn with_no_wait_the_second_up_says_who_holds_the_application() {
    if !present("with_no_wait_the_second_up_says_who_holds_the_application", &[Part::Root]) {
        return;
    }
    let (machine, application) =
        (Machine::new(), Application::new(&Version::good("1").starting_slowly(4000)));
    let first = machine.start(&[Path::new("up"), Path::new("--detach"), application.path()], &[]);
    let holder = first.child.id().to_string();
    // The first one holds the application from some moment on, and for at least the four seconds of the start.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let second =
        machine.minato(&[Path::new("up"), Path::new("--detach"), Path::new("--no-wait"), application.path()]);
    second.expect(2).says(&holder);
    first.wait().expect(0);
    machine.look();
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}
