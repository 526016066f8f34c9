//! What is particular to Linux.

use crate::fields::Fields;

/// `linuxParameters`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinuxParameters {
    /// Capabilities on top of Docker's defaults, without `CAP_`: `SYS_PTRACE`, `ALL`.
    pub capabilities_add: Vec<String>,
    /// Capabilities taken from Docker's defaults.
    pub capabilities_drop: Vec<String>,
    /// Run an init process that forwards signals and reaps.
    pub init_process_enabled: bool,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Size of `/dev/shm` in MiB.
    pub shared_memory_mib: Option<u64>,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where.
    pub container_path: String,
    /// Largest size in MiB.
    pub size_mib: u64,
    /// `ro`, `noexec`, …
    pub mount_options: Vec<String>,
}

/// A resource limit of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// `nofile`, `memlock`, …
    pub name: String,
    /// The limit that applies; -1 is unlimited.
    pub soft: i64,
    /// The limit up to which the program may raise it; -1 is unlimited.
    pub hard: i64,
}

impl LinuxParameters {
    pub(crate) fn read(fields: &Fields<'_>) -> LinuxParameters {
        let capabilities = fields.mapping("capabilities");
        let listed = |name: &str| capabilities.as_ref().map(|list| list.texts(name)).unwrap_or_default();
        LinuxParameters {
            capabilities_add: listed("add"),
            capabilities_drop: listed("drop"),
            init_process_enabled: fields.boolean("initProcessEnabled").unwrap_or(false),
            tmpfs: fields.list("tmpfs", tmpfs),
            shared_memory_mib: fields.integer("sharedMemorySize"),
        }
    }
}

fn tmpfs(fields: &Fields<'_>) -> Tmpfs {
    Tmpfs {
        container_path: fields.required_text("containerPath"),
        size_mib: fields.required_integer("size").unsigned_abs(),
        mount_options: fields.texts("mountOptions"),
    }
}

impl Ulimit {
    pub(crate) fn read(fields: &Fields<'_>) -> Ulimit {
        Ulimit {
            name: fields.required_text("name"),
            soft: fields.required_integer("softLimit"),
            hard: fields.required_integer("hardLimit"),
        }
    }
}
