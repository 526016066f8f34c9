//! Keeps containers running on this machine: replicas, probes, restarts, rolling updates and the service proxy.
//!
//! ```text
//! Workload, Service ─ control socket ─► supervisor ─ decide (pure) ─► actions ─► Containers (runtime's shims)
//!   (local, cli)                          ▲   │                                     │ exits, probes' answers
//!                                         └───┼─────────────────────────────────────┘
//!                                             └─► proxy: requests ─► ready replicas only
//! ```
//!
//! One supervisor process per data folder owns all of it; callers speak to it through [`Supervisor`]. Containers are not
//! its children in any way that matters: each has a shim (crate `runtime`), so a supervisor that died is replaced by one
//! that adopts them. It knows images only as ids of unpacked layers, and no Kubernetes or ECS word.

mod control;
mod decide;
mod engine;
mod kept_logs;
mod moment;
mod proxy;
pub mod spec;
mod status;
mod supervisor;

pub use control::{EngineChoice, Supervisor, SupervisorError, SupervisorOptions, Watch};
pub use kept_logs::{KeptLogs, kept_logs};
pub use moment::Moment;
pub use spec::{Service, ServiceKey, Workload, WorkloadKey};
pub use status::{
    Cause, ContainerState, ContainerStatus, Exit, Filter, ProbeFailure, PublishedPort, ReplicaPhase,
    ReplicaStatus, RolloutId, RolloutStatus, ServiceStatus, Status, WorkloadStatus,
};

/// Becomes a container's shim or the supervisor when this process was started as one, and does not return then. Every
/// program that uses this crate calls it first in `main`, before any thread is made.
pub fn reexec() {
    minato_runtime::reexec();
    supervisor::run_if_asked();
}
