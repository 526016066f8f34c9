//! Replicas of one workload: how many, of which revision, and which of them take traffic.
//!
//! The counts are a Deployment's (maxSurge, maxUnavailable, minReadySeconds, progressDeadlineSeconds). Ours is the
//! *soak*: while an older revision serves, the first replica of a new one, the scout, must stay ready for a while before
//! it gets any traffic and before an old replica is touched. So a bad version costs no request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use crate::moment::Moment;
use crate::spec::{Run, Strategy, Workload};

/// Failed runs of one replica that end a rollout while an older revision can serve.
const CRASHES_WITH_FALLBACK: u32 = 3;
/// The same where nothing older serves: a dependency that starts late gets half a minute.
pub(crate) const CRASHES_ALONE: u32 = 4;

/// A replica as decisions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplicaView {
    pub(crate) id: String,
    /// Of the wanted revision.
    pub(crate) current: bool,
    /// May take traffic when it is ready.
    pub(crate) admitted: bool,
    pub(crate) ready_since: Option<Moment>,
    /// How often it was ready and then was not.
    pub(crate) lost_ready: u32,
    /// When that happened last.
    pub(crate) lost_ready_at: Option<Moment>,
    /// Failed runs of its worst container.
    pub(crate) failures: u32,
    /// It can't ever run, e.g. its command is missing.
    pub(crate) hopeless: bool,
    pub(crate) stopping: bool,
    /// It ended and stays so; `true`: well.
    pub(crate) finished: Option<bool>,
    pub(crate) created: Moment,
}

/// Where a rollout stands. Kept in the record file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RolloutState {
    pub(crate) verdict: Verdict,
    /// The scout has soaked, or the revision was healthy before.
    pub(crate) trusted: bool,
    pub(crate) last_progress: Moment,
    /// Most current replicas that were ready, fewest old ones that were left.
    best: (usize, usize),
    /// Replicas (not containers) that failed in a row.
    pub(crate) lost_replicas: Backoff,
    pub(crate) next_creation: Moment,
    /// A task's replicas that failed, all together.
    pub(crate) failed_attempts: u32,
}

/// What is known of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    Progressing,
    Healthy,
    Failed,
}

/// Why a rollout failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failing {
    /// This replica can't run at all.
    Hopeless(String),
    /// This replica failed again and again.
    Crashes(String),
    /// The scout was ready and did not stay so.
    LostReady(String),
    /// Nothing got better for this long.
    Deadline { seconds: u32, replica: Option<String> },
    /// A task's attempts are used up.
    Attempts(Option<String>),
}

/// What to do with replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplicaAction {
    Create,
    Admit(String),
    Stop(String),
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) actions: Vec<ReplicaAction>,
    pub(crate) state: RolloutState,
    /// Set when the rollout fails now.
    pub(crate) failing: Option<Failing>,
    /// Look again then.
    pub(crate) wake: Option<Moment>,
    /// What it waits for.
    pub(crate) message: String,
}

impl RolloutState {
    /// A new rollout. `trusted`: the revision was healthy before.
    pub(crate) fn new(now: Moment, trusted: bool) -> RolloutState {
        RolloutState {
            verdict: Verdict::Progressing,
            trusted,
            last_progress: now,
            best: (0, usize::MAX),
            lost_replicas: Backoff::default(),
            next_creation: Moment::default(),
            failed_attempts: 0,
        }
    }
}

/// Decides for one workload. Pure: the same arguments give the same decision.
pub(crate) fn next_step(
    wanted: &Workload,
    state: &RolloutState,
    replicas: &[ReplicaView],
    now: Moment,
) -> Decision {
    let mut step = Step::new(wanted, state, replicas, now);
    step.bury_the_finished();
    match (wanted.run, wanted.strategy) {
        (Run::Once { attempts }, _) => step.run_once(attempts),
        (Run::Forever, Strategy::Recreate) => step.recreate(),
        (Run::Forever, Strategy::Rolling { .. }) => step.roll(),
    }
    step.judge();
    step.finish()
}

