//! The rest of a shim's life: output to the log, the exit to the record, answers on the control socket. One loop over
//! one `poll`.

use std::io;
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::UnmountFlags;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketFlags, SocketType, accept_with, socket_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::dumpable_again;
use super::engine::{Addition, Engine, Stdio};
use crate::bundle::Plan;
use crate::cgroup::Cgroup;
use crate::clean;
use crate::control::packet;
use crate::control::protocol::{ExecSpec, Reply, Request, StartAnswer};
use crate::identity::Identity;
use crate::inside::Root;
use crate::log::{LogWriter, Stream};
use crate::network::Entered;
use crate::outcome::{Exit, ExitOutcome, StartError};
use crate::record::Record;
use crate::signal::{self, Signal};
use crate::spec::ContainerSpec;
use crate::user;

/// Most connections at one time.
const CLIENT_LIMIT: usize = 512;
/// How long output may still come after the exit, from processes that somebody else keeps.
const DRAIN: Duration = Duration::from_millis(200);

/// Reading ends of the container's streams; gone once they ended.
pub(super) struct Outputs {
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// A container and everything that its shim holds for it.
pub(super) struct Container {
    folder: PathBuf,
    spec: ContainerSpec,
    plan: Plan,
    record: Record,
    engine: Box<dyn Engine>,
    cgroup: Option<Cgroup>,
    network: Entered,
    log: LogWriter,
    outputs: Outputs,
    control: OwnedFd,
    init: OwnedFd,
    clients: Vec<Client>,
    listeners: Vec<(SocketAddrV4, OwnedFd)>,
    /// The process with which the container ends.
    owner: Owner,
    released: bool,
}

enum Owner {
    /// The container is on its own.
    Nobody,
    Alive(OwnedFd),
    Gone,
}

/// One connection.
struct Client {
    socket: OwnedFd,
    role: Role,
}

enum Role {
    /// Has not asked yet.
    New,
    /// Is hung up on when the container has ended.
    Watching,
    /// Waits for a program's end, and takes the program along when it hangs up.
    Executing(OwnedFd),
    /// Has its answer.
    Done,
}

/// What one ready descriptor means.
#[derive(Clone, Copy)]
enum Event {
    Connection,
    Exit,
    OwnerGone,
    Output(Stream),
    Client(usize),
    ProgramEnd(usize),
}

impl Container {
    #[allow(clippy::too_many_arguments)] // The parts of one thing, each made by another step of its birth.
    pub(super) fn new(
        folder: &Path,
        spec: ContainerSpec,
        plan: Plan,
        record: Record,
        engine: Box<dyn Engine>,
        cgroup: Option<Cgroup>,
        network: Entered,
        log: LogWriter,
        outputs: Outputs,
        control: OwnedFd,
    ) -> io::Result<Self> {
        let folder = folder.to_owned();
        let init = record.init.as_ref().map_or(Err(io::ErrorKind::NotFound.into()), own_child)?;
        let owner = spec.tied_to.as_ref().map(|owner| owner.pidfd().map_or(Owner::Gone, Owner::Alive));
        let owner = owner.unwrap_or(Owner::Nobody);
        Ok(Self {
            folder,
            spec,
            plan,
            record,
            engine,
            cgroup,
            network,
            log,
            outputs,
            control,
            init,
            clients: Vec::new(),
            listeners: Vec::new(),
            owner,
            released: false,
        })
    }

    /// What the caller of `start` hears.
    pub(super) fn answer(&self) -> StartAnswer {
        StartAnswer::Started { warnings: self.record.warnings.clone() }
    }

    /// Until released.
    pub(super) fn serve(&mut self) {
        while !self.released {
            if matches!(self.owner, Owner::Gone) && self.end_with_owner() {
                return;
            }
            for event in self.next_events() {
                match event {
                    Event::Exit => self.note_exit(),
                    Event::OwnerGone => self.owner = Owner::Gone,
                    Event::Output(stream) => self.copy_output(stream),
                    Event::Connection => self.accept(),
                    Event::Client(index) => self.hear(index),
                    Event::ProgramEnd(index) => self.report_program(index),
                }
            }
            self.clients.retain(|client| !matches!(client.role, Role::Done));
        }
    }

