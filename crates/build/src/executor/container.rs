//! Runs a step as a container: the host's network, Docker's capabilities and system call filter, no limits.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use minato_runtime::{
    ContainerId, ContainerSpec, Engine, HostEntry, Identity, LOG_FILE, LogLine, LogOptions, Mount, Network,
    Rootfs, Runtime, Shim, Signal, State, Writable,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::agent::Agent;
use super::foreign::{HANDLERS, ensure_runnable};
use super::secrets::{self, Secrets};
use super::{Cancelled, ExecuteError, Executor, RunStep, StepExit, StepMount, StepNetwork, Surroundings};
use crate::progress::Stream;

/// The host name that `BuildKit` gives its steps; what a step writes may depend on it.
const HOST_NAME: &str = "buildkitsandbox";
/// Output beyond this is put aside, and only so much of it kept on disk; it was printed before.
const LOG_BYTES: u64 = 32 << 20;
/// How often a step looks whether the build was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(100);

/// Runs steps with the crate `runtime`. The program must call `minato_runtime::reexec()` first thing in `main`.
pub struct ContainerExecutor {
    runtime: Runtime,
    /// This process, in the names of its containers: the next build finds those of a killed one.
    owner: Identity,
    count: AtomicU32,
}

impl ContainerExecutor {
    /// Uses `run_dir` for running steps, and ends what killed builds left there.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(run_dir: &Path, engine: Engine) -> Result<Self, ExecuteError> {
        let runtime = Runtime::new(run_dir, engine).map_err(|error| ExecuteError(error.into()))?;
        let owner = Identity::own().map_err(|error| ExecuteError(error.into()))?;
        let executor = Self { runtime, owner, count: AtomicU32::new(0) };
        executor.remove_orphans()?;
        secrets::remove_orphans();
        Ok(executor)
    }

    fn remove_orphans(&self) -> Result<(), ExecuteError> {
        for found in self.runtime.list().map_err(|error| ExecuteError(error.into()))? {
            if !owner_of(&found.id).is_some_and(|(pid, start)| is_alive(pid, start)) {
                self.runtime.remove(&found.id).map_err(|error| ExecuteError(error.into()))?;
            }
        }
        Ok(())
    }

    fn next_id(&self) -> Result<ContainerId, ExecuteError> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("step-{}-{}-{number}", self.owner.pid, self.owner.start_time);
        id.parse().map_err(|error: minato_runtime::InvalidContainerId| ExecuteError(error.into()))
    }
}

