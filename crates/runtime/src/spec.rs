//! What to run: everything a shim needs to make one container. Engine-neutral, stored in the container's folder,
//! and therefore versioned.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// The format of a stored [`ContainerSpec`]; a reader refuses any other.
pub const SPEC_VERSION: u32 = 1;

/// One container, completely described.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Always [`SPEC_VERSION`].
    pub version: u32,
    /// Names the container's folder, cgroup and links; unique in one run folder.
    pub id: ContainerId,
    /// The root file system.
    pub rootfs: Rootfs,
    /// The program and its arguments; the program is looked up in the container's `PATH`.
    pub args: Vec<String>,
    /// The environment, in order. `PATH` and `HOME` are added when absent.
    pub env: Vec<(String, String)>,
    /// The working directory inside the container; made when absent, as Docker does.
    pub cwd: PathBuf,
    /// Docker's `USER`: `user`, `uid`, `user:group`, `uid:gid`, or empty for root.
    pub user: String,
    /// Supplementary groups besides those that the container's `/etc/group` gives the user.
    pub extra_groups: Vec<u32>,
    /// The host name seen inside.
    pub hostname: String,
    /// Additional mounts, in order.
    pub mounts: Vec<Mount>,
    /// Lines for `/etc/hosts` after those for localhost; the file is only made when `hosts` is set.
    pub hosts: Option<Vec<HostEntry>>,
    /// The text of `/etc/resolv.conf`; `None` leaves the image's own.
    pub resolv_conf: Option<String>,
    /// What the container may use.
    pub limits: Limits,
    /// What the container may do.
    pub security: Security,
    /// Where its packets go.
    pub network: Network,
    /// Where its output goes.
    pub log: LogOptions,
    /// Size of `/dev/shm` in bytes; Docker's default is 64 MiB.
    pub shm_bytes: u64,
    /// Kernel parameters of the container's own namespaces, by dotted name.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of the process; values above what this process may set are lowered, with a warning.
    pub rlimits: Vec<Rlimit>,
    /// The kernel's preference when memory runs out, −1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// The container ends with this process, and nothing of it is left then.
    pub tied_to: Option<Identity>,
}

impl ContainerSpec {
    /// A container with Docker's defaults: root user, host name from the id, isolated network, no limits.
    pub fn new(id: ContainerId, rootfs: Rootfs, args: Vec<String>) -> Self {
        let hostname = id.as_str().chars().take(63).collect();
        Self {
            version: SPEC_VERSION,
            id,
            rootfs,
            args,
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: String::new(),
            extra_groups: Vec::new(),
            hostname,
            mounts: Vec::new(),
            hosts: None,
            resolv_conf: None,
            limits: Limits::default(),
            security: Security::default(),
            network: Network::Isolated,
            log: LogOptions::default(),
            shm_bytes: 64 << 20,
            sysctls: BTreeMap::new(),
            rlimits: Vec::new(),
            oom_score_adj: None,
            tied_to: None,
        }
    }
}

/// A container's name in its run folder: 1 to 64 of `[A-Za-z0-9_.-]`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// A text that is no [`ContainerId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "container id {0:?} must be 1 to 64 of letters, digits, '_', '.', '-', and start with a letter or digit"
)]
pub struct InvalidContainerId(String);

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = InvalidContainerId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidContainerId(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidContainerId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rootfs {
    /// Unpacked layers, lowest first; what the container writes is thrown away with it.
    Layers {
        /// Overlay lower folders, lowest first.
        layers: Vec<PathBuf>,
        /// Nothing can be written when set.
        read_only: bool,
    },
    /// A plain folder, written in place.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Nothing can be written when set.
        read_only: bool,
    },
    /// Layers whose upper folder the caller keeps (a build step).
    Overlay {
        /// Overlay lower folders, lowest first.
        layers: Vec<PathBuf>,
        /// Receives what the container writes, in overlay form.
        upper: PathBuf,
        /// Scratch for the kernel, on the same file system as `upper`, empty.
        work: PathBuf,
    },
}

impl Rootfs {
    /// Whether the program may write to `/`.
    pub fn read_only(&self) -> bool {
        match self {
            Self::Layers { read_only, .. } | Self::Folder { read_only, .. } => *read_only,
            Self::Overlay { .. } => false,
        }
    }
}

