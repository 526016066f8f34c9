//! What the supervisor tells about what it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::spec::{ApplicationProtocol, Revision, ServiceKey, WorkloadKey};

/// Everything a filter selected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// By key.
    pub workloads: Vec<WorkloadStatus>,
    /// By key.
    pub services: Vec<ServiceStatus>,
}

/// Which workloads and services are meant. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only this Application's.
    pub application: Option<String>,
    /// Only this namespace's.
    pub namespace: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
}

impl Filter {
    /// All of one Application.
    pub fn application(name: impl Into<String>) -> Filter {
        Filter { application: Some(name.into()), ..Filter::default() }
    }

    /// One workload.
    pub fn workload(key: &WorkloadKey) -> Filter {
        Filter {
            application: Some(key.application.clone()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
        }
    }

    pub(crate) fn takes(&self, application: &str, namespace: &str, name: &str) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        fits(&self.application, application) && fits(&self.namespace, namespace) && fits(&self.name, name)
    }
}

impl Status {
    /// What of it the filter selects.
    pub(crate) fn selected(&self, filter: &Filter) -> Status {
        let workloads = self.workloads.iter().filter(|workload| {
            filter.takes(&workload.key.application, &workload.key.namespace, &workload.key.name)
        });
        let services = self.services.iter().filter(|service| {
            filter.takes(&service.key.application, &service.key.namespace, &service.key.name)
        });
        Status { workloads: workloads.cloned().collect(), services: services.cloned().collect() }
    }
}

/// Names one rollout: one `apply` (or restart, scale) of one workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RolloutId(pub(crate) String);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a rollout goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RolloutStatus {
    /// Under way.
    Progressing {
        /// What it waits for, e.g. "1 of 3 new replicas ready".
        message: String,
    },
    /// Every wanted replica runs the new revision and is available; for a task: it succeeded.
    Healthy,
    /// It did not become healthy. Where an older healthy revision exists it serves (or is being put back).
    Failed {
        /// Why.
        cause: Cause,
    },
    /// A later rollout of the same workload took its place.
    Superseded,
}

/// Why something failed: what an engineer needs to see at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// One line, e.g. "container web exited with code 1 three times".
    pub summary: String,
    /// The replica it was seen on.
    pub replica: Option<String>,
    /// The container.
    pub container: Option<String>,
    /// How it ended.
    pub exit: Option<Exit>,
    /// The kernel ended it because of its memory limit.
    pub out_of_memory: bool,
    /// The probe that failed.
    pub probe: Option<ProbeFailure>,
    /// The container's last output, oldest first.
    pub last_log_lines: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// A probe that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFailure {
    /// e.g. "readiness: GET http://10.1.0.2:3000/ready".
    pub probe: String,
    /// Its last answer, e.g. "503 Service Unavailable: database is down".
    pub answer: String,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel ended it because of its memory limit.
    pub out_of_memory: bool,
    /// When.
    pub at: Moment,
}

impl Exit {
    /// Exit code 0.
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && !self.out_of_memory
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.out_of_memory, self.code, self.signal) {
            (true, ..) => f.write_str("was ended for going over its memory limit"),
            (_, Some(code), _) => write!(f, "exited with code {code}"),
            (_, None, Some(signal)) => write!(f, "was ended by signal {signal}"),
            (_, None, None) => f.write_str("ended, nobody saw how"),
        }
    }
}

/// A workload as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// Its name.
    pub key: WorkloadKey,
    /// The caller's notes.
    pub annotations: BTreeMap<String, String>,
    /// The revision that should run now (after a failed rollout: the one that was put back).
    pub revision: Revision,
    /// Replicas wanted; of a task that is done, none.
    pub desired: u32,
    /// Replicas that answer their readiness probe.
    pub ready: u32,
    /// Of those, with the wanted revision.
    pub updated: u32,
    /// The last rollout.
    pub rollout: RolloutId,
    /// How it went.
    pub rollout_status: RolloutStatus,
    /// The machine was restarted since; nothing runs until the next `up` or `serve`.
    pub stopped_by_reboot: bool,
    /// Each replica.
    pub replicas: Vec<ReplicaStatus>,
}