impl Executor for ContainerExecutor {
    fn run(
        &self,
        step: &RunStep,
        cancelled: &Cancelled,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<StepExit, ExecuteError> {
        ensure_runnable(&step.platform, Path::new(HANDLERS))?;
        let id = self.next_id()?;
        let folder =
            tempfile::Builder::new().prefix("minato-step-").tempdir().map_err(ExecuteError::from_io)?;
        let mut spec = spec_of(step, id.clone(), folder.path())?;
        let held = self.mount(&mut spec, step, folder.path()).map_err(ExecuteError::from_io)?;
        // A killed build leaves nothing running.
        spec.tied_to = Some(self.owner.clone());
        let shim = self.runtime.start(&spec).map_err(|error| ExecuteError(error.into()))?;
        let ended = follow(&shim, folder.path(), cancelled, output);
        let exit = ended.and_then(|()| exit_of(&shim));
        let released = shim.release().or_else(|_| self.runtime.remove(&id));
        released.map_err(|error| ExecuteError(error.into()))?;
        drop(held);
        exit
    }
}

/// What must be there as long as a step runs.
struct Held {
    _secrets: Option<Secrets>,
    _agents: Vec<Agent>,
}

impl ContainerExecutor {
    fn mount(&self, spec: &mut ContainerSpec, step: &RunStep, folder: &Path) -> io::Result<Held> {
        let (mut secrets, mut agents) = (None, Vec::new());
        for mount in &step.mounts {
            let target = mount.target().to_owned();
            spec.mounts.push(match mount {
                StepMount::Layers { layers, path, writable, .. } => Mount::Layers {
                    layers: layers.iter().map(std::path::absolute).collect::<io::Result<_>>()?,
                    path: path.clone(),
                    target,
                    writable: writable.as_ref().map(writable_of).transpose()?,
                },
                StepMount::Folder { source, read_only, .. } => {
                    Mount::Bind { source: std::path::absolute(source)?, target, read_only: *read_only }
                }
                StepMount::Memory { size, .. } => Mount::Tmpfs { target, size: *size, mode: None },
                StepMount::Secret { content, owner, mode, .. } => {
                    let secrets = match &mut secrets {
                        Some(secrets) => secrets,
                        none => none.insert(Secrets::new(&self.owner)?),
                    };
                    let source = secrets.file(content.value(), *owner, *mode)?;
                    Mount::Bind { source, target, read_only: true }
                }
                StepMount::Agent { socket, owner, mode, .. } => {
                    let place = folder.join(format!("agent-{}", agents.len()));
                    let agent = Agent::listen(place, socket, *owner, *mode)?;
                    let source = agent.place().to_owned();
                    agents.push(agent);
                    Mount::Bind { source, target, read_only: false }
                }
            });
        }
        Ok(Held { _secrets: secrets, _agents: agents })
    }
}

fn writable_of((upper, work): &(PathBuf, PathBuf)) -> io::Result<Writable> {
    Ok(Writable { upper: std::path::absolute(upper)?, work: std::path::absolute(work)? })
}

/// The pid and start time that a step's id names.
fn owner_of(id: &ContainerId) -> Option<(u32, u64)> {
    let mut fields = id.as_str().strip_prefix("step-")?.split('-');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

pub(super) fn is_alive(pid: u32, start_time: u64) -> bool {
    Identity::of(pid).is_ok_and(|it| it.start_time == start_time && it.is_alive())
}

fn spec_of(step: &RunStep, id: ContainerId, folder: &Path) -> Result<ContainerSpec, ExecuteError> {
    let mut spec = ContainerSpec::new(id, rootfs_of(step).map_err(ExecuteError::from_io)?, step.args.clone());
    spec.env.clone_from(&step.env);
    spec.cwd = PathBuf::from(&step.cwd);
    spec.user.clone_from(&step.user);
    HOST_NAME.clone_into(&mut spec.hostname);
    spec.log = LogOptions { folder: Some(folder.to_owned()), max_bytes: LOG_BYTES, files: 2 };
    (spec.network, spec.resolv_conf, spec.hosts) = match step.network {
        StepNetwork::Host => (Network::Host, fs::read_to_string("/etc/resolv.conf").ok(), Some(host_names())),
        StepNetwork::None => (Network::Isolated, None, None),
    };
    surround(&mut spec, &step.surroundings);
    spec.security.privileged = step.insecure;
    let bind = |source: PathBuf, target: PathBuf| Mount::Bind { source, target, read_only: true };
    spec.mounts.extend(step.files.iter().map(|file| bind(file.source.clone(), file.target.clone())));
    for (number, (target, content)) in step.scripts.iter().enumerate() {
        let source = folder.join(format!("script-{number}"));
        fs::write(&source, content).map_err(ExecuteError::from_io)?;
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).map_err(ExecuteError::from_io)?;
        spec.mounts.push(bind(source, target.clone()));
    }
    Ok(spec)
}

fn surround(spec: &mut ContainerSpec, surroundings: &Surroundings) {
    let entry =
        |(name, address): &(String, IpAddr)| HostEntry { address: *address, names: vec![name.clone()] };
    if !surroundings.hosts.is_empty() {
        // The first line that has a name counts.
        let others = spec.hosts.take().unwrap_or_default();
        spec.hosts = Some(surroundings.hosts.iter().map(entry).chain(others).collect());
    }
    if let Some(bytes) = surroundings.shm_bytes {
        spec.shm_bytes = bytes;
    }
    spec.rlimits.clone_from(&surroundings.limits);
}

/// An overlay needs something below; with nothing below the upper folder is the whole root.
fn rootfs_of(step: &RunStep) -> io::Result<Rootfs> {
    let absolute = |path: &PathBuf| std::path::absolute(path);
    let upper = absolute(&step.upper)?;
    if step.layers.is_empty() {
        return Ok(Rootfs::Folder { path: upper, read_only: false });
    }
    let mut layers: Vec<PathBuf> = Vec::new();
    // Overlayfs takes no folder twice, and a layer that comes again higher up hides all of itself further down.
    for layer in step.layers.iter().rev() {
        let layer = absolute(layer)?;
        if !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    layers.reverse();
    Ok(Rootfs::Overlay { layers, upper, work: absolute(&step.work)? })
}

/// The names of this machine's `/etc/hosts`, and the step's own.
fn host_names() -> Vec<HostEntry> {
    let own = HostEntry { address: IpAddr::from([127, 0, 0, 1]), names: vec![HOST_NAME.to_owned()] };
    let text = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let others = text.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let names: Vec<String> = words.filter(|name| *name != "localhost").map(str::to_owned).collect();
        (!names.is_empty()).then_some(HostEntry { address, names })
    });
    std::iter::once(own).chain(others).collect()
}

