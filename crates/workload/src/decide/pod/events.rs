//! What happened to a replica's containers.

use super::PodAction;
use super::end;
use super::life::{PodLife, Stage, Trouble, TroubleKind};
use crate::decide::health::{Answer, Health, ProbeKind};
use crate::moment::Moment;
use crate::spec::{Container, Pod, Restart};
use crate::status::Exit;

impl PodLife {
    /// The start that was asked for has happened.
    pub(crate) fn started(&mut self, pod: &Pod, index: usize, pid: u32, now: Moment) -> Option<PodAction> {
        let container = pod.all_containers().nth(index)?;
        let life = self.containers.get_mut(index)?;
        life.stage = Stage::Running { since: now, pid };
        life.ran = true;
        life.health = Health::new(container, now);
        container.post_start.as_ref()?;
        // Not started, let alone ready, before its hook has ended.
        life.health.started = false;
        life.health.ready = false;
        Some(PodAction::PostStart { container: index })
    }

    /// It could not be started; `hopeless` when trying again changes nothing.
    pub(crate) fn not_started(
        &mut self,
        pod: &Pod,
        index: usize,
        message: String,
        hopeless: bool,
        now: Moment,
    ) {
        let kind = TroubleKind::NotStarted { message, hopeless };
        self.hopeless |= hopeless;
        self.failed_run(pod, index, None, kind, now);
    }

    /// Its process has ended.
    pub(crate) fn exited(&mut self, pod: &Pod, index: usize, exit: Exit, now: Moment) {
        let Some(life) = self.containers.get_mut(index) else { return };
        life.last_exit = Some(exit);
        let doomed_by = life.doomed_by.take();
        let asked = self.stopping.is_some();
        if asked {
            life.stage = Stage::Ended { exit: Some(exit) };
        } else if let Some(kind) = doomed_by {
            self.failed_run(pod, index, Some(exit), kind, now);
        } else if exit.is_success() {
            self.good_run(pod, index, exit, now);
        } else {
            self.failed_run(pod, index, Some(exit), TroubleKind::Exited(exit), now);
        }
    }

    /// A probe was answered. An action follows when the container must end because of it.
    pub(crate) fn probed(
        &mut self,
        pod: &Pod,
        index: usize,
        kind: ProbeKind,
        answer: &Answer,
        now: Moment,
    ) -> Option<PodAction> {
        let container = pod.all_containers().nth(index)?;
        let life = self.containers.get_mut(index)?;
        if !life.health.record(container, kind, answer, now) || !life.stage.is_running() {
            return None;
        }
        life.doomed_by = life.health.last_failure(kind).cloned().map(TroubleKind::Probe);
        life.health.ready = false;
        Some(end::begin(pod, container, life, index, now))
    }

    /// The hook after the start has ended.
    pub(crate) fn post_start_done(
        &mut self,
        pod: &Pod,
        index: usize,
        outcome: Result<(), String>,
        now: Moment,
    ) -> Option<PodAction> {
        let container = pod.all_containers().nth(index)?;
        let life = self.containers.get_mut(index)?;
        if !life.stage.is_running() {
            return None;
        }
        match outcome {
            Ok(()) => {
                life.health = Health::new(container, now);
                None
            }
            Err(reason) => {
                life.doomed_by = Some(TroubleKind::PostStart(reason));
                Some(end::begin(pod, container, life, index, now))
            }
        }
    }

    /// The hook before the stop signal has ended, well or not.
    pub(crate) fn pre_stop_done(&mut self, index: usize) -> Option<PodAction> {
        match self.containers.get_mut(index).map(|life| &mut life.stage) {
            Some(Stage::Stopping { signalled, .. }) if !*signalled => {
                *signalled = true;
                Some(PodAction::Signal { container: index })
            }
            _ => None,
        }
    }

    fn good_run(&mut self, pod: &Pod, index: usize, exit: Exit, now: Moment) {
        let Some(life) = self.containers.get_mut(index) else { return };
        if restart_of(pod, index) != Some(Restart::Always) {
            life.stage = Stage::Ended { exit: Some(exit) };
            return;
        }
        // A service that ends "well" at once is no better than one that fails.
        let until = life.count_failure(now);
        life.stage = Stage::Waiting { until: Some(until) };
        life.health = Health::default();
        self.note(pod, index, TroubleKind::Exited(exit), now);
    }

    fn failed_run(&mut self, pod: &Pod, index: usize, exit: Option<Exit>, kind: TroubleKind, now: Moment) {
        let stopping = self.stopping.is_some();
        let Some(life) = self.containers.get_mut(index) else { return };
        let until = life.count_failure(now);
        life.health = Health::default();
        let again = !stopping && restart_of(pod, index).is_some_and(|restart| restart != Restart::Never);
        life.stage = if again { Stage::Waiting { until: Some(until) } } else { Stage::Ended { exit } };
        self.note(pod, index, kind, now);
    }

    fn note(&mut self, pod: &Pod, index: usize, kind: TroubleKind, now: Moment) {
        let Some(container) = pod.all_containers().nth(index) else { return };
        let attempt = self.containers.get(index).map_or(0, |life| life.attempts);
        self.trouble = Some(Trouble { container: container.name.clone(), attempt, kind, at: now });
    }
}

/// What follows a container's end. An initial container that is no sidecar ends with its first success.
fn restart_of(pod: &Pod, index: usize) -> Option<Restart> {
    let container: &Container = pod.all_containers().nth(index)?;
    let initial = index < pod.init.len() && !container.sidecar;
    Some(match (initial, container.restart) {
        (true, Restart::Always) => Restart::OnFailure,
        (_, restart) => restart,
    })
}