/// A replica as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Unique on this machine.
    pub id: String,
    /// What it runs.
    pub revision: Revision,
    /// Where in its life it is.
    pub phase: ReplicaPhase,
    /// Its probes say yes.
    pub ready: bool,
    /// It gets traffic.
    pub serving: bool,
    /// Restarts, all containers together.
    pub restarts: u32,
    /// When it was made.
    pub created: Moment,
    /// Its address inside its own network namespace.
    pub address: Ipv4Addr,
    /// Each container, the initial ones first.
    pub containers: Vec<ContainerStatus>,
    /// It is ready, but its last run failed and this one has not lasted long: what is tried again and again is ready for
    /// a moment each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wavering: bool,
    /// Why it will not be ready by waiting: as many runs in a row failed as would end a rollout. It is tried again all
    /// the same, ever more slowly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Box<Cause>>,
}

/// Where in its life a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaPhase {
    /// Nothing runs yet, or initial containers do.
    Starting,
    /// Its containers run (or are being restarted).
    Running,
    /// It gets no more traffic and ends.
    Stopping,
    /// A task that ended well.
    Succeeded,
    /// It ended and stays ended.
    Failed,
    /// The machine was restarted.
    StoppedByReboot,
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name in the pod.
    pub name: String,
    /// The runtime's id of the running (or last) one.
    pub runtime_id: String,
    /// As people wrote it.
    pub image: String,
    /// What it does.
    pub state: ContainerState,
    /// Its probes say yes.
    pub ready: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// How the one before ended.
    pub last_exit: Option<Exit>,
    /// Folder of its log files.
    pub logs: PathBuf,
    /// What was asked for and this machine does not enforce.
    pub warnings: Vec<String>,
}

impl ContainerStatus {
    /// Whether its program runs now.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. })
    }
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Not started (again) yet.
    Waiting {
        /// e.g. "back-off 40 s after exit code 1".
        reason: String,
    },
    /// Runs.
    Running {
        /// As the host sees it.
        pid: u32,
        /// Since when.
        since: Moment,
    },
    /// Ended and stays so.
    Exited(Exit),
}

/// A service as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub key: ServiceKey,
    /// The caller's notes.
    pub annotations: BTreeMap<String, String>,
    /// Its loopback address inside every pod.
    pub address: Ipv4Addr,
    /// Host ports, in the order of its ports; empty where not published.
    pub published: Vec<PublishedPort>,
    /// Replicas that take its requests now.
    pub ready_replicas: u32,
    /// What keeps it from serving, e.g. a host port that another program took.
    pub problem: Option<String>,
}

/// A port on this machine's 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The service's port.
    pub port: u16,
    /// The one on 127.0.0.1.
    pub host_port: u16,
    /// What is spoken, where the service says it.
    #[serde(default)]
    pub application: Option<ApplicationProtocol>,
}

impl PublishedPort {
    /// Where a program on this machine reaches it: `http://127.0.0.1:PORT`, without the scheme where HTTP is not spoken.
    pub fn address(&self) -> String {
        let scheme = if self.application == Some(ApplicationProtocol::Tcp) { "" } else { "http://" };
        format!("{scheme}127.0.0.1:{}", self.host_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_unless_another_protocol_is_spoken() {
        let of = |application| PublishedPort { port: 80, host_port: 8080, application }.address();
        assert_eq!(of(None), "http://127.0.0.1:8080");
        assert_eq!(of(Some(ApplicationProtocol::H2c)), "http://127.0.0.1:8080");
        assert_eq!(of(Some(ApplicationProtocol::Tcp)), "127.0.0.1:8080");
    }
}
