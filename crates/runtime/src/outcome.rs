//! What came of a start and of a container: errors, warnings, states and exits. All of it crosses the control socket
//! or is stored, so all of it is serde.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Why a container was not started. Nothing of it is left when this is returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StartError {
    /// The specification contradicts itself or the rules of its fields.
    #[error("container can't be described this way: {reason}")]
    InvalidSpec {
        /// Which field, and what it must be.
        reason: String,
    },
    /// The id is taken.
    #[error("container {id} exists already; remove it first")]
    AlreadyExists {
        /// The id.
        id: String,
    },
    /// The program is in no folder of `PATH`, or the path does not exist.
    #[error("command {command:?} was not found in the image; check the command and PATH ({path})")]
    CommandNotFound {
        /// The first argument.
        command: String,
        /// The `PATH` that was searched.
        path: String,
    },
    /// The program exists and can't be run.
    #[error("command {command:?} can't be executed: {reason}")]
    NotExecutable {
        /// The first argument.
        command: String,
        /// Permission, format, missing interpreter.
        reason: String,
    },
    /// `USER` names nobody in the image.
    #[error("user {user:?} can't be used: {reason}")]
    UnknownUser {
        /// As it was given.
        user: String,
        /// What is missing.
        reason: String,
    },
    /// A bind mount's source is not there.
    #[error("mount source {} does not exist on this machine", path.display())]
    MissingMountSource {
        /// The path on the host.
        path: PathBuf,
    },
    /// A mount's target can't be made.
    #[error("{} can't be mounted in the container: {reason}", path.display())]
    BadMountTarget {
        /// The path in the container.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The working directory can't be entered.
    #[error("working directory {} can't be used: {reason}", path.display())]
    BadWorkingDirectory {
        /// The path in the container.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The system call filter can't be enforced and `insecure` was not set.
    #[error("the seccomp profile can't be enforced: {reason}; allow it with --insecure")]
    SeccompNotEnforceable {
        /// What the kernel or the machine lacks.
        reason: String,
    },
    /// A capability was asked for that this process doesn't have, and `insecure` was not set.
    #[error("capabilities {} can't be given here: this process does not have them", names.join(", "))]
    CapabilityNotAvailable {
        /// Kernel names.
        names: Vec<String>,
    },
    /// The machine refuses a control group.
    #[error("control group refused: {reason}")]
    CgroupRefused {
        /// The file and the kernel's answer.
        reason: String,
    },
    /// The root file system can't be made.
    #[error("root file system: {reason}")]
    Rootfs {
        /// The step and the kernel's answer.
        reason: String,
    },
    /// The network namespace can't be made or joined.
    #[error("network: {reason}")]
    Network {
        /// The step and the kernel's answer.
        reason: String,
    },
    /// Namespaces for an ordinary user are switched off on this machine.
    #[error("an ordinary user can't make containers here: {reason}")]
    NoUserNamespace {
        /// The kernel's answer.
        reason: String,
    },
    /// The engine (libcontainer, or the program given) refused.
    #[error("engine: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
    /// The container's folder can't be written, or the shim not started.
    #[error("{step}: {reason}")]
    Host {
        /// What was being done.
        step: String,
        /// The kernel's answer.
        reason: String,
    },
    /// The shim ended before it answered.
    #[error("the container's shim ended unexpectedly: {last_words}")]
    ShimDied {
        /// The end of its error output.
        last_words: String,
    },
}

/// Something asked for that this machine can't do and that is not a reason to refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Warning {
    /// Limits are not in force.
    #[error("limits are not enforced ({what}): {reason}")]
    LimitsNotEnforced {
        /// Which limits.
        what: String,
        /// Why.
        reason: String,
    },
    /// Values that need CAP_SYS_RESOURCE were lowered.
    #[error("lowered to what this process may give: {what}")]
    Lowered {
        /// Names and values, comma-separated.
        what: String,
    },
    /// The container reaches nothing outside.
    #[error("the container has no way out to other machines: {reason}")]
    NoWayOut {
        /// Why.
        reason: String,
    },
    /// A Service listens on its port itself, which keeps programs of the pod from binding that port on all addresses.
    #[error("the pod's programs can't listen on all addresses of a Service's port ({service}): {reason}")]
    PortTaken {
        /// The Service's address and port in the pod.
        service: SocketAddrV4,
        /// Why connections can't be led to another port.
        reason: String,
    },
    /// `insecure` was set and this is weaker than asked for.
    #[error("weaker than asked for: {what}: {reason}")]
    Weaker {
        /// seccomp, devices, a capability.
        what: String,
        /// Why.
        reason: String,
    },
    /// A default capability is withheld because the machine can't give it, or can't keep it harmless.
    #[error("capability {name} is withheld: {reason}")]
    CapabilityWithheld {
        /// Kernel name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The program runs.
    Running {
        /// Its pid on the host (as the shim sees it).
        pid: u32,
        /// When it was started.
        since: SystemTime,
    },
    /// The program ended.
    Exited(Exit),
    /// Shim and program are gone and nobody saw how: both were killed, or the machine was restarted.
    Lost,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Code or signal.
    pub outcome: ExitOutcome,
    /// The kernel killed in this container for lack of memory.
    pub oom_killed: bool,
    /// When the shim saw it.
    pub at: SystemTime,
}

/// Code or signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitOutcome {
    /// It returned.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
}

impl Exit {
    /// The shell's single number: the code, or 128 + signal.
    pub fn code(&self) -> i32 {
        match self.outcome {
            ExitOutcome::Code(code) => code,
            ExitOutcome::Signal(signal) => 128 + signal,
        }
    }

    /// Code 0.
    pub fn success(&self) -> bool {
        self.outcome == ExitOutcome::Code(0)
    }
}
