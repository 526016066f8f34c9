//! Stories of replicas, told with a clock that only the test moves.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::testing::{container, pod};
use super::*;
use crate::decide::health::Answer;
use crate::spec::{Condition, Container, DependsOn, Hook, Probe, ProbeAction, Restart};
use crate::status::Exit;

/// A replica and its clock.
struct Story {
    pod: Pod,
    life: PodLife,
    now: Moment,
}

impl Story {
    fn new(init: Vec<Container>, containers: Vec<Container>) -> Story {
        let pod = pod(init, containers);
        Story { life: PodLife::new(&pod), pod, now: Moment(1_000_000) }
    }

    fn index(&self, name: &str) -> usize {
        self.pod.all_containers().position(|container| container.name == name).unwrap()
    }

    fn word(&self, action: PodAction) -> String {
        let name = |index: usize| self.pod.all_containers().nth(index).unwrap().name.clone();
        match action {
            PodAction::Start { container, .. } => format!("start {}", name(container)),
            PodAction::Probe { container, kind } => format!("{} {}", kind.name(), name(container)),
            PodAction::PostStart { container } => format!("postStart {}", name(container)),
            PodAction::PreStop { container } => format!("preStop {}", name(container)),
            PodAction::Signal { container } => format!("signal {}", name(container)),
            PodAction::Kill { container } => format!("kill {}", name(container)),
        }
    }

    /// What is to be done now.
    fn step(&mut self) -> String {
        let actions = next_step(&self.pod, &mut self.life, self.now);
        let words: Vec<String> = actions.into_iter().map(|action| self.word(action)).collect();
        words.join(", ")
    }

    fn after(&mut self, seconds: u32) -> String {
        self.now = self.now.plus_seconds(seconds);
        self.step()
    }

    fn started(&mut self, name: &str) -> String {
        let index = self.index(name);
        let action = self.life.started(&self.pod, index, 7, self.now);
        let first = action.map(|action| self.word(action));
        let rest = self.step();
        first.into_iter().chain((!rest.is_empty()).then_some(rest)).collect::<Vec<_>>().join(", ")
    }

    fn exited(&mut self, name: &str, code: i32) -> String {
        let exit = Exit { code: Some(code), signal: None, out_of_memory: false, at: self.now };
        let index = self.index(name);
        self.life.exited(&self.pod, index, exit, self.now);
        self.step()
    }

    fn phase(&self) -> PodPhase {
        self.life.phase(&self.pod)
    }
}

fn after(name: &str, on: &str, condition: Condition) -> Container {
    let depends_on = vec![DependsOn { container: on.to_owned(), condition }];
    Container { depends_on, restart: Restart::Never, essential: true, ..container(name) }
}

#[test]
fn init_containers_run_one_by_one_and_sidecars_stay() {
    let sidecar = Container { sidecar: true, ..container("proxy") };
    let mut story =
        Story::new(vec![container("migrate"), sidecar, container("seed")], vec![container("web")]);
    assert_eq!(story.step(), "start migrate");
    assert_eq!(story.started("migrate"), "");
    assert_eq!(story.phase(), PodPhase::Starting);
    assert_eq!(story.exited("migrate", 0), "start proxy");
    assert_eq!(story.started("proxy"), "start seed");
    assert_eq!(story.started("seed"), "");
    assert_eq!(story.exited("seed", 0), "start web");
    assert_eq!(story.started("web"), "");
    assert_eq!(story.phase(), PodPhase::Running);
    assert!(story.life.is_ready(&story.pod));
}

#[test]
fn a_failed_init_container_is_tried_again_with_back_off() {
    let mut story = Story::new(vec![container("migrate")], vec![container("web")]);
    story.step();
    story.started("migrate");
    assert_eq!(story.exited("migrate", 1), "");
    assert_eq!(story.after(1), "start migrate", "the first retry is quick");
    story.started("migrate");
    assert_eq!(story.exited("migrate", 1), "");
    assert_eq!(story.after(9), "");
    assert_eq!(story.after(1), "start migrate");
    assert_eq!(story.life.failures(), 2);
}

#[test]
fn an_init_container_that_is_never_restarted_fails_the_replica() {
    let migrate = Container { restart: Restart::Never, ..container("migrate") };
    let mut story = Story::new(vec![migrate], vec![container("web")]);
    story.step();
    story.started("migrate");
    assert_eq!(story.exited("migrate", 1), "");
    assert_eq!(story.phase(), PodPhase::Ended { well: false });
}

#[test]
fn a_crashing_container_restarts_at_growing_distance() {
    let mut story = Story::new(Vec::new(), vec![container("web")]);
    story.step();
    for wait in [1, 10, 20, 40] {
        story.started("web");
        assert_eq!(story.exited("web", 1), "");
        assert_eq!(wake(&story.pod, &story.life), Some(story.now.plus_seconds(wait)));
        assert_eq!(story.after(wait), "start web");
    }
    assert_eq!(story.life.restarts(), 4);
}

