//! A workload: how many replicas of a pod, and how a new version takes over.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Pod;

/// Names a workload on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadKey {
    /// The Application that owns it.
    pub application: String,
    /// Kubernetes' namespace, or the ECS cluster.
    pub namespace: String,
    /// The Deployment's, Pod's or ECS service's name.
    pub name: String,
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}/{}", self.application, self.namespace, self.name)
    }
}

/// Replicas of one pod and the way to replace them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Its name.
    pub key: WorkloadKey,
    /// How many replicas to keep. [`Run::Once`] uses one.
    pub replicas: u32,
    /// How a new revision replaces the old one.
    pub strategy: Strategy,
    /// A new replica counts as available when it was ready this long.
    pub min_ready_seconds: u32,
    /// While an older healthy revision serves, the first replica of a new one must stay ready this long before it gets
    /// any traffic and before an old replica is touched. At least `min_ready_seconds` is used.
    pub soak_seconds: u32,
    /// A rollout that makes no progress for this long has failed.
    pub progress_deadline_seconds: u32,
    /// What each replica is.
    pub pod: Pod,
    /// Whether the pod serves for ever or ends by itself.
    pub run: Run,
    /// The caller's own notes, given back by `status`; never read here and no part of the revision.
    pub annotations: BTreeMap<String, String>,
}

/// How a new revision replaces the old one. Counts are resolved already (no percentages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// New replicas come up beside the old ones, as a Deployment's RollingUpdate.
    Rolling {
        /// Replicas that may exist above the wanted count. 0 together with `max_unavailable` 0 is read as 1.
        max_surge: u32,
        /// Replicas that may be missing while updating.
        max_unavailable: u32,
    },
    /// All old replicas end before a new one starts.
    Recreate,
}

/// Whether a pod serves for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// A service: a replica that ends is replaced.
    Forever,
    /// A task that ends by itself, as a Job: success ends it.
    Once {
        /// Failed replicas after which it has failed (a Job's backoffLimit + 1).
        attempts: u32,
    },
}

/// Identifies what a replica runs: a hash of the pod and the kind of run, 16 hex digits. The count of replicas and the
/// strategy are no part of it, so scaling is no new revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(String);

impl Revision {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Workload {
    /// The revision its replicas have.
    pub fn revision(&self) -> Revision {
        let template = serde_json::to_vec(&(&self.pod, &self.run)).unwrap_or_default();
        Revision(hex::encode(&Sha256::digest(template)[..8]))
    }

    /// Refuses what could not run or would escape its folder. Callers check users' documents with better places to
    /// point at; this is the supervisor's own door.
    pub fn validate(&self) -> Result<(), InvalidWorkload> {
        let key = &self.key;
        for part in [&key.application, &key.namespace, &key.name] {
            valid_name("workload", part)?;
        }
        let pod = &self.pod;
        if pod.containers.is_empty() {
            return Err(InvalidWorkload::NoContainer(key.to_string()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for container in pod.init.iter().chain(&pod.containers) {
            valid_name("container", &container.name)?;
            if !seen.insert(container.name.as_str()) {
                return Err(InvalidWorkload::DuplicateContainer(container.name.clone()));
            }
        }
        for container in pod.init.iter().chain(&pod.containers) {
            container.validate(pod)?;
        }
        for name in pod.volumes.keys() {
            valid_name("volume", name)?;
        }
        pod.validate_dependencies()
    }
}

pub(super) fn valid_name(what: &'static str, name: &str) -> Result<(), InvalidWorkload> {
    let fits = !name.is_empty()
        && name.len() <= 255
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !name.starts_with('.');
    if fits { Ok(()) } else { Err(InvalidWorkload::Name { what, name: name.chars().take(80).collect() }) }
}

/// A workload the supervisor refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWorkload {
    /// A name that could not be part of a path.
    #[error(
        "{what} name {name:?} may hold only letters, digits, '-', '_' and '.', at most 255, not starting with '.'"
    )]
    Name {
        /// What it names.
        what: &'static str,
        /// Its first 80 characters.
        name: String,
    },
    /// A pod without a container.
    #[error("workload {0} has no container")]
    NoContainer(String),
    /// Two containers of one name.
    #[error("container {0:?} is named twice in one pod")]
    DuplicateContainer(String),
    /// A mount without its volume.
    #[error("container {container:?} mounts volume {volume:?}, which its pod does not have")]
    NoSuchVolume {
        /// The container.
        container: String,
        /// The missing volume.
        volume: String,
    },
    /// A path that leaves its folder.
    #[error("path {path:?} in {place} must be relative and without '..'")]
    EscapingPath {
        /// The path.
        path: String,
        /// Where it stands.
        place: String,
    },
    /// `depends_on` names nobody.
    #[error("container {container:?} depends on {on:?}, which its pod does not have")]
    NoSuchDependency {
        /// The container.
        container: String,
        /// The missing one.
        on: String,
    },
    /// `depends_on` in a circle.
    #[error("containers wait for each other in a circle: {0}")]
    DependencyCycle(String),
    /// A service without ports, or a port twice.
    #[error("service {service:?}: {problem}")]
    ServicePorts {
        /// The service.
        service: String,
        /// What is wrong.
        problem: String,
    },
}
