//! `examples/node`, the classic: its base image comes from a registry on loopback, and nothing needs the network.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/registry.rs"]
mod registry;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use registry::Registry;
use support::http::page;
use support::machine::Machine;
use support::parts::{Part, node_base_image, present, repository};

#[test]
fn three_replicas_serve_with_the_local_secret() {
    if !present("three_replicas_serve_with_the_local_secret", &[Part::Root, Part::NodeBaseImage]) {
        return;
    }
    let registry = Registry::serve(&node_base_image().unwrap());
    let machine = Machine::with_flags(&["--registry-mirror", &registry.mirror("docker.io")]);
    let folder = copy_of_node();

    let run = machine.minato(&[Path::new("up"), Path::new("--detach"), folder.path()]);
    machine.look();
    run.expect(0).says("HorizontalPodAutoscaler");
    assert!(!run.stderr.contains(SECRET) && !run.stdout.contains(SECRET), "the secret was printed: {run}");
    let answers: Vec<String> = (0..30).map(|_| page(&run.address(), "/")).collect();
    assert!(answers.iter().all(|answer| answer.contains("\"database\":\"localhost:5432\"")), "{answers:?}");
    let hosts: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.split("\"hostname\":\"").nth(1).unwrap().split('"').next())
        .collect();
    assert_eq!(hosts.len(), 3, "each replica answers: {hosts:?}");

    let exec = machine.minato(&["exec", "myapp", "--", "id"]);
    assert!(exec.expect(0).stdout.contains("uid=1001"), "{exec}");
    let again = machine.minato(&[Path::new("up"), Path::new("--detach"), folder.path()]);
    again.expect(0);
    eprintln!("up of examples/node: {:?}; with nothing to do: {:?}", run.took, again.took);
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn the_task_definition_runs_too() {
    if !present("the_task_definition_runs_too", &[Part::Root, Part::NodeBaseImage]) {
        return;
    }
    let registry = Registry::serve(&node_base_image().unwrap());
    let machine = Machine::with_flags(&["--registry-mirror", &registry.mirror("docker.io")]);
    let folder = copy_of_node();
    let document = folder.path().join("ecs-task-definition.json");
    let up = [Path::new("up"), Path::new("--detach"), Path::new("--app"), &document, folder.path()];
    let run = machine.minato(&up);
    machine.look();
    run.expect(0).says("awslogs");
    assert!(page(&run.address(), "/").contains("\"database\":\"localhost:5432\""));
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn a_missing_secret_is_an_error_that_says_how_to_give_it() {
    if !present("a_missing_secret_is_an_error_that_says_how_to_give_it", &[Part::Root, Part::NodeBaseImage]) {
        return;
    }
    let registry = Registry::serve(&node_base_image().unwrap());
    let machine = Machine::with_flags(&["--registry-mirror", &registry.mirror("docker.io")]);
    let folder = copy_of_node();
    fs::write(folder.path().join("local-secrets.env"), "").unwrap();
    let run = machine.minato(&[Path::new("up"), Path::new("--detach"), folder.path()]);
    run.expect(2).says("DATABASE_URL").says("myapp-secrets").says("env_file").says("deployment.yaml:");
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

/// Part of the example's local secret.
const SECRET: &str = "not-a-real-password";

fn copy_of_node() -> tempfile::TempDir {
    let copy = tempfile::Builder::new().prefix("node-").tempdir().unwrap();
    let example = repository().join("examples/node");
    let copied = Command::new("cp").arg("-a").arg(example.join(".")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    copy
}
