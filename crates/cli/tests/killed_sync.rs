//! `sync` may be killed while it copies a repository: the next one ends well, and nothing is left half-done.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

#[path = "support/fail_points.rs"]
mod fail_points;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fail_points::{Order, fail_points};
use support::machine::Machine;
use support::parts::{Part, present};

const APPLICATION: &str = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop}
spec:
  source: {repoURL: ., targetRevision: main, path: k8s}
  destination: {server: 'local://'}
";

#[test]
fn at_each_point_of_a_copy_the_next_sync_ends_well() {
    let test = "at_each_point_of_a_copy_the_next_sync_ends_well";
    if !present(test, &[Part::Command("git")]) {
        return;
    }
    if !cfg!(feature = "failpoints") {
        eprintln!("SKIPPED {test}: built without the feature failpoints");
        return;
    }
    let points: Vec<String> =
        fail_points().into_iter().filter(|point| point.starts_with("source.")).collect();
    assert!(!points.is_empty());
    points.iter().for_each(|point| kill_at(point));
}

fn kill_at(point: &str) {
    let (machine, order) = Order::on(Machine::new());
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let status = Command::new("git").args(identity).args(arguments).current_dir(folder.path()).status();
        assert!(status.unwrap().success(), "git {arguments:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    fs::create_dir(folder.path().join("k8s")).unwrap();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    fs::write(folder.path().join("k8s/a.yaml"), object).unwrap();
    let file = folder.path().join("application.yaml");
    fs::write(&file, APPLICATION).unwrap();
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "one"]);

    let sync = || machine.minato(&[Path::new("sync"), Path::new("-f"), &file]);
    order.give(point);
    let killed = sync();
    assert!(order.await_victim(Duration::from_secs(5)).is_some(), "{point} was not reached: {killed}");
    sync().expect(0);
    machine.minato(&["status", "shop"]).expect(0).says("ConfigMap a");
    let left: Vec<_> = fs::read_dir(machine.data().join("sources")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{point}: a copy and its lock: {left:?}");
    machine.minato(&["delete", "shop"]).expect(0);
}
