//! Any process may be killed at any point: the next `up` ends healthy, and `delete` leaves nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/probe.rs"]
mod probe;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use probe::Probe;
use support::application::{Application, Version};
use support::http::{page, time_until_served};
use support::machine::{Machine, Run};
use support::parts::{Part, present, repository};
use support::traces::Process;

/// A supervisor that starts again serves again within this time.
const BACK: Duration = Duration::from_secs(2);

#[test]
fn at_each_fail_point_the_next_up_ends_healthy() {
    let test = "at_each_fail_point_the_next_up_ends_healthy";
    if !present(test, &[Part::Root]) {
        return;
    }
    if !cfg!(feature = "failpoints") {
        eprintln!("SKIPPED {test}: built without the feature failpoints");
        return;
    }
    let points = fail_points();
    let reached: Vec<&String> = points.iter().filter(|point| killed_at(point)).collect();
    eprintln!("{test}: {} of {} points were reached", reached.len(), points.len());
    assert!(reached.len() >= 30, "only {reached:?} were reached");
}

#[test]
fn at_random_moments_the_next_up_ends_healthy() {
    let test = "at_random_moments_the_next_up_ends_healthy";
    if !present(test, &[Part::Root]) {
        return;
    }
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, rounds) = (number("MINATO_KILL_SEED", 1), number("MINATO_KILL_ROUNDS", 20));
    eprintln!("{test}: MINATO_KILL_SEED={seed} MINATO_KILL_ROUNDS={rounds}");
    let (machine, application) = (Machine::new(), Application::new(&version(0)));
    let address = machine.up(application.path());
    let mut random = Random(seed);
    for round in 1..=rounds {
        kill_one(&machine, &application, &address, round, &mut random);
    }
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn without_its_supervisor_containers_run_on_and_are_adopted() {
    if !present("without_its_supervisor_containers_run_on_and_are_adopted", &[Part::Root]) {
        return;
    }
    let (machine, application) = (Machine::new(), Application::new(&version(1)));
    let address = machine.up(application.path());
    let before = machine.look();
    kill(before.named("__supervisor").first().expect("a supervisor runs"));
    machine.up(application.path());
    let took = time_until_served(&address, BACK);
    eprintln!("served again {took:?} after `up`");
    assert_eq!(before.named("/application"), machine.look().named("/application"), "the same containers run");
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

fn version(number: u64) -> Version {
    Version::good(&number.to_string()).soaking_shortly()
}

/// The names in `fail_point!("…")` of every crate's sources.
fn fail_points() -> BTreeSet<String> {
    let mut points = BTreeSet::new();
    let crates = fs::read_dir(repository().join("crates")).unwrap();
    let mut folders: Vec<_> = crates.flatten().map(|entry| entry.path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                points.extend(points_in(&fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    points
}

fn points_in(source: &str) -> Vec<String> {
    let calls = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let calls = calls.filter_map(|line| line.split_once("fail_point!(\"")?.1.split_once('"'));
    calls.map(|(name, _)| name.to_owned()).filter(|name| name.contains('.')).collect()
}

/// Goes through an application's life until the first process that comes to the point is killed there; then the next
/// `up` must be healthy and `delete` complete. False when nothing comes to the point.
fn killed_at(point: &str) -> bool {
    let (machine, application) = (Machine::new(), Application::new(&version(1)));
    let mark = application.path().with_extension("reached");
    let environment = [("MINATO_KILL_AT", point), ("MINATO_KILL_MARK", mark.to_str().unwrap())];
    let up = [Path::new("up"), Path::new("--detach"), application.path()];
    let rollback = [Path::new("rollback"), application.path()];
    let delete = [Path::new("delete"), application.path()];
    let mut ran = Vec::new();
    for (number, verb) in [&up[..], &up[..], &rollback[..], &delete[..]].into_iter().enumerate() {
        application.write(&version(number as u64 + 1));
        ran.push(machine.minato_with(verb, &environment));
        machine.look();
        if mark.exists() {
            break;
        }
        ran.last().unwrap().expect(0);
    }
    if fs::remove_file(&mark).is_err() {
        eprintln!("{point}: not reached");
        return false;
    }
    eprintln!("{point}: killed in step {} ({})", ran.len(), what_ended(ran.last().unwrap()));
    application.write(&version(9));
    let address = machine.up(application.path());
    assert!(page(&address, "/").contains("version=9"), "{point}");
    machine.minato(&delete).expect(0);
    machine.assert_nothing_is_left();
    true
}

fn what_ended(run: &Run) -> &str {
    match run.code {
        -1 => "the command",
        _ => "another process",
    }
}

/// One round: a new version is brought by `up`, and at some moment one process is killed.
fn kill_one(machine: &Machine, application: &Application, address: &str, round: u64, random: &mut Random) {
    application.write(&version(round));
    let probe = Probe::on(address);
    let up = machine.start(&[Path::new("up"), Path::new("--detach"), application.path()], &[]);
    let moment = Duration::from_millis(random.below(4000));
    let began = Instant::now();
    std::thread::sleep(moment);
    let victim = ["command", "__supervisor", "__container-shim", "/application"][random.below(4) as usize];
    let run = match victim {
        "command" => up.kill(),
        _ => {
            let found = machine.look();
            let found = found.named(victim);
            if !found.is_empty() {
                kill(found[random.below(found.len() as u64) as usize]);
            }
            up.wait()
        }
    };
    eprintln!("round {round}: {victim} after {moment:?}; up: code {} at {:?}", run.code, began.elapsed());
    let again = machine.up(application.path());
    machine.look();
    time_until_served(&again, BACK);
    assert!(page(&again, "/").contains(&format!("version={round} ")), "round {round}");
    let failures = probe.stop();
    if victim == "command" {
        assert!(failures.is_empty(), "round {round}: requests failed: {failures:?}");
    }
}

fn kill(process: &Process) {
    std::process::Command::new("kill").args(["-9", &process.id.to_string()]).status().unwrap();
}

/// The same moments for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}
