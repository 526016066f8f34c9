//! What is owed after a process was killed.
#![allow(dead_code)]

use super::probe::Answers;
use super::support::machine::Machine;

/// A supervisor that starts again serves again within this time, in hundredths of a second.
const BACK: u64 = 200;

/// The kind of process that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Command,
    Supervisor,
    Shim,
    /// The program in a container.
    Container,
}

impl Victim {
    /// The kind of one of Minato's own processes, by its first argument.
    pub fn of_argument(argument: &str) -> Victim {
        match argument {
            "__supervisor" => Victim::Supervisor,
            "__container-shim" => Victim::Shim,
            _ => Victim::Command,
        }
    }
}

/// Without the command nobody notices anything; without the supervisor nobody is served until it is back, soon and with
/// the same containers; without a container or its shim the others serve, and only what was in flight is lost.
#[track_caller]
pub fn assert_service(machine: &Machine, victim: Victim, answers: &Answers, what: &str) {
    match victim {
        Victim::Command => {
            let failures = answers.failures_since(0);
            assert!(failures.is_empty(), "{what}: requests failed: {failures:?}");
        }
        Victim::Supervisor => assert_served_again(machine, answers, what),
        Victim::Shim | Victim::Container => {
            // The probe has one request in flight at a time.
            let failures = answers.failures_since(0);
            assert!(failures.len() <= 1, "{what}: requests failed: {failures:?}");
        }
    }
}

#[track_caller]
fn assert_served_again(machine: &Machine, answers: &Answers, what: &str) {
    let now = machine.look();
    let started = now.named("__supervisor").first().expect("a supervisor runs").started;
    // Asked a tick later at least, and so not answered by the one that was killed.
    let back = answers.first_good_since(started + 1).unwrap_or_else(|| panic!("{what}: never served again"));
    let took = back - started;
    eprintln!("{what}: served again {took}0 ms after the supervisor's restart");
    assert!(took <= BACK, "{what}: that is too late");
    let failures = answers.failures_since(back);
    assert!(failures.is_empty(), "{what}: requests failed after it was back: {failures:?}");
    let again = started_again(machine);
    assert!(again.is_empty(), "{what}: containers were started again: {again:?}");
}

/// The containers that had run and were started again.
fn started_again(machine: &Machine) -> Vec<serde_json::Value> {
    let status = machine.minato(&["status", "-o", "json"]);
    let applications = status.expect(0).json();
    let each = |value: &serde_json::Value, field: &str| value[field].as_array().unwrap().clone();
    let workloads = applications.as_array().unwrap().iter().flat_map(|one| each(one, "workloads"));
    let replicas = workloads.flat_map(|workload| each(&workload, "replicas"));
    let containers = replicas.flat_map(|replica| each(&replica, "containers"));
    // One whose start was cut short has no exit.
    let again = containers.filter(|one| one["restarts"] != 0 && !one["last_exit"].is_null());
    again.collect()
}
