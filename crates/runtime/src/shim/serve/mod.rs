//! The rest of a shim's life: output to the log, the exit to the record, answers on the control socket. One loop over
//! one `poll`.

mod requests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::engine::Engine;
use super::listeners::Listeners;
use crate::bundle::Plan;
use crate::cgroup::Cgroup;
use crate::control::packet;
use crate::control::protocol::{Reply, Request, StartAnswer};
use crate::identity::Identity;
use crate::log::{LogWriter, Stream};
use crate::network::Entered;
use crate::outcome::{Exit, ExitOutcome};
use crate::record::Record;
use crate::signal::{self, Signal};
use crate::spec::ContainerSpec;

/// Most connections at one time.
const CLIENT_LIMIT: usize = 512;
/// How long output may still come after the exit, from processes that somebody else keeps.
const DRAIN: Duration = Duration::from_millis(200);

/// Reading ends of the container's streams; gone once they ended.
pub(super) struct Outputs {
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// What was made for a container, each part by another step of its birth.
pub(super) struct Parts {
    pub(super) folder: PathBuf,
    pub(super) spec: ContainerSpec,
    pub(super) plan: Plan,
    pub(super) record: Record,
    pub(super) engine: Box<dyn Engine>,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) network: Entered,
    pub(super) log: LogWriter,
    pub(super) outputs: Outputs,
    pub(super) control: OwnedFd,
}

/// A container and everything that its shim holds for it.
pub(super) struct Container {
    parts: Parts,
    init: OwnedFd,
    clients: Vec<Client>,
    listeners: Listeners,
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
    /// Fails when the container's first process can't be watched.
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let init = parts.record.init.as_ref().map_or(Err(io::ErrorKind::NotFound.into()), own_child)?;
        let owner = parts.spec.tied_to.as_ref().map(|owner| owner.pidfd().map_or(Owner::Gone, Owner::Alive));
        let owner = owner.unwrap_or(Owner::Nobody);
        let listeners = Listeners::new(parts.network.elsewhere);
        Ok(Self { parts, init, clients: Vec::new(), listeners, owner, released: false })
    }

    /// What the caller of `start` hears.
    pub(super) fn answer(&self) -> StartAnswer {
        StartAnswer::Started { warnings: self.parts.record.warnings.clone() }
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
        if self.parts.record.exit.is_none() {
            let _ended = signal::send(&self.init, Signal::KILL);
            return false;
        }
        self.listeners.clear();
        self.parts.network.leave(&self.parts.spec.network, &self.parts.folder);
        let _left_for_remove = self.clean_up();
        true
    }

    /// Waits until something happens.
    fn next_events(&self) -> Vec<Event> {
        let mut watched = vec![(Event::Connection, &self.parts.control)];
        if self.parts.record.exit.is_none() {
            watched.push((Event::Exit, &self.init));
        }
        if let Owner::Alive(owner) = &self.owner {
            watched.push((Event::OwnerGone, owner));
        }
        for (stream, descriptor) in
            [(Stream::Stdout, &self.parts.outputs.stdout), (Stream::Stderr, &self.parts.outputs.stderr)]
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
        let killed = self.parts.cgroup.as_ref().is_some_and(|group| group.memory_kills() > 0);
        let oom_killed = killed && outcome != ExitOutcome::Code(0);
        self.parts.record.exit = Some(Exit { outcome, oom_killed, at: SystemTime::now() });
        // Without room on the disk, those who are connected still hear it from the shim.
        let _unwritten = self.parts.record.write(&self.parts.folder);
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
        while (self.parts.outputs.stdout.is_some() || self.parts.outputs.stderr.is_some())
            && Instant::now() < deadline
        {
            let descriptors = [&self.parts.outputs.stdout, &self.parts.outputs.stderr];
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
            Stream::Stdout => &mut self.parts.outputs.stdout,
            Stream::Stderr => &mut self.parts.outputs.stderr,
        };
        let Some(descriptor) = slot else { return };
        let mut buffer = [0; 32 << 10];
        match rustix::io::read(&*descriptor, &mut buffer) {
            Ok(0) => {
                *slot = None;
                let _lost = self.parts.log.finish(stream);
            }
            Ok(length) => {
                let _lost = self.parts.log.write(stream, buffer.get(..length).unwrap_or_default());
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => *slot = None,
        }
    }

    /// Only the shim's own user and root may ask.
    fn accept(&mut self) {
        let Ok(socket) = accept_with(&self.parts.control, SocketFlags::CLOEXEC) else { return };
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

    fn report_program(&mut self, index: usize) {
        let Some(Client { role: Role::Executing(program), .. }) = self.clients.get(index) else { return };
        let Some(outcome) = reap(program) else { return };
        let exit = Exit { outcome, oom_killed: false, at: SystemTime::now() };
        let role = self.reply(index, &Reply::Exited(exit), &[]);
        if let Some(client) = self.clients.get_mut(index) {
            client.role = role;
        }
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
