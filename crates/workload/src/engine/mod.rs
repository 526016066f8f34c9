//! What the supervisor needs of a container engine, beside its consumer: the trait [`Containers`], the real one over
//! crate `runtime` (`shims`), and a fake for tests.

#[cfg(test)]
pub(crate) mod fake;
mod shims;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::spec::Container;
use crate::status::Exit;
pub(crate) use shims::Shims;

/// Runs containers. Ids are the caller's: unique in a data folder, never used twice.
#[async_trait]
pub(crate) trait Containers: Send + Sync + 'static {
    /// Starts one; returns when its program was executed.
    async fn start(&self, start: Start) -> Result<Running, NotStarted>;
    /// Everything that is there, alive or not.
    async fn list(&self) -> io::Result<Vec<Found>>;
    /// Returns when it has ended.
    async fn wait(&self, id: &str) -> Ended;
    /// Sends a signal by name or number.
    async fn signal(&self, id: &str, signal: &str) -> io::Result<()>;
    /// Runs a program in it: its exit code and the beginning of its output. Dropping the future kills the program.
    async fn exec(&self, id: &str, argv: &[String]) -> io::Result<(i32, String)>;
    /// Unconnected TCP sockets in its network namespace.
    async fn sockets(&self, id: &str, count: u32) -> io::Result<Vec<OwnedFd>>;
    /// A TCP listener in its network namespace, the same one when asked again; `None` stops keeping it.
    async fn listen(&self, id: &str, address: SocketAddrV4, keep: bool) -> io::Result<Option<OwnedFd>>;
    /// Ends what is left of it; nothing is there any more then.
    async fn remove(&self, id: &str) -> io::Result<()>;
}

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) id: String,
    pub(crate) replica: String,
    /// The container that keeps the pod's network namespace; none yet for the pod's first.
    pub(crate) holder: Option<String>,
    pub(crate) network: PodNetwork,
    pub(crate) container: Container,
    pub(crate) hostname: String,
    pub(crate) mounts: Vec<ReadyMount>,
    pub(crate) logs: PathBuf,
}

/// A pod's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodNetwork {
    pub(crate) address: Ipv4Addr,
    /// The bridge's name and address, and the length of the network's prefix; none for a pod without a way out.
    pub(crate) uplink: Option<(String, Ipv4Addr, u8)>,
}

/// A mount whose source is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadyMount {
    Bind { source: PathBuf, target: PathBuf, read_only: bool },
    Memory { target: PathBuf, size_bytes: Option<u64> },
}

/// A started container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    /// What was asked for and this machine does not enforce.
    pub(crate) warnings: Vec<String>,
}

/// A container that did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotStarted {
    pub(crate) message: String,
    /// Trying again changes nothing: the image or the description must change.
    pub(crate) hopeless: bool,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Seen(Exit),
    /// Its shim was killed, or it was never there; with the shim went what it kept, the network namespace too.
    Lost,
}

/// A container that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: String,
    /// Its process, where it runs and is looked after.
    pub(crate) running: Option<u32>,
    /// Whether its shim lives.
    pub(crate) kept: bool,
}
