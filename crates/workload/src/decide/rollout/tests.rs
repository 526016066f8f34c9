//! Rollouts played on a simulated machine: replicas start, become ready, crash and end as each case says.

use proptest::prelude::{ProptestConfig, Strategy as Generate, any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::decide::pod::testing::workload;
use crate::spec::Strategy;

/// How replicas of a revision behave, in milliseconds after their creation.
#[derive(Debug, Clone, Copy)]
struct Behaviour {
    ready_after: Option<u64>,
    /// Ready no more after this.
    unready_after: Option<u64>,
    /// A failed run each time this passes.
    crash_every: Option<u64>,
    hopeless: bool,
}

const GOOD: Behaviour =
    Behaviour { ready_after: Some(3000), unready_after: None, crash_every: None, hopeless: false };
const NEVER_READY: Behaviour = Behaviour { ready_after: None, ..GOOD };
const CRASHES: Behaviour = Behaviour { ready_after: None, crash_every: Some(500), ..GOOD };
const READY_THEN_NOT: Behaviour = Behaviour { unready_after: Some(8000), ..GOOD };
const MISSING_COMMAND: Behaviour = Behaviour { ready_after: None, hopeless: true, ..GOOD };

#[derive(Debug, Clone)]
struct Replica {
    view: ReplicaView,
    revision: u32,
    gone_at: Option<u64>,
}

/// One workload on a machine whose time only `tick` moves.
struct Machine {
    wanted: Workload,
    revision: u32,
    stable: u32,
    state: RolloutState,
    behaviours: Vec<Behaviour>,
    replicas: Vec<Replica>,
    now: u64,
    made: u32,
    failed: Option<Failing>,
    least_serving: usize,
    most_alive: usize,
    traffic_to: Vec<u32>,
    stopped_serving_stable: u32,
}

impl Machine {
    /// Revision 0 runs healthily with that many replicas.
    fn healthy(wanted: Workload) -> Machine {
        let mut machine = Machine {
            state: RolloutState::new(Moment(0), false),
            wanted,
            revision: 0,
            stable: 0,
            behaviours: vec![GOOD],
            replicas: Vec::new(),
            now: 0,
            made: 0,
            failed: None,
            least_serving: usize::MAX,
            most_alive: 0,
            traffic_to: Vec::new(),
            stopped_serving_stable: 0,
        };
        machine.run(30);
        assert_eq!(machine.state.verdict, Verdict::Healthy);
        machine.reset_watch();
        machine
    }

    fn reset_watch(&mut self) {
        (self.least_serving, self.most_alive, self.stopped_serving_stable) = (usize::MAX, 0, 0);
        self.traffic_to.clear();
    }

    fn update(&mut self, behaviour: Behaviour) {
        self.behaviours.push(behaviour);
        self.stable = self.revision;
        self.revision = self.behaviours.len() as u32 - 1;
        self.state = RolloutState::new(Moment(self.now), false);
        self.reset_watch();
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += 250;
        self.live();
        self.replicas.retain(|replica| replica.gone_at.is_none_or(|at| at > self.now));
        let views: Vec<ReplicaView> = self
            .replicas
            .iter()
            .map(|replica| ReplicaView { current: replica.revision == self.revision, ..replica.view.clone() })
            .collect();
        let decision = next_step(&self.wanted, &self.state, &views, Moment(self.now));
        self.state = decision.state;
        for action in decision.actions {
            self.perform(action);
        }
        if let Some(failing) = decision.failing {
            self.failed = Some(failing);
            if self.revision != self.stable {
                self.revision = self.stable;
                self.state =
                    RolloutState { verdict: Verdict::Failed, ..RolloutState::new(Moment(self.now), true) };
            }
        }
        self.watch();
    }

    fn live(&mut self) {
        for replica in &mut self.replicas {
            let behaviour = self.behaviours[replica.revision as usize];
            let age = self.now - replica.view.created.0;
            let view = &mut replica.view;
            view.hopeless = behaviour.hopeless;
            if let Some(every) = behaviour.crash_every {
                view.failures = (age / every) as u32;
            }
            let ready = behaviour.ready_after.is_some_and(|after| age >= after)
                && behaviour.unready_after.is_none_or(|after| age < after)
                && !view.stopping;
            if ready && view.ready_since.is_none() {
                view.ready_since = Some(Moment(self.now));
            } else if !ready && view.ready_since.take().is_some() && !view.stopping {
                view.lost_ready += 1;
                view.lost_ready_at = Some(Moment(self.now));
            }
        }
    }

    fn perform(&mut self, action: ReplicaAction) {
        match action {
            ReplicaAction::Create => {
                self.made += 1;
                let view = ReplicaView {
                    id: format!("r{}", self.made),
                    current: true,
                    admitted: false,
                    ready_since: None,
                    lost_ready: 0,
                    lost_ready_at: None,
                    failures: 0,
                    hopeless: false,
                    stopping: false,
                    finished: None,
                    created: Moment(self.now),
                };
                self.replicas.push(Replica { view, revision: self.revision, gone_at: None });
            }
            ReplicaAction::Admit(id) => self.replica(&id).view.admitted = true,
            ReplicaAction::Stop(id) => {
                let (now, stable) = (self.now, self.stable);
                let replica = self.replica(&id);
                assert!(!replica.view.stopping, "stopped twice");
                let lost = u32::from(replica.revision == stable && replica.view.serves());
                replica.view.stopping = true;
                replica.gone_at = Some(now + 1000);
                self.stopped_serving_stable += lost;
            }
        }
    }

    fn replica(&mut self, id: &str) -> &mut Replica {
        self.replicas.iter_mut().find(|replica| replica.view.id == id).expect("an action names a replica")
    }

    fn serving(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| replica.view.serves() && !replica.view.stopping)
    }

    fn watch(&mut self) {
        self.least_serving = self.least_serving.min(self.serving().count());
        self.most_alive =
            self.most_alive.max(self.replicas.iter().filter(|replica| !replica.view.stopping).count());
        let to: Vec<u32> = self.serving().map(|replica| replica.revision).collect();
        self.traffic_to.extend(to);
        self.traffic_to.sort_unstable();
        self.traffic_to.dedup();
    }

    fn revisions_alive(&self) -> Vec<u32> {
        let mut revisions: Vec<u32> = self.replicas.iter().map(|replica| replica.revision).collect();
        revisions.sort_unstable();
        revisions
    }
}

