//! A service: one name and port in front of the ready replicas of a selector.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::workload::valid_name;
use super::{InvalidWorkload, PortProtocol};

/// Names a service on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// The Application that owns it.
    pub application: String,
    /// Its namespace: it selects replicas of this namespace only.
    pub namespace: String,
    /// Its name, which replicas of the namespace resolve.
    pub name: String,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}/{}", self.application, self.namespace, self.name)
    }
}

/// What to proxy to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub key: ServiceKey,
    /// Replicas of the namespace with all these labels. Empty selects none, as in Kubernetes.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Whether its ports are reachable on this machine's 127.0.0.1.
    pub publish: Publish,
    /// The caller's own notes, given back by `status`.
    pub annotations: BTreeMap<String, String>,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its name, empty where it has none.
    pub name: String,
    /// What clients inside pods connect to.
    pub port: u16,
    /// What the replica listens on.
    pub target: TargetPort,
    /// TCP; a UDP port is refused by name.
    pub protocol: PortProtocol,
    /// What is spoken; found out from the first bytes where absent.
    pub application: Option<ApplicationProtocol>,
}

/// A replica's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name of a container's port.
    Name(String),
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApplicationProtocol {
    /// HTTP/1.1 (and HTTP/2 where the client begins with it).
    Http,
    /// HTTP/2 without TLS towards the replica always.
    H2c,
    /// Bytes.
    Tcp,
}

/// Whether a service is reachable on this machine's 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Publish {
    /// On a host port that stays the same until the service is deleted.
    Yes {
        /// For its first port, taken when it is free at first.
        preferred: Option<u16>,
    },
    /// Inside pods only.
    No,
}

impl Service {
    /// Refuses what could not be served.
    pub fn validate(&self) -> Result<(), InvalidWorkload> {
        for part in [&self.key.application, &self.key.namespace, &self.key.name] {
            valid_name("service", part)?;
        }
        let refuse =
            |problem: String| Err(InvalidWorkload::ServicePorts { service: self.key.name.clone(), problem });
        if self.ports.is_empty() {
            return refuse("it has no port".to_owned());
        }
        let mut seen = BTreeSet::new();
        for port in &self.ports {
            if port.protocol == PortProtocol::Udp {
                return refuse(format!("port {}/udp: only TCP is proxied on this machine", port.port));
            }
            if port.port == 0 || port.target == TargetPort::Number(0) {
                return refuse("port 0 is none".to_owned());
            }
            if !seen.insert(port.port) {
                return refuse(format!("port {} is there twice", port.port));
            }
        }
        Ok(())
    }

    /// Whether its selector takes these labels.
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.key.namespace == namespace
            && !self.selector.is_empty()
            && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}
