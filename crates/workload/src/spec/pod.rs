//! A pod: containers that share a network namespace, an address and volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Container, InvalidWorkload, SecretBytes};

/// Containers that live and die together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// What Services select by.
    pub labels: BTreeMap<String, String>,
    /// Run one after the other before `containers`; one with `sidecar` set stays.
    pub init: Vec<Container>,
    /// The containers proper.
    pub containers: Vec<Container>,
    /// Storage by name, mounted by containers.
    pub volumes: BTreeMap<String, Volume>,
    /// From the stop signal to SIGKILL; also the longest wait for requests in flight.
    pub grace_seconds: u32,
    /// The host name inside; the replica's id where absent.
    pub hostname: Option<String>,
    /// More lines for `/etc/hosts`.
    pub host_aliases: Vec<HostAlias>,
}

/// One line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAlias {
    /// The address.
    pub address: Ipv4Addr,
    /// Its names.
    pub names: Vec<String>,
}

/// Storage of a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Volume {
    /// An empty folder that ends with the replica.
    Empty {
        /// Kept in memory.
        memory: bool,
        /// Most bytes it may hold, where that can be enforced (in memory only).
        size_bytes: Option<u64>,
    },
    /// Files written before the containers start: a ConfigMap's or Secret's.
    Files(BTreeMap<String, FileContent>),
    /// A folder or file of this machine.
    Host(PathBuf),
}

/// One file of [`Volume::Files`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileContent {
    /// What it holds. Treated as secret always: never printed.
    pub bytes: SecretBytes,
    /// Unix permission bits, e.g. `0o644`.
    pub mode: u32,
}

impl Pod {
    /// Every container, the initial ones first.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init.iter().chain(&self.containers)
    }

    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.all_containers().find(|container| container.name == name)
    }

    pub(super) fn validate_dependencies(&self) -> Result<(), InvalidWorkload> {
        for container in self.all_containers() {
            for dependency in &container.depends_on {
                if self.container(&dependency.container).is_none() {
                    let (container, on) = (container.name.clone(), dependency.container.clone());
                    return Err(InvalidWorkload::NoSuchDependency { container, on });
                }
            }
        }
        let mut settled: BTreeSet<&str> = BTreeSet::new();
        loop {
            let waiting: Vec<&Container> = self
                .all_containers()
                .filter(|container| !settled.contains(container.name.as_str()))
                .collect();
            let free: Vec<&str> = waiting
                .iter()
                .filter(|container| {
                    container.depends_on.iter().all(|on| settled.contains(on.container.as_str()))
                })
                .map(|container| container.name.as_str())
                .collect();
            if waiting.is_empty() {
                return Ok(());
            }
            if free.is_empty() {
                let circle: Vec<&str> = waiting.iter().map(|container| container.name.as_str()).collect();
                return Err(InvalidWorkload::DependencyCycle(circle.join(", ")));
            }
            settled.extend(free);
        }
    }
}