struct Step<'a> {
    wanted: &'a Workload,
    now: Moment,
    state: RolloutState,
    current: Vec<&'a ReplicaView>,
    old: Vec<&'a ReplicaView>,
    /// Stopping ones of other revisions.
    leaving: usize,
    finished: Vec<&'a ReplicaView>,
    actions: Vec<ReplicaAction>,
    wake: Option<Moment>,
    failing: Option<Failing>,
}

impl<'a> Step<'a> {
    fn new(wanted: &'a Workload, state: &RolloutState, replicas: &'a [ReplicaView], now: Moment) -> Step<'a> {
        let alive = |replica: &&ReplicaView| !replica.stopping && replica.finished.is_none();
        let mut current: Vec<_> = replicas.iter().filter(|replica| replica.current).filter(alive).collect();
        let mut old: Vec<_> = replicas.iter().filter(|replica| !replica.current).filter(alive).collect();
        // What is dropped first stands last: the unready, then the youngest.
        for group in [&mut current, &mut old] {
            group.sort_by_key(|replica| (replica.ready_since.is_none(), replica.created, replica.id.clone()));
        }
        let leaving = replicas.iter().filter(|replica| !replica.current && replica.stopping).count();
        let finished =
            replicas.iter().filter(|replica| replica.finished.is_some() && !replica.stopping).collect();
        Step {
            wanted,
            now,
            state: state.clone(),
            current,
            old,
            leaving,
            finished,
            actions: Vec::new(),
            wake: None,
            failing: None,
        }
    }

    /// Replicas that ended are cleared away; for a service each is a failure that spaces out the next.
    fn bury_the_finished(&mut self) {
        for replica in std::mem::take(&mut self.finished) {
            let once = matches!(self.wanted.run, Run::Once { .. });
            if once && replica.current && replica.finished == Some(true) {
                self.finished.push(replica);
                continue;
            }
            self.actions.push(ReplicaAction::Stop(replica.id.clone()));
            if !replica.current {
                continue;
            }
            self.state.failed_attempts = self.state.failed_attempts.saturating_add(1);
            let ran = self.now.since(replica.created);
            self.state.next_creation = self.state.lost_replicas.fail(ran, self.now);
            let limit = self.crash_limit();
            if self.state.verdict == Verdict::Progressing
                && !once
                && self.state.lost_replicas.failures >= limit
            {
                self.failing = Some(Failing::Crashes(replica.id.clone()));
            }
            if once && replica.hopeless {
                self.failing = Some(Failing::Hopeless(replica.id.clone()));
            }
        }
    }

    fn run_once(&mut self, attempts: u32) {
        self.stop_all_old();
        if self.finished.iter().any(|replica| replica.finished == Some(true)) {
            self.state.verdict = Verdict::Healthy;
        } else if self.state.verdict == Verdict::Progressing && self.state.failed_attempts >= attempts.max(1)
        {
            self.failing.get_or_insert(Failing::Attempts(None));
        } else if self.state.verdict == Verdict::Progressing && self.failing.is_none() && self.leaving == 0 {
            self.create(1);
        }
        self.admit_ready();
    }

    fn recreate(&mut self) {
        self.stop_all_old();
        if self.old.is_empty() && self.leaving == 0 {
            self.create(self.count());
        }
        self.drop_surplus();
        self.admit_ready();
    }

    fn roll(&mut self) {
        self.drop_surplus();
        if self.must_soak() {
            return self.soak();
        }
        self.admit_ready();
        let (surge, unavailable) = self.room();
        let total = self.current.len() + self.old.len();
        let space = (self.count() + surge).saturating_sub(total);
        self.create(space.min(self.count().saturating_sub(self.current.len())));
        let missing = self.count().saturating_sub(self.current.len());
        self.stop_old(self.count().saturating_sub(unavailable), missing.saturating_sub(space));
    }

    /// An older revision serves and the new one has not shown yet that it can.
    fn must_soak(&self) -> bool {
        !self.state.trusted && self.count() > 0 && self.old.iter().any(|replica| replica.serves())
    }

    fn soak(&mut self) {
        let needed = Duration::from_secs(self.wanted.soak_seconds.max(self.wanted.min_ready_seconds).into());
        // Replicas that an earlier rollout left behind unproven serve nobody.
        let unproven: Vec<_> = self.old.iter().copied().filter(|replica| !replica.admitted).collect();
        self.stop(&unproven);
        let Some(scout) = self.current.first().copied() else { return self.send_scout() };
        match scout.ready_since {
            Some(since) if self.now.since(since) >= needed => {
                self.state.trusted = true;
                self.state.last_progress = self.now;
                self.roll();
            }
            Some(since) => self.wake_at(since.plus(needed)),
            None => {}
        }
        if let Some(lost) = scout.lost_ready_at {
            let patience = needed.max(Duration::from_secs(10));
            let gave_up = scout.ready_since.is_none() && self.now.since(lost) >= patience;
            if scout.lost_ready >= 2 || gave_up {
                self.failing = Some(Failing::LostReady(scout.id.clone()));
            }
            self.wake_at(lost.plus(patience));
        }
    }

    /// The scout is one more where surge allows any; else an old replica makes room, as the user asked.
    fn send_scout(&mut self) {
        let (surge, unavailable) = self.room();
        if self.old.len() < self.count() + surge {
            return self.create(1);
        }
        let serving = self.old.iter().filter(|replica| replica.serves()).count();
        let least = if surge > 0 { self.count() } else { self.count().saturating_sub(unavailable) };
        let spare = self.old.last().copied();
        if let Some(spare) = spare.filter(|spare| !spare.serves() || serving > least) {
            self.stop(&[spare]);
        }
    }

    /// Stops old replicas as far as `least` available ones stay; unready ones only when something replaces them.
    fn stop_old(&mut self, least: usize, room_wanted: usize) {
        let available = self.current.iter().filter(|replica| self.is_available(replica)).count();
        let serving_old = self.old.iter().filter(|replica| replica.serves()).count();
        let unready: Vec<_> = self.old.iter().copied().filter(|replica| !replica.serves()).collect();
        let superfluous = if available > 0 || self.count() == 0 { unready.len() } else { room_wanted };
        let doomed: Vec<_> = unready.iter().rev().copied().take(superfluous).collect();
        self.stop(&doomed);
        let spare = (available + serving_old).saturating_sub(least).min(serving_old);
        // Without a surge room must be made; with one, only what the new replicas made superfluous goes.
        let healthy: Vec<_> =
            self.old.iter().rev().copied().filter(|replica| replica.serves()).take(spare).collect();
        self.stop(&healthy);
    }

    fn stop_all_old(&mut self) {
        let old = self.old.clone();
        self.stop(&old);
    }

    fn drop_surplus(&mut self) {
        let surplus: Vec<_> = self.current.iter().copied().skip(self.count()).collect();
        for replica in &surplus {
            self.actions.push(ReplicaAction::Stop(replica.id.clone()));
        }
        self.current.truncate(self.count());
    }

    fn stop(&mut self, replicas: &[&'a ReplicaView]) {
        for replica in replicas {
            self.actions.push(ReplicaAction::Stop(replica.id.clone()));
            self.old.retain(|old| old.id != replica.id);
            self.leaving += 1;
        }
    }

    fn create(&mut self, most: usize) {
        let missing = self.count().saturating_sub(self.current.len()).min(most);
        if missing == 0 {
            return;
        }
        if self.now < self.state.next_creation {
            return self.wake_at(self.state.next_creation);
        }
        self.actions.extend(std::iter::repeat_n(ReplicaAction::Create, missing));
    }

    fn admit_ready(&mut self) {
        for replica in &self.current {
            if replica.ready_since.is_some() && !replica.admitted {
                self.actions.push(ReplicaAction::Admit(replica.id.clone()));
            }
        }
    }

    /// Progress, health and failure.
    fn judge(&mut self) {
        let ready = self.current.iter().filter(|replica| replica.ready_since.is_some()).count();
        let best = (self.state.best.0.max(ready), self.state.best.1.min(self.old.len()));
        if best != self.state.best {
            self.state.best = best;
            self.state.last_progress = self.now;
        }
        if matches!(self.wanted.run, Run::Forever) && self.is_complete() {
            self.state.verdict = Verdict::Healthy;
            self.state.trusted = true;
            self.failing = None;
        }
        if self.state.verdict != Verdict::Progressing {
            self.failing = None;
            return;
        }
        self.look_for_crashes();
        self.look_at_deadline();
        if self.failing.is_some() {
            self.state.verdict = Verdict::Failed;
        }
    }

    fn is_complete(&mut self) -> bool {
        let unavailable: Vec<_> =
            self.current.iter().copied().filter(|replica| !self.is_available(replica)).collect();
        for replica in &unavailable {
            if let Some(since) = replica.ready_since {
                self.wake_at(since.plus_seconds(self.wanted.min_ready_seconds));
            }
        }
        unavailable.is_empty() && self.old.is_empty() && self.current.len() == self.count()
    }

    fn look_for_crashes(&mut self) {
        if let Some(hopeless) = self.current.iter().find(|replica| replica.hopeless) {
            self.failing = Some(Failing::Hopeless(hopeless.id.clone()));
        }
        let limit = self.crash_limit();
        if let Some(worst) = self.current.iter().max_by_key(|replica| replica.failures)
            && worst.failures >= limit
            && self.failing.is_none()
        {
            self.failing = Some(Failing::Crashes(worst.id.clone()));
        }
    }

    fn look_at_deadline(&mut self) {
        let wanted = self.wanted;
        let seconds = match wanted.run {
            Run::Once { .. } => wanted.progress_deadline_seconds,
            Run::Forever => {
                wanted.progress_deadline_seconds.max(wanted.soak_seconds.max(wanted.min_ready_seconds) + 1)
            }
        };
        let deadline = self.state.last_progress.plus_seconds(seconds);
        if matches!(wanted.run, Run::Once { .. })
            && self.current.iter().any(|replica| replica.ready_since.is_some())
        {
            return; // a task that runs takes the time it takes
        }
        if self.now >= deadline && self.failing.is_none() {
            let unready = self.current.iter().rev().find(|replica| replica.ready_since.is_none());
            let replica = unready.or(self.current.last()).map(|replica| replica.id.clone());
            self.failing = Some(Failing::Deadline { seconds, replica });
        } else {
            self.wake_at(deadline);
        }
    }

    fn finish(self) -> Decision {
        let ready = self.current.iter().filter(|replica| replica.ready_since.is_some()).count();
        let message = match (self.must_soak() && ready > 0, self.old.len() + self.leaving) {
            (true, _) => format!(
                "new version is ready; watching it for {} s before it gets traffic",
                self.wanted.soak_seconds.max(self.wanted.min_ready_seconds)
            ),
            (false, 0) => format!("{ready} of {} replicas ready", self.count()),
            (false, old) => format!("{ready} of {} new replicas ready, {old} old to replace", self.count()),
        };
        let wake = self.wake;
        Decision { actions: self.actions, state: self.state, failing: self.failing, wake, message }
    }

    fn is_available(&self, replica: &ReplicaView) -> bool {
        let needed = Duration::from_secs(self.wanted.min_ready_seconds.into());
        replica.ready_since.is_some_and(|since| self.now.since(since) >= needed)
    }

    fn crash_limit(&self) -> u32 {
        let fallback = self.old.iter().any(|replica| replica.serves());
        if fallback { CRASHES_WITH_FALLBACK } else { CRASHES_ALONE }
    }

    fn count(&self) -> usize {
        match self.wanted.run {
            Run::Forever => self.wanted.replicas as usize,
            Run::Once { .. } => 1,
        }
    }

    /// maxSurge and maxUnavailable, never both zero.
    fn room(&self) -> (usize, usize) {
        match self.wanted.strategy {
            Strategy::Rolling { max_surge: 0, max_unavailable: 0 } | Strategy::Recreate => (1, 0),
            Strategy::Rolling { max_surge, max_unavailable } => {
                (max_surge as usize, max_unavailable as usize)
            }
        }
    }

    fn wake_at(&mut self, at: Moment) {
        if at > self.now {
            self.wake = Some(self.wake.map_or(at, |before| before.min(at)));
        }
    }
}

impl ReplicaView {
    fn serves(&self) -> bool {
        self.admitted && self.ready_since.is_some()
    }
}

#[cfg(test)]
mod tests;