    /// Nobody is left who would release the container. Says whether it is gone.
    fn end_with_owner(&mut self) -> bool {
        if self.record.exit.is_none() {
            let _ended = signal::send(&self.init, Signal::KILL);
            return false;
        }
        self.listeners.clear();
        self.network.leave(&self.spec.network, &self.folder);
        let _left_for_remove = self.clean_up();
        true
    }

    /// Waits until something happens.
    fn next_events(&self) -> Vec<Event> {
        let mut watched = vec![(Event::Connection, &self.control)];
        if self.record.exit.is_none() {
            watched.push((Event::Exit, &self.init));
        }
        if let Owner::Alive(owner) = &self.owner {
            watched.push((Event::OwnerGone, owner));
        }
        for (stream, descriptor) in
            [(Stream::Stdout, &self.outputs.stdout), (Stream::Stderr, &self.outputs.stderr)]
        {
            watched.extend(descriptor.iter().map(|descriptor| (Event::Output(stream), descriptor)));
        }
        for (index, client) in self.clients.iter().enumerate() {
            watched.push((Event::Client(index), &client.socket));
            if let Role::Executing(program) = &client.role {
                watched.push((Event::ProgramEnd(index), program));
            }
        }
        let mut polled: Vec<_> =
            watched.iter().map(|(_, descriptor)| PollFd::new(*descriptor, PollFlags::IN)).collect();
        if poll(&mut polled, None).is_err() {
            return Vec::new();
        }
        let ready = watched.iter().zip(&polled).filter(|(_, polled)| !polled.revents().is_empty());
        ready.map(|((event, _), _)| *event).collect()
    }

    /// The record comes first: whatever happens next, how the container ended is known.
    fn note_exit(&mut self) {
        let Some(outcome) = reap(&self.init) else { return };
        let killed = self.cgroup.as_ref().is_some_and(|group| group.memory_kills() > 0);
        let oom_killed = killed && outcome != ExitOutcome::Code(0);
        self.record.exit = Some(Exit { outcome, oom_killed, at: SystemTime::now() });
        // Without room on the disk, those who are connected still hear it from the shim.
        let _unwritten = self.record.write(&self.folder);
        fail::fail_point!("runtime.shim.exit-recorded");
        self.drain();
        for client in &mut self.clients {
            if matches!(client.role, Role::Watching) {
                client.role = Role::Done;
            }
        }
    }

    /// Everything that the container wrote is in the log before anybody hears of its end.
    fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN;
        while (self.outputs.stdout.is_some() || self.outputs.stderr.is_some()) && Instant::now() < deadline {
            let descriptors = [&self.outputs.stdout, &self.outputs.stderr];
            let mut polled: Vec<_> = descriptors
                .into_iter()
                .flatten()
                .map(|descriptor| PollFd::new(descriptor, PollFlags::IN))
                .collect();
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
            if !matches!(poll(&mut polled, Some(&wait)), Ok(ready) if ready > 0) {
                break;
            }
            self.copy_output(Stream::Stdout);
            self.copy_output(Stream::Stderr);
        }
    }

