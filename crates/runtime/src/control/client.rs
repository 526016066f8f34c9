//! The caller's end of the control socket: a running container in the caller's hands.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use super::packet;
use super::protocol::{ExecSpec, Reply, Request};
use crate::identity::Identity;
use crate::outcome::{Exit, StartError, State, Warning};
use crate::record;
use crate::signal::Signal;
use crate::spec::ContainerId;

/// A container whose shim was started or found. Cheap to make; holds no connection.
#[derive(Debug, Clone)]
pub struct Shim {
    id: ContainerId,
    folder: PathBuf,
    identity: Identity,
    warnings: Vec<Warning>,
}

/// What went wrong between caller and shim.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The shim is gone or hung up.
    #[error("container {id}: its shim can't be reached: {source}")]
    Unreachable {
        /// The container.
        id: ContainerId,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The shim said no.
    #[error("container {id}: {reason}")]
    Refused {
        /// The container.
        id: ContainerId,
        /// In the shim's words.
        reason: String,
    },
    /// The program asked for by `exec` was not started.
    #[error("container {id}: {cause}")]
    NotStarted {
        /// The container.
        id: ContainerId,
        /// Why.
        cause: StartError,
    },
}

/// Standard streams for a program that is run by [`Shim::exec`].
#[derive(Debug)]
pub struct ExecStdio<'a> {
    /// Read by the program.
    pub stdin: BorrowedFd<'a>,
    /// Written by the program.
    pub stdout: BorrowedFd<'a>,
    /// Written by the program.
    pub stderr: BorrowedFd<'a>,
}

impl Shim {
    pub(crate) fn new(id: ContainerId, folder: PathBuf, identity: Identity, warnings: Vec<Warning>) -> Self {
        Self { id, folder, identity, warnings }
    }

    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The shim's process, for [`crate::Network::Join`] and for records.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What was asked for and is not enforced; known to the caller of `start` and to adopters.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Where the container is in its life. Works without the shim, too: the record on disk outlives it.
    ///
    /// # Errors
    /// When neither the shim nor its record can be read.
    pub fn state(&self) -> Result<State, ControlError> {
        match self.ask(&Request::State, &[]) {
            Ok((Reply::State(state), _)) => Ok(state),
            Ok((other, _)) => Err(self.unexpected(other)),
            Err(ControlError::Unreachable { .. }) => {
                record::state_on_disk(&self.folder).map_err(|source| self.unreachable(source))
            }
            Err(other) => Err(other),
        }
    }

