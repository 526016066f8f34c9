//! Minato may be killed at any named point while it deploys to Kubernetes or Amazon ECS: the next `sync` ends healthy, and
//! `delete` leaves nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says so and ends"
)]

#[path = "support/fail_points.rs"]
mod fail_points;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fail_points::{Order, fail_points};
use support::application::Version;
use support::engine::{Deployer, Ecs, Engine, Kubernetes};
use support::machine::{Machine, Run};
use support::parts::{Part, present};
use support::shop::Shop;

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// `sync` of a new version.
    Sync,
    /// `sync` of a first version that crashes.
    SyncOfBadVersion,
    /// `sync` of a first version beside which a Job fails.
    SyncOfBadJob,
    /// Somebody applies the manifests with kubectl.
    Kubectl,
    /// `sync` of the same commit.
    SyncAgain,
    Delete,
}

/// How to come to a point.
struct Scenario {
    point: &'static str,
    /// What is done before.
    before: Option<Step>,
    /// The step in which the command is killed.
    killed: Step,
}

const fn scenario(point: &'static str, before: Option<Step>, killed: Step) -> Scenario {
    Scenario { point, before, killed }
}

const KUBERNETES: [Scenario; 6] = [
    scenario("kubernetes.namespace.created", None, Step::Sync),
    scenario("kubernetes.object.applied", Some(Step::Sync), Step::Sync),
    scenario("kubernetes.object.adopted", Some(Step::Kubectl), Step::Sync),
    scenario("kubernetes.object.restarted", Some(Step::SyncOfBadVersion), Step::SyncAgain),
    scenario("kubernetes.object.cleared", Some(Step::SyncOfBadJob), Step::SyncAgain),
    scenario("kubernetes.object.deleting", Some(Step::Sync), Step::Delete),
];

const ECS: [Scenario; 4] = [
    scenario("ecs.task_definition.registered", Some(Step::Sync), Step::Sync),
    scenario("ecs.service.created", None, Step::Sync),
    scenario("ecs.service.updated", Some(Step::Sync), Step::Sync),
    scenario("ecs.service.deleted", Some(Step::Sync), Step::Delete),
];

#[test]
fn at_each_fail_point_on_kubernetes_the_next_sync_ends_healthy() {
    let test = "at_each_fail_point_on_kubernetes_the_next_sync_ends_healthy";
    if !can_run(test, Part::ControlPlane) {
        return;
    }
    expect_all("kubernetes.", &KUBERNETES);
    let engine = Kubernetes::shared();
    for (number, scenario) in KUBERNETES.iter().enumerate() {
        let namespace = format!("killed-{number}");
        kill_at(scenario, &engine, &namespace, &|manifests| {
            engine.plane.kubectl(&["create", "namespace", &namespace]);
            let file = manifests.to_str().unwrap();
            engine.plane.kubectl(&["apply", "--namespace", &namespace, "--filename", file]);
        });
        let left = engine.plane.kubectl(&[
            "get",
            "deployments,services,jobs",
            "--namespace",
            &namespace,
            "-o",
            "name",
        ]);
        assert_eq!(left, "", "{}", scenario.point);
    }
}

#[test]
fn at_each_fail_point_on_ecs_the_next_sync_ends_healthy() {
    let test = "at_each_fail_point_on_ecs_the_next_sync_ends_healthy";
    if !can_run(test, Part::Moto) {
        return;
    }
    expect_all("ecs.", &ECS);
    let engine = Ecs::start();
    for scenario in &ECS {
        kill_at(scenario, &engine, "shop", &|_| ());
        assert_ne!(engine.aws.service("shop")["status"], "ACTIVE", "{}", scenario.point);
    }
}

fn can_run(test: &str, engine: Part) -> bool {
    if !cfg!(feature = "failpoints") {
        eprintln!("SKIPPED {test}: built without the feature failpoints");
        return false;
    }
    present(test, &[Part::Command("git"), engine])
}

/// Every point of the engine has its scenario.
fn expect_all(engine: &str, scenarios: &[Scenario]) {
    let there: BTreeSet<String> =
        fail_points().into_iter().filter(|point| point.starts_with(engine)).collect();
    assert_eq!(there, scenarios.iter().map(|scenario| scenario.point.to_owned()).collect());
}

fn kill_at(scenario: &Scenario, engine: &dyn Engine, namespace: &str, kubectl: &dyn Fn(&Path)) {
    let (machine, order) = Order::on(Machine::new());
    let mut play = Play::new(Deployer::new(&machine, engine), &engine.destination(), namespace);
    match scenario.before {
        Some(Step::Kubectl) => kubectl(&play.shop.repository().join("k8s")),
        Some(before) => {
            play.perform(before).expect(before.code());
        }
        None => {}
    }
    order.give(scenario.point);
    let run = play.perform(scenario.killed);
    let victim = order.await_victim(Duration::ZERO);
    assert!(victim.is_some(), "{} was not reached by {:?}: {run}", scenario.point, scenario.killed);

    play.perform(Step::Sync).expect(0);
    assert_eq!(play.deployer.status()["health"], "Healthy", "{}", scenario.point);
    play.perform(Step::Delete).expect(0);
    eprintln!("{}: killed in {:?}", scenario.point, scenario.killed);
}

/// An Application and what becomes of it.
struct Play<'a> {
    deployer: Deployer<'a>,
    shop: Shop,
    file: PathBuf,
    newest: u32,
}

impl<'a> Play<'a> {
    fn new(deployer: Deployer<'a>, destination: &str, namespace: &str) -> Play<'a> {
        let shop = Shop::new(&version(0));
        let text =
            shop.application(destination).replace("namespace: shop}", &format!("namespace: {namespace}}}"));
        let file = shop.written("application.yaml", &text);
        Play { deployer, shop, file, newest: 0 }
    }

    fn perform(&mut self, step: Step) -> Run {
        self.newest += 1;
        let job = self.shop.repository().join(JOB_FILE);
        match step {
            Step::Sync => {
                // Without the Job, if there was one.
                let _ = std::fs::remove_file(job);
                self.shop.commit(&version(self.newest));
            }
            Step::SyncOfBadVersion => {
                self.shop.commit(&version(self.newest).behaving("crash-at-start"));
            }
            Step::SyncOfBadJob => {
                self.shop.commit_file(JOB_FILE, JOB);
            }
            Step::SyncAgain | Step::Kubectl => {}
            Step::Delete => return self.deployer.run(&["delete", "shop"]),
        }
        self.deployer.sync(&self.file)
    }
}

impl Step {
    /// The exit code when nobody is killed.
    fn code(self) -> i32 {
        i32::from(matches!(self, Step::SyncOfBadVersion | Step::SyncOfBadJob))
    }
}

fn version(number: u32) -> Version {
    Version { progress_deadline_seconds: 20, ..Version::good(&number.to_string()).soaking_shortly() }
}

const JOB_FILE: &str = "k8s/job.yaml";

const JOB: &str = r#"apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: example/shop:1.0.0
          env: [{name: BEHAVIOUR, value: crash-at-start}]
          resources:
            requests: {cpu: 50m, memory: 32Mi}
            limits: {cpu: 100m, memory: 32Mi}
"#;