    /// Copies what there is. A full disk loses lines, never the container.
    fn copy_output(&mut self, stream: Stream) {
        let slot = match stream {
            Stream::Stdout => &mut self.outputs.stdout,
            Stream::Stderr => &mut self.outputs.stderr,
        };
        let Some(descriptor) = slot else { return };
        let mut buffer = [0; 32 << 10];
        match rustix::io::read(&*descriptor, &mut buffer) {
            Ok(0) => {
                *slot = None;
                let _lost = self.log.finish(stream);
            }
            Ok(length) => {
                let _lost = self.log.write(stream, buffer.get(..length).unwrap_or_default());
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => *slot = None,
        }
    }

    /// Only the shim's own user and root may ask.
    fn accept(&mut self) {
        let Ok(socket) = accept_with(&self.control, SocketFlags::CLOEXEC) else { return };
        let own = rustix::process::geteuid();
        let allowed = socket_peercred(&socket).is_ok_and(|peer| peer.uid == own || peer.uid.is_root());
        if allowed && self.clients.len() < CLIENT_LIMIT {
            self.clients.push(Client { socket, role: Role::New });
        }
    }

    fn hear(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else { return };
        match &client.role {
            Role::New => {}
            Role::Executing(program) => {
                // The other end hung up, or speaks out of turn: it is not interested in the program any more.
                let _ended = signal::send(program, Signal::KILL);
                let _reaped = reap(program);
                client.role = Role::Done;
                return;
            }
            Role::Watching | Role::Done => {
                client.role = Role::Done;
                return;
            }
        }
        let role = match packet::receive::<Request>(&client.socket) {
            Ok(Some((request, descriptors))) => self.answer_request(index, request, descriptors),
            Ok(None) => Role::Done,
            Err(error) => self.refuse(index, &format!("unreadable request: {error}")),
        };
        if let Some(client) = self.clients.get_mut(index) {
            client.role = role;
        }
    }

    /// Answers, and says what becomes of the connection.
    fn answer_request(&mut self, index: usize, request: Request, descriptors: Vec<OwnedFd>) -> Role {
        match request {
            Request::State => self.reply(index, &Reply::State(self.record.state()), &[]),
            Request::Signal(signal) => match self.signal(signal) {
                Ok(()) => self.reply(index, &Reply::Done, &[]),
                Err(reason) => self.refuse(index, &reason),
            },
            Request::Exec(spec) => match self.execute(spec, descriptors) {
                Ok((pid, program)) => {
                    let _gone = self.reply(index, &Reply::Executing { pid }, &[]);
                    Role::Executing(program)
                }
                Err(error) => self.reply(index, &Reply::NotStarted(error), &[]),
            },
            Request::Sockets { count } => match sockets(count) {
                Ok(made) => self.reply(index, &Reply::Descriptors, &made),
                Err(error) => self.refuse(index, &format!("making sockets: {error}")),
            },
            Request::Listen { address } => match self.listen(address) {
                Ok(listener) => self.reply(index, &Reply::Descriptors, &[listener]),
                Err(error) => self.refuse(index, &format!("listening on {address}: {error}")),
            },
            Request::Unlisten { address } => {
                self.listeners.retain(|(kept, _)| *kept != address);
                self.reply(index, &Reply::Done, &[])
            }
            Request::Watch if self.record.exit.is_some() => Role::Done,
            Request::Watch => Role::Watching,
            Request::Release => self.release(index),
        }
    }

    fn reply(&self, index: usize, reply: &Reply, descriptors: &[OwnedFd]) -> Role {
        if let Some(client) = self.clients.get(index) {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            let _gone = packet::send(&client.socket, reply, &borrowed);
        }
        Role::Done
    }

    fn refuse(&self, index: usize, reason: &str) -> Role {
        self.reply(index, &Reply::Refused { reason: reason.to_owned() }, &[])
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        if self.record.exit.is_some() {
            return Err("it has ended already".to_owned());
        }
        signal::send(&self.init, signal).map_err(|error| error.to_string())
    }

    fn execute(&mut self, spec: ExecSpec, descriptors: Vec<OwnedFd>) -> Result<(u32, OwnedFd), StartError> {
        let invalid = |reason: &str| StartError::InvalidSpec { reason: reason.to_owned() };
        let Ok([stdin, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            return Err(invalid("exec: stdin, stdout and stderr must come with it"));
        };
        if self.record.exit.is_some() {
            return Err(invalid("exec: the container has ended"));
        }
        if spec.args.first().is_none_or(String::is_empty) {
            return Err(invalid("exec: there is no command"));
        }
        let addition = self.addition(spec)?;
        let pid = self.engine.add(addition, Stdio { stdin, stdout, stderr })?;
        dumpable_again();
        let program = Identity::of(pid).and_then(|program| own_child(&program));
        program.map(|program| (pid, program)).map_err(|error| StartError::Host {
            step: "watching the program".to_owned(),
            reason: error.to_string(),
        })
    }

    /// Fills in what the container itself has. Names are looked up in the image, not in what the container made of it
    /// under other mounts.
    fn addition(&self, spec: ExecSpec) -> Result<Addition, StartError> {
        let user = match &spec.user {
            None => self.plan.user.clone(),
            Some(name) => {
                let root = Root::open(&self.plan.rootfs);
                let root = root.map_err(|error| StartError::Rootfs { reason: error.to_string() })?;
                user::resolve(&root, name, &self.spec.extra_groups)?
            }
        };
        let mut env = self.plan.env.clone();
        env.retain(|(name, _)| !spec.env.iter().any(|(added, _)| added == name));
        if user != self.plan.user && !self.spec.env.iter().any(|(name, _)| name == "HOME") {
            env.retain(|(name, _)| name != "HOME");
            env.push(("HOME".to_owned(), user.home.clone()));
        }
        env.extend(spec.env);
        let cwd = spec.cwd.unwrap_or_else(|| self.spec.cwd.clone());
        Ok(Addition { args: spec.args, env, cwd, user, terminal: spec.terminal })
    }

    fn report_program(&mut self, index: usize) {
        let Some(Client { role: Role::Executing(program), .. }) = self.clients.get(index) else { return };
        let Some(outcome) = reap(program) else { return };
        let exit = Exit { outcome, oom_killed: false, at: SystemTime::now() };
        let role = self.reply(index, &Reply::Exited(exit), &[]);
        if let Some(client) = self.clients.get_mut(index) {
            client.role = role;
        }
    }

    fn listen(&mut self, address: SocketAddrV4) -> io::Result<OwnedFd> {
        if let Some((_, listener)) = self.listeners.iter().find(|(kept, _)| *kept == address) {
            return listener.try_clone();
        }
        let listener: OwnedFd = TcpListener::bind(address)?.into();
        let copy = listener.try_clone()?;
        self.listeners.push((address, listener));
        Ok(copy)
    }

    /// Cleans up, says so, and lets the loop end. What can't be removed is left for `Runtime::remove`.
    fn release(&mut self, index: usize) -> Role {
        if self.record.exit.is_none() {
            return self.refuse(index, "it still runs; end it first");
        }
        self.released = true;
        self.listeners.clear();
        self.network.leave(&self.spec.network, &self.folder);
        let cleaned = self.clean_up();
        match cleaned {
            Ok(()) => self.reply(index, &Reply::Done, &[]),
            Err(reason) => self.refuse(index, &reason),
        }
    }

    fn clean_up(&self) -> Result<(), String> {
        rustix::mount::unmount(&self.plan.rootfs, UnmountFlags::DETACH)
            .map_err(|error| format!("unmounting {}: {error}", self.plan.rootfs.display()))?;
        fail::fail_point!("runtime.shim.unmounted");
        if let Some(group) = &self.cgroup {
            group.remove().map_err(|(path, error)| format!("{}: {error}", path.display()))?;
        }
        fail::fail_point!("runtime.shim.cgroup-removed");
        clean::remove_folder(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))
    }
}

/// A descriptor for a process that this one started: readable at its end, even when that was before now.
fn own_child(process: &Identity) -> io::Result<OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// How it ended; `None` when it has not.
fn reap(process: &OwnedFd) -> Option<ExitOutcome> {
    let status = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED).ok()??;
    status
        .exit_status()
        .map(ExitOutcome::Code)
        .or_else(|| status.terminating_signal().map(ExitOutcome::Signal))
}

fn sockets(count: u32) -> io::Result<Vec<OwnedFd>> {
    if count as usize > packet::DESCRIPTOR_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many at once"));
    }
    (0..count)
        .map(|_| Ok(socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?))
        .collect()
}
