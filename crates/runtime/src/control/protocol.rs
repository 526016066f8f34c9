//! The words of the control socket.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::outcome::{Exit, StartError, State, Warning};
use crate::signal::Signal;

/// What a shim says on the channel it was born with: first who it is, then how the start went.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum StartAnswer {
    Born(Identity),
    Started { warnings: Vec<Warning> },
    Failed(StartError),
}

/// What a caller asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// How is the container?
    State,
    /// Send a signal to its first process.
    Signal(Signal),
    /// Run another program in it; stdin, stdout and stderr are beside the request. The connection lives as long as the
    /// program: a second reply tells its exit, and closing it kills the program.
    Exec(ExecSpec),
    /// Make unconnected TCP sockets in its network namespace.
    Sockets { count: u32 },
    /// Listen in its network namespace; the same address gives the same listener again.
    Listen { address: SocketAddrV4 },
    /// Stop keeping the listener on that address.
    Unlisten { address: SocketAddrV4 },
    /// Say nothing and hang up when the container has ended.
    Watch,
    /// Clean up and end; only after the container has ended.
    Release,
}

/// What a shim answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    State(State),
    Done,
    /// The descriptors are beside the reply.
    Descriptors,
    Executing {
        pid: u32,
    },
    Exited(Exit),
    Refused {
        reason: String,
    },
    NotStarted(StartError),
}

/// Another program in a running container: same namespaces, control group, seccomp filter and capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// The program and its arguments; looked up in the container's `PATH`.
    pub args: Vec<String>,
    /// Added to the container's environment; the same name replaces.
    pub env: Vec<(String, String)>,
    /// The working directory; the container's when absent.
    pub cwd: Option<PathBuf>,
    /// Docker's `USER` syntax; the container's user when absent.
    pub user: Option<String>,
    /// Its stdin becomes the controlling terminal.
    pub terminal: bool,
}

impl ExecSpec {
    /// A program with the container's own environment, user and working directory.
    pub fn new(args: Vec<String>) -> Self {
        Self { args, env: Vec::new(), cwd: None, user: None, terminal: false }
    }
}
