//! One container of a pod.

use std::path::{Component, Path, PathBuf};

use minato_oci::Digest;
use serde::{Deserialize, Serialize};

use super::workload::valid_name;
use super::{InvalidWorkload, Pod, Probe, ProbeAction, Secret};

/// One container. Image defaults (entry point, user, …) are merged in already by the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Unique in its pod.
    pub name: String,
    /// What it runs from.
    pub image: ImageUse,
    /// The whole command line, program first.
    pub args: Vec<String>,
    /// Its environment, later entries win.
    pub env: Vec<EnvVar>,
    /// Working directory; `/` where empty.
    pub cwd: String,
    /// Docker's USER (`name`, `uid`, `uid:gid`, …); root where empty.
    pub user: String,
    /// Groups besides the user's own (`supplementalGroups`, `fsGroup`).
    pub extra_groups: Vec<u32>,
    /// CPU, memory, processes.
    pub limits: Limits,
    /// Privileges.
    pub security: Security,
    /// Volumes of the pod it sees.
    pub mounts: Vec<Mount>,
    /// Passes once before the other probes begin.
    pub startup: Option<Probe>,
    /// While it fails the replica gets no traffic. Always ready where absent.
    pub readiness: Option<Probe>,
    /// When it fails the container is restarted.
    pub liveness: Option<Probe>,
    /// Run when it has started, before it counts as started.
    pub post_start: Option<Hook>,
    /// Run before the stop signal, inside the grace period.
    pub pre_stop: Option<Hook>,
    /// What must have happened to other containers of the pod before it starts (ECS `dependsOn`).
    pub depends_on: Vec<DependsOn>,
    /// Its end ends the whole pod (ECS). Matters for containers that are not restarted.
    pub essential: bool,
    /// What follows its end.
    pub restart: Restart,
    /// In `init`: stays running beside the containers proper.
    pub sidecar: bool,
    /// Name or number, `SIGTERM` where empty.
    pub stop_signal: String,
    /// Its own time from stop signal to SIGKILL (ECS `stopTimeout`); the pod's where absent.
    pub stop_timeout_seconds: Option<u32>,
    /// Ports by name, for Services and probes.
    pub ports: Vec<ContainerPort>,
}

/// The image a container is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUse {
    /// Config digest: the image's identity on this machine.
    pub id: Digest,
    /// diff_ids, lowest layer first; unpacked in the content store.
    pub layers: Vec<Digest>,
    /// As people wrote it, for messages.
    pub reference: String,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value. Treated as secret always: never printed.
    pub value: EnvValue,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EnvValue {
    /// Known before there is a replica.
    Text(Secret),
    /// The replica's own name.
    ReplicaName,
    /// The replica's own address.
    ReplicaAddress,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Above it the kernel ends the container.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu_millis: Option<u64>,
    /// Share under contention, thousandths of a CPU.
    pub cpu_request_millis: Option<u64>,
    /// Most processes and threads.
    pub pids: Option<u64>,
}

/// What a container may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Every capability and device.
    pub privileged: bool,
    /// Added to Docker's default set (`NET_ADMIN`, without `CAP_`).
    pub capabilities_add: Vec<String>,
    /// Taken from it; `ALL` first.
    pub capabilities_drop: Vec<String>,
    /// Set-uid programs gain nothing.
    pub no_new_privileges: bool,
    /// The root file system is read-only.
    pub read_only_root: bool,
    /// No seccomp filter (asked for by name only).
    pub seccomp_unconfined: bool,
    /// Start even where the machine can't enforce what is asked for (`--insecure`).
    pub insecure: bool,
}

/// A volume seen by a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The pod's volume.
    pub volume: String,
    /// Where, absolute.
    pub path: PathBuf,
    /// Only this file or folder of the volume.
    pub sub_path: Option<PathBuf>,
    /// May not be written.
    pub read_only: bool,
}

/// A command or request at a point of a container's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// What to do; its failure ends the container.
    pub action: ProbeAction,
    /// Only wait (Kubernetes' `sleep`), before the action.
    pub sleep_seconds: u32,
}

/// Waits for another container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependsOn {
    /// Its name.
    pub container: String,
    /// What must be true of it.
    pub condition: Condition,
}

/// ECS's conditions of `dependsOn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Has been started.
    Started,
    /// Has ended.
    Complete,
    /// Has ended with exit code 0.
    Success,
    /// Its readiness (or health check) passes.
    Healthy,
}

/// What follows a container's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Started again.
    Always,
    /// Started again unless it exited 0.
    OnFailure,
    /// Stays ended.
    Never,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPort {
    /// Its name, empty where it has none.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: PortProtocol,
}

/// Transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP: not carried by the proxy.
    Udp,
}

impl Container {
    pub(super) fn validate(&self, pod: &Pod) -> Result<(), InvalidWorkload> {
        for mount in &self.mounts {
            valid_name("volume", &mount.volume)?;
            if !pod.volumes.contains_key(&mount.volume) {
                let (container, volume) = (self.name.clone(), mount.volume.clone());
                return Err(InvalidWorkload::NoSuchVolume { container, volume });
            }
            if let Some(path) = &mount.sub_path {
                stays_inside(path, &format!("subPath of container {}", self.name))?;
            }
        }
        for (name, volume) in &pod.volumes {
            if let super::Volume::Files(files) = volume {
                for path in files.keys() {
                    stays_inside(Path::new(path), &format!("volume {name}"))?;
                }
            }
        }
        Ok(())
    }
}

fn stays_inside(path: &Path, place: &str) -> Result<(), InvalidWorkload> {
    let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside && path.components().next().is_some() {
        return Ok(());
    }
    Err(InvalidWorkload::EscapingPath { path: path.display().to_string(), place: place.to_owned() })
}