/// Something mounted into the container. A missing target is made, without following links out of the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// A file or folder of the host.
    Bind {
        /// Absolute path on the host; must exist.
        source: PathBuf,
        /// Absolute path in the container.
        target: PathBuf,
        /// The container can't write to it when set.
        read_only: bool,
    },
    /// Memory.
    Tmpfs {
        /// Absolute path in the container.
        target: PathBuf,
        /// Largest size in bytes.
        size: Option<u64>,
        /// Permission bits of its root; 0o1777 when absent.
        mode: Option<u32>,
    },
    /// A file or folder of other layers than the container's own.
    Layers {
        /// Lowest first, in overlay form.
        layers: Vec<PathBuf>,
        /// Absolute path in those layers; links are followed inside them.
        path: PathBuf,
        /// Absolute path in the container.
        target: PathBuf,
        /// Where the container's writes go; it can't write when absent.
        writable: Option<Writable>,
    },
}

/// Folders of one file system that an overlay writes into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writable {
    /// What was written.
    pub upper: PathBuf,
    /// The kernel's own.
    pub work: PathBuf,
}

impl Mount {
    /// The path in the container.
    pub fn target(&self) -> &PathBuf {
        match self {
            Self::Bind { target, .. } | Self::Tmpfs { target, .. } | Self::Layers { target, .. } => target,
        }
    }
}

/// A line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The address.
    pub address: IpAddr,
    /// The names it has.
    pub names: Vec<String>,
}

/// What the container may use. Limits that this machine can't enforce become warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes; above it the kernel kills.
    pub memory_bytes: Option<u64>,
    /// CPU ceiling in thousandths of a CPU.
    pub cpu_millis: Option<u32>,
    /// CPU share under contention in thousandths of a CPU.
    pub cpu_request_millis: Option<u32>,
    /// Number of processes and threads.
    pub pids: Option<u32>,
}

impl Limits {
    /// Nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the container may do. The default is Docker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// All capabilities, all devices, no masked paths, no seccomp: as root on the host.
    pub privileged: bool,
    /// Capabilities besides Docker's default set (`NET_ADMIN`, `CAP_NET_ADMIN` or `ALL`).
    pub capabilities_add: Vec<String>,
    /// Capabilities to take from the set (or `ALL`); taken before additions are made.
    pub capabilities_drop: Vec<String>,
    /// Set-user-id programs give nothing when set.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Start even where the filter, a capability or the devices can't be enforced; each becomes a warning.
    pub insecure: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            privileged: false,
            capabilities_add: Vec::new(),
            capabilities_drop: Vec::new(),
            no_new_privileges: false,
            seccomp: Seccomp::Default,
            insecure: false,
        }
    }
}

/// The system call filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Docker's default profile.
    Default,
    /// None.
    Unconfined,
}

/// Where the container's packets go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A network namespace of its own, kept by the shim until it is released.
    Own(OwnNetwork),
    /// The namespace that another shim keeps: a second container of one pod.
    Join(Identity),
    /// The host's.
    Host,
    /// A namespace with nothing but loopback.
    Isolated,
}

/// A network namespace with an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnNetwork {
    /// The pod's address; on `eth0` with an uplink, else on `lo`.
    pub address: Ipv4Addr,
    /// The way out; `None` for none.
    pub uplink: Option<Uplink>,
}

/// A bridge on the host, made when absent, behind which containers reach the outside by masquerade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// The bridge's name, at most 15 bytes.
    pub bridge: String,
    /// The bridge's address, the containers' default route.
    pub gateway: Ipv4Addr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
}

impl Default for Uplink {
    fn default() -> Self {
        Self { bridge: "minato0".to_owned(), gateway: Ipv4Addr::new(10, 88, 0, 1), prefix: 16 }
    }
}

/// Where output goes: `<folder>/output.log`, older files `output.log.1` and on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// The folder, made when absent; `None` uses the container's own folder, which goes with it.
    pub folder: Option<PathBuf>,
    /// Size in bytes at which a file is put aside.
    pub max_bytes: u64,
    /// Number of files kept, the current one included.
    pub files: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { folder: None, max_bytes: 10 << 20, files: 3 }
    }
}

/// A resource limit of the process, by its kernel name (`RLIMIT_NOFILE`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The kernel's name.
    pub name: String,
    /// What is in force.
    pub soft: u64,
    /// Up to where the process may raise it.
    pub hard: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_safe_file_name() {
        for good in ["a", "web-1.main_0", "0abc"] {
            assert!(good.parse::<ContainerId>().is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", ".", "..", "-a", "a/b", "a\0b", "é", long.as_str()] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stored_id_is_checked_when_read() {
        assert!(serde_json::from_str::<ContainerId>("\"../x\"").is_err());
    }
}