#[test]
fn a_first_rollout_needs_no_soak() {
    let machine = Machine::healthy(workload(3, 1, 0));
    assert_eq!(machine.revisions_alive(), [0, 0, 0]);
    assert_eq!(machine.now, 30_000);
    let mut quick = Machine { now: 0, replicas: Vec::new(), ..Machine::healthy(workload(3, 1, 0)) };
    quick.state = RolloutState::new(Moment(0), false);
    quick.run(4);
    assert_eq!(quick.state.verdict, Verdict::Healthy);
}

#[test]
fn a_good_version_takes_over_after_its_soak() {
    let mut machine = Machine::healthy(workload(3, 1, 0));
    machine.update(GOOD);
    machine.run(12);
    assert_eq!(machine.revisions_alive(), [0, 0, 0, 1], "one scout, and nobody was touched");
    assert_eq!(machine.traffic_to, [0], "the scout gets no traffic");
    machine.run(30);
    assert_eq!(machine.revisions_alive(), [1, 1, 1]);
    assert_eq!(machine.state.verdict, Verdict::Healthy);
    assert!(machine.least_serving >= 3, "never fewer than wanted");
    assert_eq!(machine.most_alive, 4);
}

#[test]
fn a_bad_version_never_gets_traffic_and_no_old_replica_is_touched() {
    let cases = [
        (NEVER_READY, "Deadline"),
        (CRASHES, "Crashes"),
        (READY_THEN_NOT, "LostReady"),
        (MISSING_COMMAND, "Hopeless"),
    ];
    for (behaviour, expected) in cases {
        let mut machine = Machine::healthy(workload(2, 1, 0));
        machine.update(behaviour);
        machine.run(120);
        let failed = format!("{:?}", machine.failed);
        assert!(failed.contains(expected), "{expected}: {failed}");
        assert_eq!(machine.revisions_alive(), [0, 0], "{expected}");
        assert_eq!(machine.traffic_to, [0], "{expected}");
        assert_eq!(machine.stopped_serving_stable, 0, "{expected}");
        assert_eq!(machine.least_serving, 2, "{expected}");
    }
}

#[test]
fn a_version_that_breaks_after_its_soak_is_taken_back() {
    let mut machine = Machine::healthy(workload(3, 1, 0));
    machine.update(Behaviour { crash_every: Some(20_000), ..GOOD });
    machine.run(200);
    assert!(machine.least_serving >= 3);
    // It crashed rarely: the rollout finished before three crashes of one replica. That is no rollout's failure.
    assert_eq!(machine.state.verdict, Verdict::Healthy);
}

#[test]
fn without_an_older_version_a_failure_is_told_and_trying_goes_on() {
    let mut machine = Machine { replicas: Vec::new(), ..Machine::healthy(workload(1, 1, 0)) };
    machine.behaviours = vec![CRASHES];
    machine.state = RolloutState::new(Moment(machine.now), false);
    machine.run(10);
    assert!(matches!(machine.failed, Some(Failing::Crashes(_))));
    assert_eq!(machine.revisions_alive(), [0], "it is still tried");
    machine.behaviours = vec![GOOD];
    machine.replicas[0].view.failures = 0;
    machine.run(10);
    assert_eq!(machine.state.verdict, Verdict::Healthy, "a dependency came late");
}

#[test]
fn recreate_ends_all_old_ones_first_and_comes_back_on_failure() {
    let wanted = Workload { strategy: Strategy::Recreate, ..workload(2, 0, 0) };
    let mut machine = Machine::healthy(wanted);
    machine.update(GOOD);
    machine.run(1);
    assert_eq!(machine.revisions_alive(), [0, 0]);
    machine.run(30);
    assert_eq!(machine.revisions_alive(), [1, 1]);
    machine.update(MISSING_COMMAND);
    machine.run(30);
    assert_eq!(machine.revisions_alive(), [1, 1], "back on the last healthy one");
    assert!(matches!(machine.failed, Some(Failing::Hopeless(_))));
}

