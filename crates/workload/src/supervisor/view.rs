//! The state, as it is told.

use super::record::{Outcome, ReplicaRecord, ServiceRecord, WorkloadRecord};
use super::workloads::LOG_LINES;
use super::{Supervisor, place};
use crate::decide::cause;
use crate::decide::pod::{ContainerLife, PodPhase, Stage};
use crate::moment::Moment;
use crate::spec::{Container, Pod, Run};
use crate::status::{
    Cause, ContainerState, ContainerStatus, Exit, Filter, PublishedPort, ReplicaPhase, ReplicaStatus,
    RolloutStatus, ServiceStatus, Status, WorkloadStatus,
};

impl Supervisor {
    /// Everything the filter selects, as it is now.
    pub(super) fn view(&self, filter: &Filter) -> Status {
        let workloads = self.record.workloads.iter().filter(|workload| workload.is_selected(filter));
        let services = self.record.services.iter().filter(|record| {
            let key = &record.service.key;
            filter.takes(&key.application, &key.namespace, &key.name)
        });
        Status {
            workloads: workloads.map(|workload| self.view_workload(workload)).collect(),
            services: services.map(|service| self.view_service(service)).collect(),
        }
    }

    fn view_workload(&self, workload: &WorkloadRecord) -> WorkloadStatus {
        let target = workload.target_workload();
        let ready = |replica: &&ReplicaRecord| replica.ready_since.is_some() && !replica.unwanted;
        let updated = |replica: &&ReplicaRecord| replica.generation == workload.target;
        let rollout_status = match &workload.outcome {
            Outcome::Progressing => RolloutStatus::Progressing { message: workload.message.clone() },
            Outcome::Healthy => RolloutStatus::Healthy,
            Outcome::Failed(cause) => RolloutStatus::Failed { cause: Cause::clone(cause) },
        };
        let is_done = matches!((&target.run, &rollout_status), (Run::Once { .. }, RolloutStatus::Healthy));
        WorkloadStatus {
            key: workload.wanted.key.clone(),
            annotations: target.annotations.clone(),
            revision: workload.target.revision.clone(),
            desired: if is_done { 0 } else { target.replicas },
            ready: workload.replicas.iter().filter(ready).count() as u32,
            updated: workload.replicas.iter().filter(ready).filter(updated).count() as u32,
            rollout: workload.rollout.clone(),
            rollout_status,
            stopped_by_reboot: workload.stopped_by_reboot,
            replicas: workload
                .replicas
                .iter()
                .filter_map(|replica| self.view_replica(workload, replica))
                .collect(),
        }
    }

    fn view_replica(&self, workload: &WorkloadRecord, replica: &ReplicaRecord) -> Option<ReplicaStatus> {
        let pod = workload.pod_of(replica)?;
        let container = |(index, (container, life)): (usize, (&Container, &ContainerLife))| {
            let logs =
                place::log_folder(&self.paths.logs, &workload.wanted.key, &replica.id, &container.name);
            ContainerStatus {
                name: container.name.clone(),
                runtime_id: place::runtime_id(&replica.id, index, life.attempts),
                image: container.image.reference.clone(),
                state: state_of(life),
                ready: life.stage.is_running() && life.health.ready,
                restarts: life.attempts.saturating_sub(1),
                last_exit: life.last_exit,
                logs,
                warnings: replica.warnings.get(&index).cloned().unwrap_or_default(),
            }
        };
        Some(ReplicaStatus {
            id: replica.id.clone(),
            revision: replica.generation.revision.clone(),
            phase: phase_of(replica, pod),
            ready: replica.ready_since.is_some(),
            serving: replica.takes_requests(),
            restarts: replica.life.restarts(),
            created: replica.created,
            address: replica.address,
            containers: pod
                .all_containers()
                .zip(&replica.life.containers)
                .enumerate()
                .map(container)
                .collect(),
            wavering: is_wavering(workload, replica, self.clock.now()),
            failing: self.failing(workload, replica, pod).map(Box::new),
        })
    }

    fn failing(&self, workload: &WorkloadRecord, replica: &ReplicaRecord, pod: &Pod) -> Option<Cause> {
        let waits = replica.ready_since.is_none() && !replica.unwanted;
        if !waits || !replica.life.crash_loops() {
            return None;
        }
        let mut cause = cause::of_replica(&replica.id, pod, &replica.life);
        if let Some(container) = &cause.container {
            let folder = place::log_folder(&self.paths.logs, &workload.wanted.key, &replica.id, container);
            cause.last_log_lines = super::prober::last_log_lines(&folder, LOG_LINES);
        }
        Some(cause)
    }

    fn view_service(&self, record: &ServiceRecord) -> ServiceStatus {
        let live = self.services.get(&record.service.key);
        let application =
            |port| record.service.ports.iter().find(|of| of.port == port).and_then(|of| of.application);
        let published = record.published.iter().map(|(port, host_port)| PublishedPort {
            port: *port,
            host_port: *host_port,
            application: application(*port),
        });
        ServiceStatus {
            key: record.service.key.clone(),
            annotations: record.service.annotations.clone(),
            address: record.address,
            published: published.collect(),
            ready_replicas: live.map_or(0, super::LiveService::ready_replicas),
            problem: live.and_then(|live| live.problem.clone()),
        }
    }
}

fn is_wavering(workload: &WorkloadRecord, replica: &ReplicaRecord, now: Moment) -> bool {
    let lasting = |since: Moment| since.plus_seconds(workload.wanted.soak_seconds) <= now;
    replica.life.failures() > 0 && replica.ready_since.is_some_and(|since| !lasting(since))
}

fn phase_of(replica: &ReplicaRecord, pod: &Pod) -> ReplicaPhase {
    match replica.life.phase(pod) {
        _ if replica.unwanted => ReplicaPhase::Stopping,
        PodPhase::Starting => ReplicaPhase::Starting,
        PodPhase::Running => ReplicaPhase::Running,
        PodPhase::Stopping => ReplicaPhase::Stopping,
        PodPhase::Ended { well: true } => ReplicaPhase::Succeeded,
        PodPhase::Ended { well: false } => ReplicaPhase::Failed,
    }
}

fn state_of(life: &ContainerLife) -> ContainerState {
    let unseen =
        Exit { code: None, signal: None, out_of_memory: false, at: crate::moment::Moment::default() };
    match &life.stage {
        Stage::Waiting { until: None } => {
            ContainerState::Waiting { reason: "its turn has not come".to_owned() }
        }
        Stage::Waiting { until: Some(_) } => {
            let why =
                life.last_exit.map_or_else(|| "could not be started".to_owned(), |exit| exit.to_string());
            let seconds = life.backoff.delay().as_secs();
            ContainerState::Waiting { reason: format!("{why}; back-off {seconds} s") }
        }
        Stage::Starting => ContainerState::Waiting { reason: "starting".to_owned() },
        Stage::Running { since, pid } | Stage::Stopping { since, pid, .. } => {
            ContainerState::Running { pid: *pid, since: *since }
        }
        Stage::Killed { .. } => ContainerState::Waiting { reason: "being killed".to_owned() },
        Stage::Ended { exit } => ContainerState::Exited(exit.or(life.last_exit).unwrap_or(unseen)),
    }
}
