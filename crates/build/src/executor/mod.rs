//! Running a RUN step.

mod agent;
mod container;
mod fake;
mod foreign;
mod secrets;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use container::ContainerExecutor;
pub use fake::FakeExecutor;
use minato_oci::Platform;
use minato_runtime::Rlimit;

use crate::progress::Stream;
use crate::request::{PassedFile, Secret};

/// Runs one program in a root file system that it may change.
pub trait Executor: Sync {
    /// Runs the step to its end and hands over its output as it comes. Returns early, with whatever exit the program
    /// then has, when `cancelled` says so. Nothing of the step runs any more when this returns.
    ///
    /// # Errors
    /// When the program can't be started: the reason for the user.
    fn run(
        &self,
        step: &RunStep,
        cancelled: &Cancelled,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<StepExit, ExecuteError>;
}

/// Everything that decides what a RUN step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStep {
    /// The layers below, lowest first, in overlay form.
    pub layers: Vec<PathBuf>,
    /// Receives what the step writes, in overlay form. Nothing but the step's own changes may be left here.
    pub upper: PathBuf,
    /// Scratch for the kernel, on the same file system.
    pub work: PathBuf,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// The environment, in order.
    pub env: Vec<(String, String)>,
    /// The working directory, absolute.
    pub cwd: String,
    /// Docker's USER: `user[:group]` by name or number; empty is root.
    pub user: String,
    /// Whether the step sees the host's network.
    pub network: StepNetwork,
    /// Files of this machine to mount read-only.
    pub files: Vec<PassedFile>,
    /// Scripts to mount read-only and executable: absolute path in the step → content.
    pub scripts: Vec<(PathBuf, String)>,
    /// What `RUN --mount` asks for.
    pub mounts: Vec<StepMount>,
    /// What else the command line says of all steps.
    pub surroundings: Surroundings,
    /// `RUN --security=insecure`: as root on this machine, without filters.
    pub insecure: bool,
    /// What the program was made for.
    pub platform: Platform,
}

/// What RUN steps have around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `--add-host`: names in `/etc/hosts`, with their addresses.
    pub hosts: Vec<(String, IpAddr)>,
    /// `--shm-size`: bytes of `/dev/shm`; 64 MiB when absent.
    pub shm_bytes: Option<u64>,
    /// `--ulimit`
    pub limits: Vec<Rlimit>,
}

/// Something that a step has while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepMount {
    /// A file or folder of other layers.
    Layers {
        /// Lowest first, in overlay form.
        layers: Vec<PathBuf>,
        /// Absolute path in them.
        path: PathBuf,
        /// Absolute path in the step.
        target: PathBuf,
        /// An empty folder and the kernel's scratch beside it, when the step may write.
        writable: Option<(PathBuf, PathBuf)>,
    },
    /// A folder of this machine.
    Folder {
        /// The folder here.
        source: PathBuf,
        /// Absolute path in the step.
        target: PathBuf,
        /// Whether the step may only read it.
        read_only: bool,
    },
    /// Memory.
    Memory {
        /// Absolute path in the step.
        target: PathBuf,
        /// Largest size in bytes.
        size: Option<u64>,
    },
    /// A secret as a file.
    Secret {
        /// Its content.
        content: Secret,
        /// Absolute path in the step.
        target: PathBuf,
        /// User and group.
        owner: (u32, u32),
        /// Permission bits.
        mode: u32,
    },
    /// A socket that leads to an SSH agent.
    Agent {
        /// The agent's socket here.
        socket: PathBuf,
        /// Absolute path in the step.
        target: PathBuf,
        /// User and group.
        owner: (u32, u32),
        /// Permission bits.
        mode: u32,
    },
}

impl StepMount {
    /// The path in the step.
    pub fn target(&self) -> &Path {
        match self {
            Self::Layers { target, .. }
            | Self::Folder { target, .. }
            | Self::Memory { target, .. }
            | Self::Secret { target, .. }
            | Self::Agent { target, .. } => target,
        }
    }
}

/// What a step sees of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StepNetwork {
    /// The host's network, its resolver and its names.
    #[default]
    Host,
    /// Loopback alone.
    None,
}

/// How a step's program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepExit {
    /// As a shell says it: 128 and the signal's number for a killed one.
    pub code: i32,
    /// Whether the kernel killed it for lack of memory.
    pub out_of_memory: bool,
}

/// Why a step could not be started; the message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExecuteError(pub Box<dyn std::error::Error + Send + Sync>);

impl ExecuteError {
    pub(crate) fn from_io(error: std::io::Error) -> Self {
        Self(error.into())
    }

    /// From a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }
}

/// Tells the steps of a build that another one failed or the user gave up. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct Cancelled {
    own: Arc<AtomicBool>,
    outer: Option<Arc<AtomicBool>>,
}

impl Cancelled {
    /// Asks all steps to end.
    pub fn cancel(&self) {
        self.own.store(true, Ordering::Release);
    }

    /// Whether steps shall end.
    pub fn is_set(&self) -> bool {
        let set = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        set(&self.own) || self.outer.as_deref().is_some_and(set)
    }

    /// A flag of one build: set when this one is, and alone when that build fails.
    pub(crate) fn inner(&self) -> Self {
        Self { own: Arc::default(), outer: Some(Arc::clone(&self.own)) }
    }
}
