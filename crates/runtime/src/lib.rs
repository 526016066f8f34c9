//! One container on this machine: bundle, shim, namespaces, control group, start, signal, wait.
//!
//! ```text
//! ContainerSpec ─ validate ─► Runtime::start ─ re-exec ─► shim ─► rootfs, network, control group
//!                                  ▲                        │          │
//!                               Shim handle ◄─ control ─────┤      engine (libcontainer, crun, runc)
//!                                                           │          │
//!                                  record.json, output.log ◄┴── exit ◄─┘ program
//! ```
//!
//! A **shim** is a single-threaded second life of the current program ([`reexec`]). It makes the container and stays
//! with it: it owns the output, the exit and the network namespace, and outlives whoever started it. A later process
//! [`adopts`](Runtime::adopt) it by its [`Identity`].
//!
//! Not here: replicas, probes, restarts, proxies (`workload`); images and layers (`oci`). Nothing is weakened in
//! silence: what can't be enforced is a [`StartError`] or a [`Warning`].

mod bundle;
mod capabilities;
mod cgroup;
mod clean;
mod control;
mod devices;
mod host;
mod identity;
mod inside;
mod log;
mod network;
mod outcome;
mod record;
mod reexec;
mod rootfs;
mod runtime;
mod seccomp;
mod shim;
mod signal;
mod spec;
mod user;
mod validate;

pub use control::client::{ControlError, ExecHandle, ExecStdio, Shim};
pub use control::protocol::ExecSpec;
pub use host::{ControlGroups, HostSupport, support};
pub use identity::Identity;
pub use log::{LOG_FILE, LogLine, Stream};
pub use outcome::{Exit, ExitOutcome, StartError, State, Warning};
pub use reexec::reexec;
pub use runtime::{Engine, Found, Runtime, RuntimeError};
pub use signal::{Signal, UnknownSignal};
pub use spec::{
    ContainerId, ContainerSpec, HostEntry, InvalidContainerId, Limits, LogOptions, Mount, Network,
    OwnNetwork, Rlimit, Rootfs, SPEC_VERSION, Seccomp, Security, Uplink, Writable,
};
