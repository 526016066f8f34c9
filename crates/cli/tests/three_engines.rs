//! One Application, of which only the destination changes, on this machine, on Kubernetes and on Amazon ECS: the same
//! commands have the same exit codes and the same words for the same states.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;

use support::application::Version;
use support::engine::{Deployer, Ecs, Engine, Kubernetes, ThisMachine};
use support::machine::{Machine, Run};
use support::parts::{Part, present};
use support::shop::Shop;

/// What each step must say, on each engine: its exit code, what `status` says of the whole and of each object afterwards,
/// and the exit code of `diff`.
const STORY: [(&str, i32, &str, &str, i32); 7] = [
    ("sync", 0, "Synced Healthy", "Synced Healthy", 0),
    ("sync again", 0, "Synced Healthy", "Synced Healthy", 0),
    ("sync a change", 0, "Synced Healthy", "Synced Healthy", 0),
    ("sync a bad change", 1, "Synced Healthy", "Synced Healthy", 1),
    ("rollback", 0, "Synced Healthy", "Synced Healthy", 1),
    ("sync a bad change that stays", 1, "Synced Degraded", "Synced Degraded, Synced Healthy", 0),
    ("sync a good one", 0, "Synced Healthy", "Synced Healthy", 0),
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
        eprintln!("{step}: {run}");
        let status = deployer.status();
        let objects: BTreeSet<String> = status["objects"].as_array().unwrap().iter().map(words).collect();
        let objects: Vec<String> = objects.into_iter().collect();
        let diff = deployer.run(&["diff", "shop"]);
        told.push((step, run.code, words(&status), objects.join(", "), diff.code));
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

    shop.commit(&version("4").behaving("crash-at-start"));
    let stays = text_without_rollback(&shop.application(&engine.destination()));
    tell("sync a bad change that stays", &deployer.sync(&shop.written("application.yaml", &stays)));
    shop.commit(&version("5"));
    tell("sync a good one", &deployer.sync(&file));

    let expected = STORY
        .map(|(step, code, whole, objects, diff)| (step, code, whole.to_owned(), objects.to_owned(), diff));
    assert_eq!(told, expected);
    let results = ["healthy", "healthy", "failed", "healthy", "failed", "healthy"];
    assert_eq!(deployer.results(), results, "in the history");
    deployer.run(&["delete", "shop"]).expect(0);
    deployer.run(&["status", "shop"]).expect(2);
}

/// Of an application or one of its objects: `Synced Healthy`.
fn words(of: &Value) -> String {
    ["sync", "health"].map(|field| of[field].as_str().unwrap_or("?")).join(" ")
}

fn text_without_rollback(application: &str) -> String {
    application.replacen("metadata:\n", "metadata:\n  annotations: {minato.dev/rollback: \"off\"}\n", 1)
}