    /// Sends a signal to the container's first process.
    ///
    /// # Errors
    /// When the container has ended or the shim is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        self.expect_done(&Request::Signal(signal))
    }

    /// Runs another program in the container.
    ///
    /// # Errors
    /// [`ControlError::NotStarted`] with the cause when the program can't be run.
    pub fn exec(&self, spec: &ExecSpec, stdio: &ExecStdio<'_>) -> Result<ExecHandle, ControlError> {
        let connection = packet::connect_in(&self.folder).map_err(|source| self.unreachable(source))?;
        let streams = [stdio.stdin, stdio.stdout, stdio.stderr];
        match self.converse(&connection, &Request::Exec(spec.clone()), &streams)? {
            (Reply::Executing { pid }, _) => Ok(ExecHandle { id: self.id.clone(), connection, pid }),
            (other, _) => Err(self.unexpected(other)),
        }
    }

    /// Unconnected TCP sockets made in the container's network namespace, for dialling it.
    ///
    /// # Errors
    /// When the shim is gone, or more than 64 are asked for.
    pub fn sockets(&self, count: u32) -> Result<Vec<OwnedFd>, ControlError> {
        self.expect_descriptors(&Request::Sockets { count })
    }

    /// A TCP listener in the container's network namespace. The shim keeps it: connections wait while no caller lives,
    /// and asking again gives the same one.
    ///
    /// On a loopback address of a namespace that is not the caller's, the listener itself has another port, to which the
    /// kernel leads connections: programs in there may bind `address.port()` on all addresses. Where the kernel can't,
    /// the listener has the port, and [`Warning::PortTaken`] is among the warnings of whoever adopts the container.
    ///
    /// # Errors
    /// When the address can't be bound there.
    pub fn listen(&self, address: SocketAddrV4) -> Result<OwnedFd, ControlError> {
        let mut descriptors = self.expect_descriptors(&Request::Listen { address })?;
        descriptors.pop().ok_or_else(|| self.unexpected(Reply::Descriptors))
    }

    /// Stops keeping the listener on that address; connections that it accepted go on.
    ///
    /// # Errors
    /// When the shim is gone.
    pub fn unlisten(&self, address: SocketAddrV4) -> Result<(), ControlError> {
        self.expect_done(&Request::Unlisten { address })
    }

    /// A descriptor that becomes readable (end of file) when the container has ended and its exit and log are on disk,
    /// or when its shim was killed; ask [`Shim::state`] then.
    ///
    /// # Errors
    /// When the shim is gone already.
    pub fn exit_fd(&self) -> Result<OwnedFd, ControlError> {
        let connection = packet::connect_in(&self.folder).map_err(|source| self.unreachable(source))?;
        packet::send(&connection, &Request::Watch, &[]).map_err(|source| self.unreachable(source))?;
        Ok(connection)
    }

    /// Waits until the container has ended; blocks.
    ///
    /// # Errors
    /// As [`Shim::state`].
    pub fn wait(&self) -> Result<State, ControlError> {
        if let Ok(watch) = self.exit_fd() {
            // Either answer means the same: there is nothing more to wait for.
            let _hung_up = packet::receive::<Reply>(&watch);
        }
        self.state()
    }

    /// After the exit: unmounts, removes the control group and the folder, ends the shim.
    ///
    /// # Errors
    /// When the container still runs, or the shim is gone (use [`crate::Runtime::remove`]).
    pub fn release(self) -> Result<(), ControlError> {
        self.expect_done(&Request::Release)
    }

    fn expect_done(&self, request: &Request) -> Result<(), ControlError> {
        match self.ask(request, &[])? {
            (Reply::Done, _) => Ok(()),
            (other, _) => Err(self.unexpected(other)),
        }
    }

    fn expect_descriptors(&self, request: &Request) -> Result<Vec<OwnedFd>, ControlError> {
        match self.ask(request, &[])? {
            (Reply::Descriptors, descriptors) => Ok(descriptors),
            (other, _) => Err(self.unexpected(other)),
        }
    }

    fn ask(
        &self,
        request: &Request,
        beside: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), ControlError> {
        let connection = packet::connect_in(&self.folder).map_err(|source| self.unreachable(source))?;
        self.converse(&connection, request, beside)
    }

    fn converse(
        &self,
        connection: &OwnedFd,
        request: &Request,
        beside: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), ControlError> {
        packet::send(connection, request, beside).map_err(|source| self.unreachable(source))?;
        packet::receive(connection)
            .and_then(|answer| answer.ok_or_else(|| io::ErrorKind::ConnectionReset.into()))
            .map_err(|source| self.unreachable(source))
    }

    fn unreachable(&self, source: io::Error) -> ControlError {
        ControlError::Unreachable { id: self.id.clone(), source }
    }

    fn unexpected(&self, reply: Reply) -> ControlError {
        unexpected(&self.id, reply)
    }
}

/// A program running in a container beside its first process. Dropping the handle kills the program.
#[derive(Debug)]
pub struct ExecHandle {
    id: ContainerId,
    connection: OwnedFd,
    pid: u32,
}

impl ExecHandle {
    /// The program's pid, as the shim sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end; blocks.
    ///
    /// # Errors
    /// When the shim was killed meanwhile.
    pub fn wait(self) -> Result<Exit, ControlError> {
        let answer = packet::receive(&self.connection)
            .and_then(|answer| answer.ok_or_else(|| io::ErrorKind::ConnectionReset.into()));
        match answer {
            Ok((Reply::Exited(exit), _)) => Ok(exit),
            Ok((other, _)) => Err(unexpected(&self.id, other)),
            Err(source) => Err(ControlError::Unreachable { id: self.id, source }),
        }
    }
}

impl AsFd for ExecHandle {
    /// Readable when the program has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

fn unexpected(id: &ContainerId, reply: Reply) -> ControlError {
    match reply {
        Reply::Refused { reason } => ControlError::Refused { id: id.clone(), reason },
        Reply::NotStarted(cause) => ControlError::NotStarted { id: id.clone(), cause },
        other => ControlError::Refused {
            id: id.clone(),
            reason: format!("its shim gave an answer out of turn: {other:?}"),
        },
    }
}
