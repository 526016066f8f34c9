//! Bringing a replica down: by request, or because of what ended in it.

use super::life::{ContainerLife, PodLife, Reason, Stage, Stopping};
use super::{PodAction, PodPhase};
use crate::moment::Moment;
use crate::spec::{Container, Pod};

/// After a hook used the whole grace period up: what the stop signal still gets, as in Kubernetes.
const LAST_CHANCE_SECONDS: u32 = 2;

impl PodLife {
    /// Begins its end. Requests in flight may finish until `drain_until`; a second call can only shorten that.
    pub(crate) fn stop(&mut self, drain_until: Moment) {
        match &mut self.stopping {
            None => self.stopping = Some(Stopping { reason: Reason::Asked, drained: false, drain_until }),
            Some(stopping) => stopping.drain_until = stopping.drain_until.min(drain_until),
        }
    }

    /// No request is in flight any more.
    pub(crate) fn drained(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.drained = true;
        }
    }
}

/// Sees whether what ended ends the replica.
pub(super) fn notice(pod: &Pod, life: &mut PodLife, now: Moment) {
    if life.stopping.is_some() {
        return;
    }
    let ended: Vec<(&Container, &ContainerLife)> = pod
        .all_containers()
        .zip(&life.containers)
        .filter(|(_, life)| matches!(life.stage, Stage::Ended { .. }))
        .collect();
    let init: Vec<&str> = pod.init.iter().map(|container| container.name.as_str()).collect();
    let essential =
        ended.iter().find(|(container, _)| container.essential && !init.contains(&container.name.as_str()));
    let init_failed =
        ended.iter().any(|(container, life)| init.contains(&container.name.as_str()) && !life.succeeded());
    let all_ended = life.main(pod).all(|life| matches!(life.stage, Stage::Ended { .. }));
    let well = if init_failed || life.hopeless {
        Some(false)
    } else if let Some((_, life)) = essential {
        Some(life.succeeded())
    } else if all_ended {
        Some(life.main(pod).all(ContainerLife::succeeded))
    } else {
        None
    };
    if let Some(well) = well {
        life.stopping = Some(Stopping { reason: Reason::Finished { well }, drained: true, drain_until: now });
    }
}

pub(super) fn step(pod: &Pod, life: &mut PodLife, now: Moment) -> Vec<PodAction> {
    let Some(stopping) = &mut life.stopping else { return Vec::new() };
    stopping.drained |= stopping.drain_until <= now;
    let drained = stopping.drained;
    let mut actions = Vec::new();
    for index in 0..life.containers.len() {
        let Some(container) = pod.all_containers().nth(index) else { continue };
        match life.containers[index].stage {
            Stage::Waiting { .. } => life.containers[index].stage = Stage::Ended { exit: None },
            Stage::Running { .. } if drained && !is_needed(pod, life, index) => {
                actions.push(begin(pod, container, &mut life.containers[index], index, now));
            }
            Stage::Running { .. } => {}
            _ => actions.extend(push(&mut life.containers[index], index, now)),
        }
    }
    actions
}

/// Begins a running container's end.
pub(super) fn begin(
    pod: &Pod,
    container: &Container,
    life: &mut ContainerLife,
    index: usize,
    now: Moment,
) -> PodAction {
    let Stage::Running { since, pid } = life.stage else { return PodAction::Kill { container: index } };
    let kill_at = now.plus_seconds(container.stop_timeout_seconds.unwrap_or(pod.grace_seconds));
    let signalled = container.pre_stop.is_none();
    life.stage = Stage::Stopping { since, pid, kill_at, signalled };
    if signalled { PodAction::Signal { container: index } } else { PodAction::PreStop { container: index } }
}

/// Carries an end that began further when its time is over.
pub(super) fn push(life: &mut ContainerLife, index: usize, now: Moment) -> Option<PodAction> {
    let Stage::Stopping { since, pid, kill_at, signalled } = life.stage else { return None };
    if now < kill_at {
        return None;
    }
    if signalled {
        life.stage = Stage::Killed { since };
        return Some(PodAction::Kill { container: index });
    }
    let kill_at = now.plus_seconds(LAST_CHANCE_SECONDS);
    life.stage = Stage::Stopping { since, pid, kill_at, signalled: true };
    Some(PodAction::Signal { container: index })
}

/// Others that still run count on it: dependents, and for a sidecar the containers proper.
fn is_needed(pod: &Pod, life: &PodLife, index: usize) -> bool {
    let Some(own) = pod.all_containers().nth(index) else { return false };
    let alive = |index: usize| life.containers.get(index).is_some_and(|life| life.stage.is_alive());
    let dependents = pod.all_containers().enumerate().any(|(other, container)| {
        alive(other) && container.depends_on.iter().any(|on| on.container == own.name)
    });
    let proper = own.sidecar && index < pod.init.len() && (pod.init.len()..life.containers.len()).any(alive);
    dependents || proper
}

impl PodPhase {
    /// Nothing runs and nothing will.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, PodPhase::Ended { .. })
    }
}
