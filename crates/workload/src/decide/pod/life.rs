//! What is remembered of a replica's containers.

use serde::{Deserialize, Serialize};

use super::PodPhase;
use crate::decide::backoff::Backoff;
use crate::decide::health::Health;
use crate::decide::rollout::CRASHES_ALONE;
use crate::moment::Moment;
use crate::spec::Pod;
use crate::status::{Exit, ProbeFailure};

/// One replica's containers, in the order of [`Pod::all_containers`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PodLife {
    pub(crate) containers: Vec<ContainerLife>,
    pub(crate) stopping: Option<Stopping>,
    /// The last thing that went wrong.
    pub(crate) trouble: Option<Trouble>,
    /// Set once: it can never run.
    pub(crate) hopeless: bool,
}

/// One container's life over all its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContainerLife {
    /// Runs begun. The run's number is part of its id in the runtime.
    pub(crate) attempts: u32,
    pub(crate) stage: Stage,
    /// It has run at least once.
    pub(crate) ran: bool,
    pub(crate) health: Health,
    pub(crate) backoff: Backoff,
    /// Runs that ended badly, in a row.
    pub(crate) failures: u32,
    pub(crate) last_exit: Option<Exit>,
    /// The next exit is a failure whatever the code, and this is why.
    pub(crate) doomed_by: Option<TroubleKind>,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Not started, or not again before `until`.
    Waiting {
        until: Option<Moment>,
    },
    Starting,
    Running {
        since: Moment,
        pid: u32,
    },
    /// Its hook runs (`signalled` false) or it got its stop signal.
    Stopping {
        since: Moment,
        pid: u32,
        kill_at: Moment,
        signalled: bool,
    },
    Killed {
        since: Moment,
    },
    /// For good.
    Ended {
        exit: Option<Exit>,
    },
}

/// The replica ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stopping {
    pub(crate) reason: Reason,
    /// No request is in flight any more, or waiting for them took too long.
    pub(crate) drained: bool,
    pub(crate) drain_until: Moment,
}

/// Why a replica ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// Somebody wants it gone.
    Asked,
    /// Its containers ended, or an essential one did.
    Finished { well: bool },
}

/// Something that went wrong in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) container: String,
    /// The run's number.
    pub(crate) attempt: u32,
    pub(crate) kind: TroubleKind,
    pub(crate) at: Moment,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TroubleKind {
    Exited(Exit),
    NotStarted {
        message: String,
        hopeless: bool,
    },
    /// A startup or liveness probe.
    Probe(ProbeFailure),
    PostStart(String),
    Dependency(String),
}

impl PodLife {
    pub(crate) fn new(pod: &Pod) -> PodLife {
        let containers = pod.all_containers().map(|_| ContainerLife::new()).collect();
        PodLife { containers, stopping: None, trouble: None, hopeless: false }
    }

    pub(crate) fn phase(&self, pod: &Pod) -> PodPhase {
        let gone = self.containers.iter().all(|life| !life.stage.is_alive());
        match &self.stopping {
            Some(Stopping { reason: Reason::Finished { well }, .. }) if gone => {
                PodPhase::Ended { well: *well }
            }
            Some(_) if gone => PodPhase::Ended { well: true },
            Some(_) => PodPhase::Stopping,
            None if self.main(pod).any(|life| life.ran) => PodPhase::Running,
            None => PodPhase::Starting,
        }
    }

    /// Every container that should run is ready.
    pub(crate) fn is_ready(&self, pod: &Pod) -> bool {
        let serving = |life: &ContainerLife| life.stage.is_running() && life.health.ready;
        let finished = |life: &ContainerLife| matches!(life.stage, Stage::Ended { exit: Some(exit) } if exit.is_success());
        let sidecars = pod.init.iter().zip(&self.containers).filter(|(container, _)| container.sidecar);
        self.stopping.is_none()
            && self.main(pod).all(|life| serving(life) || finished(life))
            && self.main(pod).any(serving)
            && sidecars.into_iter().all(|(_, life)| serving(life))
    }

    /// Failed runs of the worst container, in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.containers.iter().map(|life| life.failures).max().unwrap_or(0)
    }

    /// Whether so many runs in a row failed that another one is no hope.
    pub(crate) fn crash_loops(&self) -> bool {
        self.failures() >= CRASHES_ALONE
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.containers.iter().map(|life| life.attempts.saturating_sub(1)).sum()
    }

    /// The containers proper.
    pub(super) fn main<'a>(&'a self, pod: &Pod) -> impl Iterator<Item = &'a ContainerLife> {
        self.containers.iter().skip(pod.init.len())
    }
}

impl ContainerLife {
    fn new() -> ContainerLife {
        ContainerLife {
            attempts: 0,
            stage: Stage::Waiting { until: None },
            ran: false,
            health: Health::default(),
            backoff: Backoff::default(),
            failures: 0,
            last_exit: None,
            doomed_by: None,
        }
    }

    /// Counts the run that just ended among the failed ones in a row, and says when to try again.
    pub(super) fn count_failure(&mut self, now: Moment) -> Moment {
        let ran = self.stage.since().map_or_else(Default::default, |since| now.since(since));
        let again = self.backoff.fail(ran, now);
        // one that ran well for long begins a new row
        self.failures = self.backoff.failures;
        again
    }

    /// Ended for good, and well.
    pub(super) fn succeeded(&self) -> bool {
        matches!(self.stage, Stage::Ended { exit: Some(exit) } if exit.is_success())
    }
}

impl Stage {
    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Stage::Running { .. })
    }

    /// A process may be there.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(
            self,
            Stage::Starting | Stage::Running { .. } | Stage::Stopping { .. } | Stage::Killed { .. }
        )
    }

    pub(crate) fn since(&self) -> Option<Moment> {
        match self {
            Stage::Running { since, .. } | Stage::Stopping { since, .. } | Stage::Killed { since } => {
                Some(*since)
            }
            _ => None,
        }
    }
}
