//! What a shim asks of an engine: make the container, run another program in it. Two engines: the one built in
//! ([`super::embedded`]) and an OCI runtime's program ([`super::command`]).

use std::os::fd::OwnedFd;

use crate::outcome::StartError;

/// Standard streams of a program.
#[derive(Debug)]
pub(super) struct Stdio {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A program beside the container's own, fully resolved.
#[derive(Debug)]
pub(super) struct Addition {
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: std::path::PathBuf,
    pub(super) user: crate::user::User,
    pub(super) terminal: bool,
}

/// Makes a container of the bundle in its folder. Processes become children of the calling shim.
pub(super) trait Engine {
    /// Makes the container, up to the point before its program runs. Gives the pid of its first process.
    fn create(&mut self, stdio: Stdio) -> Result<u32, StartError>;

    /// Runs the program; returns once it was executed.
    fn start(&mut self) -> Result<(), StartError>;

    /// Runs another program; returns its pid once it was executed.
    fn add(&mut self, addition: Addition, stdio: Stdio) -> Result<u32, StartError>;
}
