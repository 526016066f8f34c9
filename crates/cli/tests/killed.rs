//! Any process may be killed at any named point: the next `up` ends healthy, and `delete` leaves nothing.
//! `MINATO_KILL_ONLY=TEXT` tries only the points whose names contain the text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says so and ends"
)]

#[path = "support/base_image.rs"]
mod base_image;
#[path = "support/declared.rs"]
#[allow(dead_code, reason = "another test writes more than versions")]
mod declared;
#[path = "support/fail_points.rs"]
mod fail_points;
#[path = "support/probe.rs"]
mod probe;
#[path = "support/recovery.rs"]
mod recovery;
#[path = "support/registry.rs"]
mod registry;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base_image::BaseImage;
use declared::Declared;
use fail_points::{Order, fail_points};
use probe::Probe;
use recovery::{Victim, assert_service};
use support::application::{Application, Version};
use support::http::page;
use support::machine::{Machine, Run};
use support::parts::{Part, present};

/// So many points are tried side by side: most of the time is waiting for probes and soaks.
const SIDE_BY_SIDE: usize = 4;
/// How long it may take until something that nobody waits for comes to its point.
const PATIENCE: Duration = Duration::from_secs(20);

/// The points of engines that are not this machine: see `killed_elsewhere`; and of the registry that is served, which its
/// own crate's `killed_server` kills; copies into a folder and logins are killed by `killed_copy` there.
const ELSEWHERE: [&str; 5] = ["kubernetes.", "ecs.", "registry.serve.", "copy.", "login."];

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// `up` of a new version.
    Up,
    /// `up` of a new version that has a ConfigMap as a volume.
    UpWithSettings,
    /// `up` of a version that can't start: the one before comes back.
    UpOfBadVersion,
    /// `up` of a new version by another build of Minato.
    UpOfAnotherBuild,
    /// The application as a Git repository with an Application in it.
    Declare,
    /// `sync` of a new commit there.
    Sync,
    Rollback,
    Delete,
    /// Two builds of which the second takes the first one's name, two weeks ago.
    OldBuilds,
    /// Somebody kills the shim of a container.
    KillShim,
}

/// How to come to some points.
struct Scenario {
    /// The points' names, or what these begin with.
    points: &'static [&'static str],
    /// What is done before.
    before: &'static [Step],
    /// The step in which a process is killed.
    killed: Step,
}

/// The first that names a point is its scenario; the last one names all.
const SCENARIOS: &[Scenario] = &[
    Scenario { points: &["oci.collect."], before: &[Step::Up, Step::OldBuilds], killed: Step::Up },
    Scenario { points: &["build.", "oci.", "registry.", "workload.service."], before: &[], killed: Step::Up },
    Scenario { points: &["runtime.remove."], before: &[Step::Up], killed: Step::KillShim },
    Scenario { points: &["workload.takeover."], before: &[Step::Up], killed: Step::UpOfAnotherBuild },
    Scenario { points: &["workload.volume."], before: &[Step::Up], killed: Step::UpWithSettings },
    Scenario {
        points: &["sync.object.removed", "local.object.deleted"],
        before: &[Step::UpWithSettings],
        killed: Step::Up,
    },
    Scenario {
        points: &["sync.rollback.", "workload.rollout.failed"],
        before: &[Step::Up],
        killed: Step::UpOfBadVersion,
    },
    Scenario {
        points: &["sync.delete.", "sync.object.deleted", "workload.deletion."],
        before: &[Step::Up],
        killed: Step::Delete,
    },
    Scenario { points: &["source."], before: &[Step::Declare], killed: Step::Sync },
    Scenario { points: &["sync.conclude."], before: &[Step::Up, Step::Up], killed: Step::Rollback },
    Scenario { points: &[""], before: &[Step::Up], killed: Step::Up },
];

