//! The beginning of a supervisor: what an earlier one left is adopted, what nobody knows is taken away.

use std::collections::BTreeMap;

use super::record::{self, Outcome, WorkloadRecord};
use super::{Event, Happening, PodWork, Supervisor, place};
use crate::decide::pod::{PodAction, Stage};
use crate::decide::rollout::RolloutState;
use crate::engine::{Ended, Found};
use crate::moment::Moment;
use crate::spec::{Pod, Run, WorkloadKey};

impl Supervisor {
    pub(super) async fn take_over(&mut self) {
        let boot = record::boot_id();
        if self.record.boot_id != boot {
            self.record.boot_id = boot;
            for workload in &mut self.record.workloads {
                workload.stopped();
            }
        }
        let found = match self.containers.list().await {
            Ok(found) => found,
            Err(error) => {
                super::process::say(&format!("containers that are there can't be listed: {error}"));
                Vec::new()
            }
        };
        let found: BTreeMap<String, Found> =
            found.into_iter().map(|found| (found.id.clone(), found)).collect();
        self.adopt(&found);
        fail::fail_point!("workload.takeover.adopted");
        self.remove_unknown(&found);
        self.save();
    }

    fn adopt(&mut self, found: &BTreeMap<String, Found>) {
        let now = self.clock.now();
        let replicas: Vec<(WorkloadKey, String, Pod)> = self
            .record
            .workloads
            .iter()
            .flat_map(|workload| {
                workload.replicas.iter().filter_map(|replica| {
                    Some((workload.wanted.key.clone(), replica.id.clone(), workload.pod_of(replica)?.clone()))
                })
            })
            .collect();
        for (key, id, pod) in replicas {
            for index in 0..pod.all_containers().count() {
                self.adopt_container(&key, &id, &pod, index, found, now);
            }
            self.adopt_holder(&id, found);
        }
    }

    fn adopt_container(
        &mut self,
        key: &WorkloadKey,
        id: &str,
        pod: &Pod,
        index: usize,
        found: &BTreeMap<String, Found>,
        now: Moment,
    ) {
        let Some((replica, _)) = self.record.replica(id) else { return };
        let Some(life) = replica.life.containers.get_mut(index) else { return };
        let attempt = life.attempts;
        let runtime_id = place::runtime_id(id, index, attempt);
        let here = found.get(&runtime_id).filter(|found| found.kept);
        if let (Some(since), Some(container)) = (life.stage.since(), pod.all_containers().nth(index)) {
            life.health.ask_anew(container, since, now);
        }
        let mut action = None;
        match (&mut life.stage, here) {
            (stage @ Stage::Starting, None) => {
                // Nothing came of it, or nothing is left of it.
                *stage = Stage::Waiting { until: None };
                return;
            }
            (Stage::Starting, Some(here)) => {
                replica.holder.get_or_insert(runtime_id);
                action = replica.life.started(pod, index, here.running.unwrap_or(0), now);
            }
            (Stage::Running { .. }, Some(_)) if !life.health.started => {
                let container = pod.all_containers().nth(index);
                let hooked = container
                    .is_some_and(|container| container.post_start.is_some() && container.startup.is_none());
                action = hooked.then_some(PodAction::PostStart { container: index });
            }
            (Stage::Stopping { signalled: false, .. }, Some(_)) => action = replica.life.pre_stop_done(index),
            (Stage::Running { .. } | Stage::Stopping { .. } | Stage::Killed { .. }, Some(_)) => {}
            (Stage::Running { .. } | Stage::Stopping { .. } | Stage::Killed { .. }, None) => {
                let what = Happening::Ended(Ended::Lost);
                let _ = self.events.send(Event::Container { replica: id.to_owned(), index, attempt, what });
                return;
            }
            (Stage::Waiting { .. } | Stage::Ended { .. }, _) => return,
        }
        self.watch_container(id, index, attempt);
        if let Some(action) = action {
            self.perform(key, pod, PodWork { replica: id.to_owned(), action });
        }
    }

    fn adopt_holder(&mut self, id: &str, found: &BTreeMap<String, Found>) {
        let Some((replica, _)) = self.record.replica(id) else { return };
        let Some(holder) = replica.holder.clone() else { return };
        match found.get(&holder) {
            Some(found) if found.kept && found.running.is_some() => {}
            Some(found) if found.kept => self.watch_holder(id, &holder),
            _ => self.holder_lost(id),
        }
    }

    /// Containers that no record names, e.g. because the supervisor died after a removal was decided, and folders of
    /// replicas that are gone.
    fn remove_unknown(&mut self, found: &BTreeMap<String, Found>) {
        for id in found.keys() {
            let known = place::replica_of(id).and_then(|replica| self.record.replica(replica)).is_some_and(
                |(replica, _)| replica.holder.as_ref() == Some(id) || replica.is_current_run(id),
            );
            if known {
                continue;
            }
            let (containers, id) = (self.containers.clone(), id.clone());
            tokio::spawn(async move {
                if let Err(error) = containers.remove(&id).await {
                    super::process::say(&format!("{id}: not removed: {error}"));
                }
            });
        }
        for folder in std::fs::read_dir(&self.paths.pods).into_iter().flatten().flatten() {
            let name = folder.file_name();
            let known = name.to_str().is_some_and(|name| self.record.replica(name).is_some());
            if !known {
                let _ = std::fs::remove_dir_all(folder.path());
            }
        }
    }
}

impl WorkloadRecord {
    /// The machine was restarted: nothing of it is left.
    fn stopped(&mut self) {
        self.replicas.clear();
        self.stopped_by_reboot = match self.wanted.run {
            Run::Forever => true,
            Run::Once { .. } => matches!(self.outcome, Outcome::Progressing),
        };
    }

    /// Started again after that: what was healthy before is so without a soak.
    pub(super) fn resume(&mut self, now: Moment) {
        self.stopped_by_reboot = false;
        self.state = RolloutState::new(now, self.state.trusted);
        if matches!(self.outcome, Outcome::Healthy) {
            self.outcome = Outcome::Progressing;
        }
    }
}

impl super::record::ReplicaRecord {
    fn is_current_run(&self, runtime_id: &str) -> bool {
        let mut runs = self.life.containers.iter().enumerate();
        runs.any(|(index, life)| {
            life.stage.is_alive() && place::runtime_id(&self.id, index, life.attempts) == runtime_id
        })
    }
}
