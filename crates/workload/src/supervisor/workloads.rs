//! Rollouts: what is wanted becomes replicas.

use super::record::{Generation, Outcome, ReplicaRecord, WorkloadRecord};
use super::{Supervisor, place};
use crate::decide::cause;
use crate::decide::pod::{PodLife, PodPhase};
use crate::decide::rollout::{self, Decision, Failing, ReplicaAction, ReplicaView, RolloutState, Verdict};
use crate::moment::Moment;
use crate::spec::{Pod, Run, Workload, WorkloadKey};
use crate::status::{Cause, Filter, RolloutId, RolloutStatus};
use std::time::Duration;

/// Earlier rollouts that are remembered.
const PAST: usize = 32;
/// Log lines told with a failure.
pub(super) const LOG_LINES: usize = 30;
/// Log folders of earlier replicas that are kept.
const LOGS_KEPT: usize = 20;
/// On deletion, requests in flight get this long; on an update the pod's whole grace.
const DELETION_DRAIN: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Decides for every workload.
    pub(super) fn step_workloads(&mut self, now: Moment) -> Option<Moment> {
        let keys: Vec<WorkloadKey> =
            self.record.workloads.iter().map(|workload| workload.wanted.key.clone()).collect();
        let wakes: Vec<Moment> = keys.iter().filter_map(|key| self.step_workload(key, now)).collect();
        let logs = &self.paths.logs;
        self.record.workloads.retain(|workload| {
            let gone = workload.deleting && workload.replicas.is_empty();
            if gone {
                let _ = std::fs::remove_dir_all(place::workload_logs(logs, &workload.wanted.key));
            }
            !gone
        });
        wakes.into_iter().min()
    }

    fn step_workload(&mut self, key: &WorkloadKey, now: Moment) -> Option<Moment> {
        let workload = self.record.workload(key)?;
        if workload.deleting {
            workload.stop_all(now.plus(DELETION_DRAIN));
            return None;
        }
        if workload.stopped_by_reboot {
            return None;
        }
        let target = workload.target_workload();
        let views: Vec<ReplicaView> =
            workload.replicas.iter().map(|replica| view(workload, replica)).collect();
        let Decision { actions, state, failing, wake, message } =
            rollout::next_step(&target, &workload.state, &views, now);
        workload.state = state;
        workload.message = message;
        workload.note_health();
        for action in actions {
            self.act(key, action, now);
        }
        let failed = failing.is_some();
        if let Some(failing) = failing {
            self.fail_rollout(key, &failing, now);
        }
        if let Some(workload) = self.record.workload(key) {
            workload.prune();
        }
        // After a failure the way back begins at once.
        if failed { Some(now) } else { wake }
    }

    fn act(&mut self, key: &WorkloadKey, action: ReplicaAction, now: Moment) {
        match action {
            ReplicaAction::Create => self.create_replica(key, now),
            ReplicaAction::Admit(id) => {
                fail::fail_point!("workload.replica.before-admission");
                if let Some((replica, _)) = self.record.replica(&id) {
                    replica.admitted = true;
                }
            }
            ReplicaAction::Stop(id) => {
                fail::fail_point!("workload.replica.before-stop");
                if let Some((replica, pod)) = self.record.replica(&id) {
                    replica.unwanted = true;
                    replica.life.stop(now.plus_seconds(pod.grace_seconds));
                }
            }
        }
    }

    fn create_replica(&mut self, key: &WorkloadKey, now: Moment) {
        let number = self.record.next_number();
        let Some(address) = self.network.free_address(&self.record) else {
            super::process::say("no address is left for another replica");
            return;
        };
        let Some(workload) = self.record.workload(key) else { return };
        let generation = workload.target.clone();
        let Some(description) = workload.description(&generation.revision) else { return };
        let replica = ReplicaRecord {
            id: place::replica_id(key, generation.revision.as_str(), number),
            life: PodLife::new(&description.pod),
            generation,
            created: now,
            address,
            admitted: false,
            ready_since: None,
            lost_ready: 0,
            lost_ready_at: None,
            unwanted: false,
            cleared: false,
            holder: None,
            warnings: std::collections::BTreeMap::new(),
        };
        workload.replicas.push(replica);
        let keep = workload.replicas.len() + LOGS_KEPT;
        place::prune_logs(&place::workload_logs(&self.paths.logs, key), keep);
    }

    /// The rollout failed: says why, and goes back to what was healthy before.
    fn fail_rollout(&mut self, key: &WorkloadKey, failing: &Failing, now: Moment) {
        let logs = self.paths.logs.clone();
        let Some(workload) = self.record.workload(key) else { return };
        let seen = match failing {
            Failing::Hopeless(id) | Failing::Crashes(id) | Failing::LostReady(id) => Some(id),
            Failing::Deadline { replica, .. } | Failing::Attempts(replica) => replica.as_ref(),
        };
        let current = |replica: &&ReplicaRecord| replica.generation == workload.target;
        let replica = workload
            .replicas
            .iter()
            .find(|replica| Some(&replica.id) == seen)
            .or_else(|| workload.replicas.iter().rfind(current));
        let pod: &Pod = &workload.wanted.pod;
        let mut cause =
            cause::of_rollout(failing, pod, replica.map(|replica| (replica.id.as_str(), &replica.life)));
        if let (Some(replica), Some(container)) = (replica, &cause.container) {
            let folder = place::log_folder(&logs, key, &replica.id, container);
            cause.last_log_lines = super::prober::last_log_lines(&folder, LOG_LINES);
        }
        workload.fail(cause, now);
        fail::fail_point!("workload.rollout.failed");
    }
}