/// Hands over output as it comes until the program ends; kills it when the build is cancelled.
fn follow(
    shim: &Shim,
    folder: &Path,
    cancelled: &Cancelled,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(), ExecuteError> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .map_err(|error| ExecuteError::from_io(error.into()))?;
    inotify::add_watch(&watch, folder, inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE)
        .map_err(|error| ExecuteError::from_io(error.into()))?;
    let exit = shim.exit_fd().map_err(|error| ExecuteError(error.into()))?;
    let mut log = LogTail::new(folder);
    loop {
        log.read(output).map_err(ExecuteError::from_io)?;
        if wait(&watch, &exit)? {
            return log.read(output).map_err(ExecuteError::from_io);
        }
        if cancelled.is_set() {
            // It may end by itself just now.
            let _gone = shim.signal(Signal::KILL);
        }
    }
}

/// Waits for output or the end; `true` at the end.
fn wait(watch: &OwnedFd, exit: &OwnedFd) -> Result<bool, ExecuteError> {
    let mut fds = [PollFd::new(watch, PollFlags::IN), PollFd::new(exit, PollFlags::IN)];
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(CANCEL_CHECK.subsec_nanos()) };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(ExecuteError::from_io(error.into())),
    }
    let [output, exit] = fds.map(|fd| !fd.revents().is_empty());
    if output {
        // What happened does not matter, only that something did.
        let mut events = [0; 4096];
        let _read = rustix::io::read(watch.as_fd(), &mut events);
    }
    Ok(exit)
}

fn exit_of(shim: &Shim) -> Result<StepExit, ExecuteError> {
    match shim.state().map_err(|error| ExecuteError(error.into()))? {
        State::Exited(exit) => Ok(StepExit { code: exit.code(), out_of_memory: exit.oom_killed }),
        State::Running { .. } | State::Lost => {
            Err(ExecuteError::new("the step's container was killed together with its shim"))
        }
    }
}

/// Reads a log file while it grows and is put aside.
struct LogTail {
    path: PathBuf,
    file: Option<File>,
    /// The start of a line whose end is not there yet.
    open: Vec<u8>,
}

impl LogTail {
    fn new(folder: &Path) -> Self {
        Self { path: folder.join(LOG_FILE), file: None, open: Vec::new() }
    }

    fn read(&mut self, output: &mut dyn FnMut(Stream, &[u8])) -> io::Result<()> {
        loop {
            if self.file.is_none() {
                self.file = crate::tree::absent_is_none(File::open(&self.path))?;
            }
            let Some(file) = &mut self.file else { return Ok(()) };
            file.read_to_end(&mut self.open)?;
            self.hand_over(output);
            if !self.was_put_aside()? {
                return Ok(());
            }
            self.file = None;
        }
    }

    /// Whether another file has the log's name now, and the one read so far gets no more.
    fn was_put_aside(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let Some(current) = crate::tree::absent_is_none(fs::metadata(&self.path))? else { return Ok(false) };
        let own = file.metadata()?;
        Ok(current.ino() != own.ino() && file.stream_position()? == own.len())
    }

    fn hand_over(&mut self, output: &mut dyn FnMut(Stream, &[u8])) {
        let complete = self.open.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let rest = self.open.split_off(complete);
        let lines = std::mem::replace(&mut self.open, rest);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let Some(line) = LogLine::parse(&text) else { continue };
            let stream = match line.stream {
                minato_runtime::Stream::Stdout => Stream::Output,
                minato_runtime::Stream::Stderr => Stream::Error,
            };
            output(stream, line.text.as_bytes());
            if !line.partial {
                output(stream, b"\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_the_process_that_they_belong_to() {
        let own = Identity::own().unwrap();
        let id = format!("step-{}-{}-0", own.pid, own.start_time).parse().unwrap();
        assert_eq!(owner_of(&id), Some((own.pid, own.start_time)));
        assert!(is_alive(own.pid, own.start_time));
        assert!(!is_alive(own.pid, own.start_time + 1));
        assert_eq!(owner_of(&"web-1".parse().unwrap()), None);
    }

    #[test]
    fn a_log_is_followed_through_half_lines_and_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join(LOG_FILE);
        let mut seen = Vec::new();
        let mut tail = LogTail::new(folder.path());
        let mut read = |tail: &mut LogTail| {
            tail.read(&mut |stream, bytes| {
                seen.push(format!("{stream:?} {}", String::from_utf8_lossy(bytes)))
            })
            .unwrap();
        };
        read(&mut tail);
        fs::write(&log, "T stdout F one\nT stderr P tw").unwrap();
        read(&mut tail);
        fs::write(&log, "T stdout F one\nT stderr P two\n").unwrap();
        fs::rename(&log, folder.path().join("output.log.1")).unwrap();
        fs::write(&log, "T stderr F three\n").unwrap();
        read(&mut tail);
        assert_eq!(seen, ["Output one", "Output \n", "Error two", "Error three", "Error \n"]);
    }
}