#[test]
fn at_each_fail_point_the_next_up_ends_healthy() {
    let test = "at_each_fail_point_the_next_up_ends_healthy";
    let needed = ["docker-registry", "skopeo", "curl", "busybox", "tar", "git"].map(Part::Command);
    if !present(test, &[&[Part::Root][..], &needed].concat()) {
        return;
    }
    if !cfg!(feature = "failpoints") {
        eprintln!("SKIPPED {test}: built without the feature failpoints");
        return;
    }
    let mut points = fail_points();
    points.retain(|point| !ELSEWHERE.iter().any(|engine| point.starts_with(engine)));
    for name in SCENARIOS.iter().flat_map(|scenario| scenario.points) {
        assert!(points.iter().any(|point| point.starts_with(name)), "no point is called {name}");
    }
    if let Ok(only) = std::env::var("MINATO_KILL_ONLY") {
        points.retain(|point| point.contains(&only));
    }
    let base = BaseImage::serve();
    let (left, failed) = (Mutex::new(points.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(point) = { left.lock().unwrap().next() } {
                    if catch_unwind(AssertUnwindSafe(|| kill_at(point, &base))).is_err() {
                        failed.lock().unwrap().push(point);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    eprintln!("{test}: {} of {} points were reached and survived", points.len() - failed.len(), points.len());
    assert!(failed.is_empty(), "not reached, or not survived: {failed:?}");
}

#[test]
fn without_its_supervisor_containers_run_on_and_are_adopted() {
    if !present("without_its_supervisor_containers_run_on_and_are_adopted", &[Part::Root]) {
        return;
    }
    let (machine, application) = (Machine::new(), Application::new(&version(1)));
    let address = machine.up(application.path());
    let before = machine.look();
    let probe = Probe::on(&address);
    kill(before.named("__supervisor")[0].id);
    machine.up(application.path());
    assert_service(&machine, Victim::Supervisor, &probe.stop(), "after `up`");
    assert_eq!(
        before.named("(/application)"),
        machine.look().named("(/application)"),
        "the same containers run"
    );
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

#[test]
fn up_waits_until_a_lost_replica_is_replaced() {
    if !present("up_waits_until_a_lost_replica_is_replaced", &[Part::Root]) {
        return;
    }
    let (machine, application) = (Machine::new(), Application::new(&version(1)));
    machine.up(application.path());
    kill(machine.look().named("__container-shim")[0].id);
    machine.up(application.path());
    machine.minato(&["status"]).expect(0);
    machine.minato(&["delete", "--all"]).expect(0);
    machine.assert_nothing_is_left();
}

/// One process dies at the point; then the next `up` must be healthy and `delete` complete.
fn kill_at(point: &str, base: &BaseImage) {
    let began = Instant::now();
    let names_point = |scenario: &&Scenario| scenario.points.iter().any(|name| point.starts_with(name));
    let scenario = SCENARIOS.iter().find(names_point).unwrap();
    let mut play = Play::new(base);
    for step in scenario.before {
        if let Some(run) = play.perform(*step) {
            run.expect(step.code());
        }
    }
    let probe = play.address.as_deref().filter(|_| scenario.killed != Step::Delete).map(Probe::on);
    play.order.give(point);
    let run = play.perform(scenario.killed);
    let limit = if run.is_none() { PATIENCE } else { Duration::ZERO };
    let victim = play.order.await_victim(limit);
    let victim =
        victim.unwrap_or_else(|| panic!("{point} was not reached by {:?}: {run:?}", scenario.killed));
    let victim = Victim::of_argument(&victim);
    play.machine.look();

    let again = if scenario.killed == Step::Sync { Step::Sync } else { Step::Up };
    play.perform(again).unwrap().expect(0);
    play.assert_serves_newest(point);
    if let Some(probe) = probe {
        assert_service(&play.machine, victim, &probe.stop(), point);
    }
    play.perform(Step::Delete).unwrap().expect(0);
    play.machine.assert_nothing_is_left();
    eprintln!("{point}: {victim:?} killed in {:?}; {:.1?}", scenario.killed, began.elapsed());
}

/// An application and what becomes of it.
struct Play {
    machine: Machine,
    order: Order,
    application: Application,
    declared: Option<Declared>,
    newest: u32,
    address: Option<String>,
}

impl Play {
    fn new(base: &BaseImage) -> Play {
        let machine = Machine::with_flags(&["--registry-mirror", &base.mirror()]);
        let (machine, order) = Order::on(machine);
        let application = Application::new(&version(0));
        application.build_on("small:1.0.0");
        Play { machine, order, application, declared: None, newest: 0, address: None }
    }

    /// `None` when it is not a command that Minato is given.
    fn perform(&mut self, step: Step) -> Option<Run> {
        let run = match step {
            Step::Up => self.up(|version| version),
            Step::UpWithSettings => self.up(Version::with_settings),
            Step::UpOfBadVersion => self.up(|version| Version { command: "/missing".into(), ..version }),
            Step::UpOfAnotherBuild => {
                self.machine.upgrade();
                self.up(|version| version)
            }
            Step::Rollback => self.machine.minato(&[Path::new("rollback"), self.application.path()]),
            Step::Delete => self.machine.minato(&["delete", "--all"]),
            Step::Declare => {
                let declared = self.declared.insert(Declared::new("shop", &version(0)));
                declared.build_image(&self.machine);
                return None;
            }
            Step::Sync => self.sync(),
            Step::OldBuilds => {
                self.build_long_ago();
                return None;
            }
            Step::KillShim => {
                kill(self.machine.look().named("__container-shim")[0].id);
                return None;
            }
        };
        self.machine.look();
        Some(run)
    }

    fn up(&mut self, change: impl Fn(Version) -> Version) -> Run {
        self.newest += 1;
        self.application.write(&change(version(self.newest)));
        let run = self.machine.minato(&[Path::new("up"), Path::new("--detach"), self.application.path()]);
        self.note_address(run)
    }

    fn sync(&mut self) -> Run {
        self.newest += 1;
        let declared = self.declared.as_ref().unwrap();
        declared.commit(&version(self.newest));
        let run = self.machine.minato(&[Path::new("sync"), Path::new("-f"), &declared.file()]);
        self.note_address(run)
    }

    fn note_address(&mut self, run: Run) -> Run {
        if run.code == 0 {
            self.address = Some(run.address());
        }
        run
    }

    fn build_long_ago(&self) {
        let other = Application::new(&version(0));
        for content in ["first", "second"] {
            std::fs::write(other.path().join("application"), content).unwrap();
            let build = [Path::new("build"), Path::new("--tag"), Path::new("other"), other.path()];
            self.machine.minato(&build).expect(0);
        }
        // Blobs and the descriptions of layers; nothing of what is in a layer.
        let files = ["-mindepth", "3", "-maxdepth", "3", "-type", "f"];
        let touch = ["-exec", "touch", "--no-dereference", "--date", "2 weeks ago", "{}", "+"];
        let store = self.machine.data().join("store");
        assert!(Command::new("find").arg(store).args(files).args(touch).status().unwrap().success());
    }

    fn assert_serves_newest(&self, what: &str) {
        let body = page(self.address.as_deref().unwrap(), "/");
        assert!(body.contains(&format!("version={} ", self.newest)), "{what}: {body}");
    }
}

impl Step {
    /// The exit code when nobody is killed.
    fn code(self) -> i32 {
        i32::from(self == Step::UpOfBadVersion)
    }
}

fn version(number: u32) -> Version {
    Version::good(&number.to_string()).soaking_shortly()
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}
