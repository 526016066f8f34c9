//! Bringing containers up, and keeping them up.

use super::life::{ContainerLife, PodLife, Stage, Trouble, TroubleKind};
use super::{PodAction, end};
use crate::moment::Moment;
use crate::spec::{Condition, Container, Pod};

pub(super) fn step(pod: &Pod, life: &mut PodLife, now: Moment) -> Vec<PodAction> {
    let mut actions = Vec::new();
    for index in 0..life.containers.len() {
        let Some(container) = pod.all_containers().nth(index) else { continue };
        match life.containers[index].stage {
            Stage::Waiting { until } if until.is_none_or(|until| until <= now) => {
                if may_start(pod, life, index, now) {
                    let own = &mut life.containers[index];
                    own.attempts += 1;
                    own.stage = Stage::Starting;
                    own.doomed_by = None;
                    actions.push(PodAction::Start { container: index, attempt: own.attempts });
                }
            }
            Stage::Running { .. } => {
                let due = life.containers[index].health.take_due(container, now);
                actions.extend(due.into_iter().map(|kind| PodAction::Probe { container: index, kind }));
            }
            Stage::Stopping { .. } | Stage::Killed { .. } => {
                actions.extend(end::push(&mut life.containers[index], index, now));
            }
            Stage::Waiting { .. } | Stage::Starting | Stage::Ended { .. } => {}
        }
    }
    actions
}

fn may_start(pod: &Pod, life: &mut PodLife, index: usize, now: Moment) -> bool {
    let before = index.min(pod.init.len());
    let initialised = pod.init[..before].iter().zip(&life.containers).all(|(container, life)| {
        if container.sidecar { life.stage.is_running() && life.health.started } else { life.succeeded() }
    });
    // Once the containers proper began, a sidecar's pause does not hold their restarts back.
    let began = index >= pod.init.len() && life.main(pod).any(|life| life.ran);
    let Some(container) = pod.all_containers().nth(index) else { return false };
    (initialised || began) && dependencies_hold(pod, life, container, now)
}

fn dependencies_hold(pod: &Pod, life: &mut PodLife, container: &Container, now: Moment) -> bool {
    for dependency in &container.depends_on {
        let Some(other) = pod.all_containers().position(|other| other.name == dependency.container) else {
            return false;
        };
        let holds = holds(dependency.condition, &life.containers[other]);
        if !holds && never_will(dependency.condition, &life.containers[other]) {
            let reason = format!(
                "it waits for {} ({:?}), which has ended",
                dependency.container, dependency.condition
            );
            life.hopeless = true;
            let kind = TroubleKind::Dependency(reason.to_lowercase());
            life.trouble = Some(Trouble { container: container.name.clone(), attempt: 0, kind, at: now });
        }
        if !holds {
            return false;
        }
    }
    true
}

fn holds(condition: Condition, life: &ContainerLife) -> bool {
    match condition {
        Condition::Started => life.ran,
        Condition::Complete => matches!(life.stage, Stage::Ended { .. }),
        Condition::Success => life.succeeded(),
        Condition::Healthy => life.stage.is_running() && life.health.ready,
    }
}

fn never_will(condition: Condition, life: &ContainerLife) -> bool {
    let ended = matches!(life.stage, Stage::Ended { .. });
    match condition {
        Condition::Started => ended && !life.ran,
        Condition::Complete => false,
        Condition::Success | Condition::Healthy => ended,
    }
}
