//! One Application, of which only the destination changes, on this machine, on Kubernetes and on Amazon ECS: the same
//! commands have the same exit codes and the same words for the same states.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use support::application::Version;
use support::engine::{Deployer, Ecs, Engine, Kubernetes, ThisMachine};
use support::machine::{Machine, Run};
use support::parts::{Part, present};
use support::shop::Shop;

/// What each step must say, on each engine: exit code, and what `status` says afterwards.
const STORY: [(&str, i32, &str, &str); 5] = [
    ("sync", 0, "Synced", "Healthy"),
    ("sync again", 0, "Synced", "Healthy"),
    ("sync a change", 0, "Synced", "Healthy"),
    ("sync a bad change", 1, "Synced", "Healthy"),
    ("rollback", 0, "Synced", "Healthy"),
];

#[test]
fn this_machine_tells_the_story() {
    if !present("this_machine_tells_the_story", &[Part::Root, Part::Command("git")]) {
        return;
    }
    let machine = Machine::new();
    tell(&machine, &mut ThisMachine::new(&machine));
    machine.assert_nothing_is_left();
}

#[test]
fn kubernetes_tells_the_story() {
    if !present("kubernetes_tells_the_story", &[Part::Command("git"), Part::ControlPlane]) {
        return;
    }
    tell(&Machine::new(), &mut Kubernetes::shared());
}

#[test]
fn ecs_tells_the_story() {
    if !present("ecs_tells_the_story", &[Part::Command("git"), Part::Moto]) {
        return;
    }
    tell(&Machine::new(), &mut Ecs::start());
}

fn tell(machine: &Machine, engine: &mut dyn Engine) {
    let version =
        |number: &str| Version { progress_deadline_seconds: 20, ..Version::good(number).soaking_shortly() };
    let shop = Shop::new(&version("1"));
    shop.build(machine);
    let file = shop.destined(&engine.destination());
    let deployer = Deployer::new(machine, engine);
    let mut told = Vec::new();
    let mut tell = |step: &'static str, run: &Run| {
        let status = deployer.status();
        let words = |field: &str| status[field].as_str().unwrap_or("?").to_owned();
        eprintln!("{step}: {run}");
        told.push((step, run.code, words("sync"), words("health")));
    };

    tell("sync", &deployer.sync(&file));
    engine.watch();
    tell("sync again", &deployer.sync(&file));
    assert_eq!(engine.writes(), Vec::<String>::new(), "a sync of what is there writes nothing");
    shop.commit(&version("2"));
    let changed = deployer.sync(&file);
    assert_ne!(engine.writes(), Vec::<String>::new(), "writes are seen");
    tell("sync a change", &changed);
    shop.commit(&version("3").behaving("crash-at-start"));
    let bad = deployer.sync(&file);
    bad.says("did not become healthy").says("exited with code 3").says("serves");
    tell("sync a bad change", &bad);
    tell("rollback", &deployer.run(&["rollback", "shop"]));

    let expected = STORY.map(|(step, code, sync, health)| (step, code, sync.to_owned(), health.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(deployer.results(), ["healthy", "healthy", "failed", "healthy"], "in the history");
    deployer.run(&["delete", "shop"]).expect(0);
    deployer.run(&["status", "shop"]).expect(2);
}