#[test]
fn without_surge_an_old_replica_makes_room() {
    let mut machine = Machine::healthy(workload(3, 0, 1));
    machine.update(GOOD);
    machine.run(90);
    assert_eq!(machine.revisions_alive(), [1, 1, 1]);
    assert!(machine.least_serving >= 2);
    assert_eq!(machine.most_alive, 3);
}

#[test]
fn scaling_drops_the_youngest_and_zero_means_none() {
    let mut machine = Machine::healthy(workload(3, 1, 0));
    machine.wanted.replicas = 5;
    machine.run(10);
    assert_eq!(machine.replicas.len(), 5);
    machine.wanted.replicas = 2;
    machine.run(5);
    let left: Vec<&str> = machine.replicas.iter().map(|replica| replica.view.id.as_str()).collect();
    assert_eq!(left, ["r1", "r2"]);
    machine.wanted.replicas = 0;
    machine.run(5);
    assert!(machine.replicas.is_empty());
    assert_eq!(machine.state.verdict, Verdict::Healthy);
}

#[test]
fn a_replica_that_ended_is_replaced_with_back_off() {
    let mut machine = Machine::healthy(workload(1, 1, 0));
    for _ in 0..3 {
        machine.replicas[0].view.finished = Some(false);
        machine.tick();
        assert!(machine.replicas[0].view.stopping);
        while !machine.replicas.iter().any(|replica| !replica.view.stopping) {
            machine.tick();
        }
        machine.replicas.retain(|replica| !replica.view.stopping);
    }
    assert!(machine.state.lost_replicas.failures >= 3);
    assert_eq!(machine.state.verdict, Verdict::Healthy, "the rollout was over");
}

#[test]
fn a_task_succeeds_or_uses_up_its_attempts() {
    let once = |finished: Option<bool>| {
        let mut wanted = workload(1, 1, 0);
        wanted.run = Run::Once { attempts: 2 };
        let mut state = RolloutState::new(Moment(0), false);
        let mut made = 0;
        let mut replicas: Vec<ReplicaView> = Vec::new();
        for second in 0..40 {
            let decision = next_step(&wanted, &state, &replicas, Moment(second * 1000));
            state = decision.state;
            for action in decision.actions {
                match action {
                    ReplicaAction::Create => {
                        made += 1;
                        let id = format!("r{made}");
                        let mut machine = Machine::healthy(workload(1, 1, 0));
                        let view = machine.replica("r1").view.clone();
                        replicas = vec![ReplicaView { id, finished, current: true, ..view }];
                    }
                    ReplicaAction::Stop(_) => replicas.clear(),
                    ReplicaAction::Admit(_) => {}
                }
            }
        }
        (made, state.verdict)
    };
    assert_eq!(once(Some(true)), (1, Verdict::Healthy));
    assert_eq!(once(Some(false)), (2, Verdict::Failed));
}

fn behaviours() -> impl Generate<Value = Behaviour> {
    let some = |range: std::ops::Range<u64>| proptest::option::of(range);
    (some(0..20_000), some(1000..40_000), some(500..60_000), any::<bool>()).prop_map(
        |(ready_after, unready_after, crash_every, missing)| Behaviour {
            ready_after,
            unready_after,
            crash_every,
            hopeless: missing && ready_after.is_none(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However versions behave and whenever they are replaced: the bounds of surge and unavailability hold, an unproven
    /// version gets no traffic, and a version that never becomes ready costs no serving replica.
    #[test]
    fn bounds_hold_whatever_versions_do(
        replicas in 1u32..5,
        surge in 0u32..3,
        unavailable in 0u32..2,
        versions in proptest::collection::vec((behaviours(), 1u64..60), 1..4),
    ) {
        let mut machine = Machine::healthy(workload(replicas, surge, unavailable));
        let (surge, unavailable) = if surge + unavailable == 0 { (1, 0) } else { (surge, unavailable) };
        let (behaviour, seconds) = versions[0];
        machine.update(behaviour);
        machine.run(seconds);
        // The stable version itself does not break here, so while it is whole the bound is exact.
        if behaviour.ready_after.is_none() {
            machine.run(120);
            prop_assert!(machine.least_serving as u32 >= replicas.saturating_sub(unavailable));
            prop_assert_eq!(&machine.traffic_to, &vec![0]);
            if surge > 0 {
                prop_assert_eq!(machine.stopped_serving_stable, 0);
            }
            prop_assert_eq!(machine.revisions_alive(), vec![0; replicas as usize]);
        }
        for (behaviour, seconds) in &versions[1..] {
            machine.update(*behaviour);
            machine.run(*seconds);
        }
        prop_assert!(machine.most_alive as u32 <= replicas + surge.max(1));
        // Whatever came before: a good version always gets there.
        machine.update(GOOD);
        machine.run(240);
        prop_assert_eq!(machine.state.verdict, Verdict::Healthy);
        prop_assert_eq!(machine.revisions_alive(), vec![machine.revision; replicas as usize]);
    }
}