impl WorkloadRecord {
    pub(super) fn new(wanted: Workload, now: Moment) -> WorkloadRecord {
        let target = Generation { revision: wanted.revision(), epoch: 0 };
        WorkloadRecord {
            rollout: rollout_id(&wanted.key, 1),
            outcome: Outcome::Progressing,
            past: Vec::new(),
            target,
            stable: None,
            state: RolloutState::new(now, false),
            revisions: vec![wanted.clone()],
            wanted,
            replicas: Vec::new(),
            deleting: false,
            stopped_by_reboot: false,
            message: String::new(),
        }
    }

    /// Takes a new description. The same one again changes nothing unless its rollout failed.
    pub(super) fn apply(&mut self, wanted: Workload, now: Moment) -> RolloutId {
        let same = self.wanted == wanted && !self.stopped_by_reboot;
        if same && !matches!(self.outcome, Outcome::Failed(_)) {
            return self.rollout.clone();
        }
        let revision = wanted.revision();
        let mut epoch = self.target.epoch;
        if revision == self.target.revision
            && matches!(self.outcome, Outcome::Failed(_))
            && self.stable.is_none()
        {
            epoch += 1; // tried afresh
        }
        self.begin(wanted, Generation { revision, epoch }, now)
    }

    /// Replaces every replica by a fresh one.
    pub(super) fn restart(&mut self, now: Moment) -> RolloutId {
        let wanted = self.target_workload();
        let target = Generation { revision: self.target.revision.clone(), epoch: self.target.epoch + 1 };
        self.begin(wanted, target, now)
    }

    fn begin(&mut self, wanted: Workload, target: Generation, now: Moment) -> RolloutId {
        let ended = match &self.outcome {
            Outcome::Progressing => RolloutStatus::Superseded,
            Outcome::Healthy => RolloutStatus::Healthy,
            Outcome::Failed(cause) => RolloutStatus::Failed { cause: Cause::clone(cause) },
        };
        self.past.push((self.rollout.clone(), ended));
        if self.past.len() > PAST {
            self.past.remove(0);
        }
        let number =
            self.rollout.0.rsplit_once('#').and_then(|(_, number)| number.parse::<u64>().ok()).unwrap_or(0);
        self.rollout = rollout_id(&wanted.key, number + 1);
        let proven = self.stable.as_ref().is_some_and(|stable| stable.revision == target.revision);
        let trusted = proven || (self.state.trusted && self.target.revision == target.revision);
        self.state = RolloutState::new(now, trusted);
        self.outcome = Outcome::Progressing;
        self.revisions.retain(|workload| workload.revision() != target.revision);
        self.revisions.push(wanted.clone());
        self.target = target;
        self.wanted = wanted;
        self.stopped_by_reboot = false;
        self.rollout.clone()
    }

    fn fail(&mut self, cause: Cause, now: Moment) {
        self.outcome = Outcome::Failed(Box::new(cause));
        if self.wanted.run != Run::Forever {
            return; // a task that succeeded before is not to be done again
        }
        if let Some(stable) = self.stable.clone().filter(|stable| stable.revision != self.target.revision) {
            self.target = stable;
            self.state = RolloutState::new(now, true);
        }
    }

    /// A failed rollout that became whole after all is healthy; one that was taken back stays failed.
    fn note_health(&mut self) {
        let taken_back = self.wanted.revision() != self.target.revision;
        if self.state.verdict != Verdict::Healthy || taken_back {
            return;
        }
        self.outcome = Outcome::Healthy;
        self.stable = Some(self.target.clone());
    }

    pub(super) fn stop_all(&mut self, drain_until: Moment) {
        for replica in &mut self.replicas {
            replica.unwanted = true;
            replica.life.stop(drain_until);
        }
    }

    /// Every other replica's health is no matter of this.
    pub(super) fn status_of(&self, id: &RolloutId) -> Option<RolloutStatus> {
        if self.rollout != *id {
            return self.past.iter().find(|(past, _)| past == id).map(|(_, status)| status.clone());
        }
        Some(match &self.outcome {
            Outcome::Progressing => RolloutStatus::Progressing { message: self.message.clone() },
            Outcome::Healthy => RolloutStatus::Healthy,
            Outcome::Failed(cause) => RolloutStatus::Failed { cause: Cause::clone(cause) },
        })
    }

    pub(super) fn is_selected(&self, filter: &Filter) -> bool {
        let key = &self.wanted.key;
        filter.takes(&key.application, &key.namespace, &key.name)
    }
}

fn rollout_id(key: &WorkloadKey, number: u64) -> RolloutId {
    RolloutId(format!("{}/{}/{}#{number}", key.application, key.namespace, key.name))
}

fn view(workload: &WorkloadRecord, replica: &ReplicaRecord) -> ReplicaView {
    let generation = &replica.generation;
    let current =
        generation.revision == workload.target.revision && generation.epoch >= workload.target.epoch;
    let phase = workload.pod_of(replica).map(|pod| replica.life.phase(pod));
    let finished = match (phase, replica.unwanted) {
        (Some(PodPhase::Ended { well }), false) => Some(well),
        (None, false) => Some(false),
        _ => None,
    };
    ReplicaView {
        id: replica.id.clone(),
        current,
        admitted: replica.admitted,
        ready_since: replica.ready_since,
        lost_ready: replica.lost_ready,
        lost_ready_at: replica.lost_ready_at,
        failures: replica.life.failures(),
        hopeless: replica.life.hopeless,
        stopping: replica.unwanted || (replica.life.stopping.is_some() && finished.is_none()),
        finished,
        created: replica.created,
    }
}
