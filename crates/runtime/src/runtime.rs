//! The containers of one run folder: start one, find those that are there, clean up after killed shims.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clean;
use crate::control::client::Shim;
use crate::control::packet;
use crate::control::protocol::StartAnswer;
use crate::identity::Identity;
use crate::outcome::{StartError, State, Warning};
use crate::record::{self, Record};
use crate::reexec;
use crate::spec::{ContainerId, ContainerSpec};
use crate::validate;

/// What makes a container out of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// The one built in.
    Embedded,
    /// An OCI runtime's program: `crun` or `runc`, by path.
    Command(PathBuf),
}

/// The containers of one run folder. Several processes may use the same folder.
#[derive(Debug, Clone)]
pub struct Runtime {
    containers: PathBuf,
    engine: Engine,
}

/// A failure outside of any start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A file or folder of the run folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Processes of the container don't die.
    #[error(
        "container {id}: {left} processes are still there after SIGKILL; look for ones stuck in the kernel (state D)"
    )]
    WontDie {
        /// The container.
        id: ContainerId,
        /// How many.
        left: usize,
    },
}

/// What a run folder holds under one id.
#[derive(Debug)]
pub struct Found {
    /// The container.
    pub id: ContainerId,
    /// Its state.
    pub state: State,
    /// Whether its shim lives, so that it can be adopted; else only [`Runtime::remove`] helps.
    pub shim_alive: bool,
}

impl Runtime {
    /// Uses (and makes) `run_dir/containers`.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(run_dir: &Path, engine: Engine) -> Result<Self, RuntimeError> {
        let containers = run_dir.join("containers");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&containers);
        made.and_then(|()| fs::canonicalize(&containers))
            .map(|containers| Self { containers, engine })
            .map_err(|source| RuntimeError::Io { path: containers, source })
    }

    /// Makes the container and starts its program; returns once the program was executed. Blocks.
    ///
    /// # Errors
    /// A typed cause; nothing of the container is left then.
    pub fn start(&self, spec: &ContainerSpec) -> Result<Shim, StartError> {
        validate::check(spec)?;
        let folder = self.folder(&spec.id);
        self.make_folder(spec, &folder)?;
        fail::fail_point!("runtime.start.folder-made");
        let answer = record::write_spec(&folder, spec)
            .map_err(|error| host("writing the container's description", &error))
            .and_then(|()| self.start_shim(&folder));
        match answer {
            Ok((shim, warnings)) => Ok(Shim::new(spec.id.clone(), folder, shim, warnings)),
            Err(error) => {
                // The cause of the failed start matters more than what cleaning up after it says.
                let _cleaned = self.remove(&spec.id);
                Err(error)
            }
        }
    }

    /// The container with this id, when its shim lives: running, or ended and not yet released.
    ///
    /// # Errors
    /// When its record can't be read.
    pub fn adopt(&self, id: &ContainerId) -> Result<Option<Shim>, RuntimeError> {
        let folder = self.folder(id);
        let record =
            Record::read(&folder).map_err(|source| RuntimeError::Io { path: folder.clone(), source })?;
        Ok(record
            .filter(|record| record.shim.is_alive())
            .map(|record| Shim::new(id.clone(), folder, record.shim, record.warnings)))
    }

    /// Everything in the run folder, dead or alive.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn list(&self) -> Result<Vec<Found>, RuntimeError> {
        let failed = |source| RuntimeError::Io { path: self.containers.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.containers).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<ContainerId>().ok()) else { continue };
            let record = Record::read(&self.folder(&id)).unwrap_or_default();
            let shim_alive = record.as_ref().is_some_and(|record| record.shim.is_alive());
            found.push(Found { id, state: record.map_or(State::Lost, |record| record.state()), shim_alive });
        }
        found.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(found)
    }

    /// Ends the container and whatever is left of it: shim, processes, control group, folder. Nothing happens when
    /// there is none.
    ///
    /// # Errors
    /// When something can't be removed; calling again carries on.
    pub fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        clean::remove(id, &self.folder(id))
    }

    fn folder(&self, id: &ContainerId) -> PathBuf {
        self.containers.join(id.as_str())
    }

    fn make_folder(&self, spec: &ContainerSpec, folder: &Path) -> Result<(), StartError> {
        fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StartError::AlreadyExists { id: spec.id.to_string() },
            _ => host("making the container's folder", &error),
        })
    }

    fn start_shim(&self, folder: &Path) -> Result<(Identity, Vec<Warning>), StartError> {
        let (ours, theirs) = packet::pair().map_err(|error| host("making the shim's channel", &error))?;
        let mut between = reexec::spawn_shim(folder, &self.engine, &theirs)
            .map_err(|error| host("starting the shim", &error))?;
        drop(theirs);
        let heard = hear_from_shim(&ours, folder);
        let _reaped = between.wait();
        heard
    }
}

/// The channel alone does not tell of a shim's death: a container that it made and did not start holds the other end, too.
fn hear_from_shim(channel: &OwnedFd, folder: &Path) -> Result<(Identity, Vec<Warning>), StartError> {
    let died = || StartError::ShimDied { last_words: reexec::last_words(folder) };
    let next =
        || packet::receive::<StartAnswer>(channel).map_err(|error| host("hearing from the shim", &error));
    let shim = match next()? {
        Some((StartAnswer::Born(shim), _)) => shim,
        Some((StartAnswer::Failed(error), _)) => return Err(error),
        _ => return Err(died()),
    };
    if let Some(life) = shim.pidfd() {
        let mut polled = [PollFd::new(channel, PollFlags::IN), PollFd::new(&life, PollFlags::IN)];
        while poll(&mut polled, None) == Err(rustix::io::Errno::INTR) {}
        if polled[0].revents().is_empty() {
            return Err(died());
        }
    } else if !is_readable(channel) {
        return Err(died());
    }
    match next()? {
        Some((StartAnswer::Started { warnings }, _)) => Ok((shim, warnings)),
        Some((StartAnswer::Failed(error), _)) => Err(error),
        _ => Err(died()),
    }
}

fn is_readable(channel: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(channel, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

fn host(step: &str, error: &io::Error) -> StartError {
    StartError::Host { step: step.to_owned(), reason: error.to_string() }
}