#[test]
fn a_crash_loop_is_several_failed_runs_in_a_row() {
    for code in [0, 1] {
        let mut story = Story::new(Vec::new(), vec![container("web")]);
        story.step();
        for (wait, loops) in [(1, false), (10, false), (20, false), (40, true), (80, true)] {
            story.started("web");
            story.exited("web", code);
            assert_eq!(story.life.crash_loops(), loops, "exit code {code}, before waiting {wait} s");
            story.after(wait);
        }
        story.started("web");
        story.after(600);
        story.exited("web", code);
        assert!(!story.life.crash_loops(), "it ran well for ten minutes");
    }
}

#[test]
fn depends_on_holds_containers_back_until_its_condition() {
    let once = Container { restart: Restart::Never, ..container("setup") };
    let db = Container { readiness: Some(Probe::default()), restart: Restart::Never, ..container("db") };
    let mut web = after("web", "setup", Condition::Success);
    web.depends_on.push(DependsOn { container: "db".to_owned(), condition: Condition::Healthy });
    let mut story = Story::new(Vec::new(), vec![web, once, db]);
    assert_eq!(story.step(), "start setup, start db");
    assert_eq!(story.started("db"), "readiness db");
    story.started("setup");
    assert_eq!(story.exited("setup", 0), "", "the database is not healthy yet");
    let yes = Answer { passed: true, question: String::new(), text: String::new() };
    let db = story.index("db");
    story.life.probed(&story.pod, db, ProbeKind::Readiness, &yes, story.now);
    assert_eq!(story.step(), "start web");
}

#[test]
fn a_dependency_that_can_not_come_true_fails_the_replica_with_a_reason() {
    let setup = Container { restart: Restart::Never, ..container("setup") };
    let mut story = Story::new(Vec::new(), vec![setup, after("web", "setup", Condition::Success)]);
    story.step();
    story.started("setup");
    story.exited("setup", 1);
    story.step();
    assert_eq!(story.phase(), PodPhase::Ended { well: false });
    assert!(matches!(story.life.trouble.as_ref().unwrap().kind, TroubleKind::Dependency(_)));
}

#[test]
fn an_essential_exit_stops_the_whole_pod() {
    let main = Container { restart: Restart::Never, essential: true, ..container("main") };
    let log = Container { restart: Restart::Never, ..container("log") };
    let mut story = Story::new(Vec::new(), vec![main, log]);
    story.step();
    story.started("main");
    story.started("log");
    assert_eq!(story.exited("main", 1), "signal log");
    assert_eq!(story.phase(), PodPhase::Stopping);
    assert_eq!(story.after(30), "kill log");
    story.exited("log", 137);
    assert_eq!(story.phase(), PodPhase::Ended { well: false });
}

#[test]
fn a_task_whose_containers_all_end_well_has_ended_well() {
    let once = |name: &str| Container { restart: Restart::OnFailure, ..container(name) };
    let mut story = Story::new(Vec::new(), vec![once("a"), once("b")]);
    story.step();
    story.started("a");
    story.started("b");
    story.exited("a", 0);
    assert_eq!(story.exited("b", 2), "");
    assert_eq!(story.after(1), "start b");
    story.started("b");
    story.exited("b", 0);
    assert_eq!(story.phase(), PodPhase::Ended { well: true });
}

#[test]
fn the_end_is_drain_then_hook_then_signal_then_kill() {
    let hook = Some(Hook { action: ProbeAction::None, sleep_seconds: 5 });
    let mut story = Story::new(Vec::new(), vec![Container { pre_stop: hook, ..container("web") }]);
    story.step();
    story.started("web");
    story.life.stop(story.now.plus_seconds(30));
    assert_eq!(story.step(), "", "requests are in flight");
    assert!(!story.life.is_ready(&story.pod));
    story.life.drained();
    assert_eq!(story.step(), "preStop web");
    assert_eq!(story.life.pre_stop_done(0), Some(PodAction::Signal { container: 0 }));
    assert_eq!(story.after(29), "");
    assert_eq!(story.after(1), "kill web");
    assert_eq!(story.exited("web", 137), "");
    assert!(story.phase().is_over());
}

#[test]
fn a_hook_that_hangs_gets_no_more_than_the_grace() {
    let hook = Some(Hook { action: ProbeAction::None, sleep_seconds: 500 });
    let mut story = Story::new(Vec::new(), vec![Container { pre_stop: hook, ..container("web") }]);
    story.step();
    story.started("web");
    story.life.stop(story.now);
    assert_eq!(story.step(), "preStop web");
    assert_eq!(story.after(30), "signal web");
    assert_eq!(story.after(2), "kill web");
}

