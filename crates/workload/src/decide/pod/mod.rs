//! The life of one replica: its containers' order of start, their restarts, and the order of its end.
//!
//! ```text
//! start:  init containers one by one (sidecars stay) ─► containers, each when its `depends_on` holds
//! end:    no new requests ─► requests in flight finish ─► preStop ─► stop signal ─► grace ─► SIGKILL
//! ```
//! [`next_step`] moves a [`PodLife`] forward and says what to do; `events` takes in what happened. A `PodLife` is kept
//! in the record file, so that a supervisor that takes over goes on from there.

mod end;
mod events;
mod life;
mod start;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use life::{ContainerLife, PodLife, Reason, Stage, Stopping, Trouble, TroubleKind};

use super::health::ProbeKind;
use crate::moment::Moment;
use crate::spec::Pod;

/// What to do with a container; the index counts initial containers first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodAction {
    Start { container: usize, attempt: u32 },
    Probe { container: usize, kind: ProbeKind },
    PostStart { container: usize },
    PreStop { container: usize },
    Signal { container: usize },
    Kill { container: usize },
}

/// Where a replica is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodPhase {
    Starting,
    Running,
    Stopping,
    /// Nothing runs and nothing will.
    Ended {
        well: bool,
    },
}

/// Moves the life forward to `now`. The actions returned count as begun; what comes of them is told to `life`.
pub(crate) fn next_step(pod: &Pod, life: &mut PodLife, now: Moment) -> Vec<PodAction> {
    end::notice(pod, life, now);
    if life.stopping.is_some() { end::step(pod, life, now) } else { start::step(pod, life, now) }
}

/// When [`next_step`] has something to do even if nothing happens.
pub(crate) fn wake(pod: &Pod, life: &PodLife) -> Option<Moment> {
    let containers =
        pod.all_containers().zip(&life.containers).filter_map(|(container, life)| match &life.stage {
            Stage::Waiting { until } => *until,
            Stage::Running { .. } => life.health.next_due(container),
            Stage::Stopping { kill_at, .. } => Some(*kill_at),
            Stage::Starting | Stage::Killed { .. } | Stage::Ended { .. } => None,
        });
    let drain =
        life.stopping.as_ref().filter(|stopping| !stopping.drained).map(|stopping| stopping.drain_until);
    containers.chain(drain).min()
}
