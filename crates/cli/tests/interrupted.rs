//! Ctrl-C ends the command at any time, never a container, and leaves nothing that the next run does not finish.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::application::{Application, Version};
use support::http::page;
use support::machine::Machine;
use support::parts::{Part, present};

/// How soon the command must end.
const PROMPT: Duration = Duration::from_secs(5);

#[test]
fn while_it_waits_for_a_rollout() {
    if !present("while_it_waits_for_a_rollout", &[Part::Root]) {
        return;
    }
    let (machine, application) = (Machine::new(), Application::new(&Version::good("1").soaking_shortly()));
    let address = machine.up(application.path());
    application
        .write(&Version { progress_deadline_seconds: 600, ..Version::good("2").behaving("never-ready") });
    let up = machine.start(&[Path::new("up"), Path::new("--detach"), application.path()], &[]);
    let before = machine.look().named("/application").len();
    let deadline = Instant::now() + Duration::from_secs(60);
    while machine.look().named("/application").len() <= before {
        assert!(Instant::now() < deadline, "no replica of the new version was started: {}", up.kill());
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = Instant::now();
    up.interrupt();
    let run = up.wait();
    assert!(asked.elapsed() < PROMPT, "it ended {:?} after Ctrl-C: {run}", asked.elapsed());
    assert_ne!(run.code, 0, "{run}");
    assert!(page(&address, "/").contains("version=1"), "the old version serves");

    application.write(&Version::good("3").soaking_shortly());
    machine.up(application.path());
    assert!(page(&address, "/").contains("version=3"));
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}