#[test]
fn sidecars_and_dependencies_end_last() {
    let sidecar = Container { sidecar: true, ..container("proxy") };
    let mut story = Story::new(vec![sidecar], vec![container("db"), after("web", "db", Condition::Started)]);
    story.step();
    story.started("proxy");
    story.started("db");
    story.started("web");
    story.life.stop(story.now);
    assert_eq!(story.step(), "signal web");
    assert_eq!(story.exited("web", 0), "signal db");
    assert_eq!(story.exited("db", 0), "signal proxy");
    story.exited("proxy", 0);
    assert!(story.phase().is_over());
}

#[test]
fn a_failed_liveness_probe_restarts_the_container() {
    let probe = Probe { failure_threshold: 1, ..Probe::default() };
    let never = Container { liveness: Some(probe.clone()), restart: Restart::Never, ..container("web") };
    for (container, again) in
        [(never, false), (Container { liveness: Some(probe), ..container("web") }, true)]
    {
        let mut story = Story::new(Vec::new(), vec![container]);
        story.step();
        assert_eq!(story.started("web"), "liveness web");
        let no = Answer { passed: false, question: "GET /".to_owned(), text: "500".to_owned() };
        let action = story.life.probed(&story.pod, 0, ProbeKind::Liveness, &no, story.now);
        assert_eq!(action, Some(PodAction::Signal { container: 0 }));
        assert!(!story.life.is_ready(&story.pod));
        story.exited("web", 0);
        assert_eq!(story.after(1) == "start web", again);
        assert_eq!(story.phase().is_over(), !again);
        assert!(matches!(story.life.trouble.as_ref().unwrap().kind, TroubleKind::Probe(_)));
    }
}

#[test]
fn a_container_is_not_ready_before_its_post_start_hook_ended() {
    let hook = Some(Hook { action: ProbeAction::None, sleep_seconds: 0 });
    let mut story = Story::new(Vec::new(), vec![Container { post_start: hook, ..container("web") }]);
    story.step();
    assert_eq!(story.started("web"), "postStart web");
    assert!(!story.life.is_ready(&story.pod));
    assert_eq!(story.life.post_start_done(&story.pod, 0, Ok(()), story.now), None);
    assert!(story.life.is_ready(&story.pod));
}

#[test]
fn a_missing_command_is_hopeless_at_once() {
    let mut story = Story::new(Vec::new(), vec![container("web")]);
    story.step();
    story.life.not_started(&story.pod, 0, "command \"/app\" was not found".to_owned(), true, story.now);
    assert!(story.life.hopeless);
    story.step();
    assert_eq!(story.phase(), PodPhase::Ended { well: false });
}

proptest! {
    /// Whatever happens to three containers, a replica that is asked to end does end, kills each at most once, and
    /// starts nothing any more.
    #[test]
    fn every_replica_comes_to_its_end(events in proptest::collection::vec((0usize..3, 0u8..5, 0u32..40), 0..40)) {
        let sidecar = Container { sidecar: true, ..container("proxy") };
        let mut story = Story::new(vec![sidecar], vec![container("db"), after("web", "db", Condition::Started)]);
        let mut starting: BTreeSet<usize> = BTreeSet::new();
        let begin = |story: &mut Story, starting: &mut BTreeSet<usize>| {
            let mut killed = 0;
            for action in next_step(&story.pod, &mut story.life, story.now) {
                match action {
                    PodAction::Start { container, .. } => assert!(starting.insert(container), "started twice"),
                    PodAction::Kill { container } => {
                        killed += 1;
                        let exit = Exit { code: None, signal: Some(9), out_of_memory: false, at: story.now };
                        story.life.exited(&story.pod, container, exit, story.now);
                    }
                    _ => {}
                }
            }
            killed
        };
        begin(&mut story, &mut starting);
        for (index, what, wait) in events {
            story.now = story.now.plus_seconds(wait);
            let exit = Exit { code: Some(i32::from(what)), signal: None, out_of_memory: false, at: story.now };
            if starting.remove(&index) {
                if what == 4 {
                    story.life.not_started(&story.pod, index, "no".to_owned(), false, story.now);
                } else {
                    story.life.started(&story.pod, index, 1, story.now);
                }
            } else if story.life.containers[index].stage.is_alive() {
                story.life.exited(&story.pod, index, exit, story.now);
            }
            begin(&mut story, &mut starting);
        }
        story.life.stop(story.now.plus_seconds(5));
        let mut killed = 0;
        for _ in 0..20 {
            let before = starting.clone();
            killed += begin(&mut story, &mut starting);
            prop_assert_eq!(&starting, &before, "nothing is started any more");
            for index in std::mem::take(&mut starting) {
                story.life.started(&story.pod, index, 1, story.now);
            }
            story.now = story.now.plus_seconds(31);
        }
        prop_assert!(story.phase().is_over());
        prop_assert!(killed <= 3);
    }
}
