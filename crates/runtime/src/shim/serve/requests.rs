//! What a shim does when it is asked: the requests of the control socket.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, OwnedFd};

use rustix::mount::UnmountFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::super::dumpable_again;
use super::super::engine::{Addition, Stdio};
use super::{Container, Role, own_child};
use crate::clean;
use crate::control::packet;
use crate::control::protocol::{ExecSpec, Reply, Request};
use crate::identity::Identity;
use crate::inside::Root;
use crate::outcome::StartError;
use crate::signal::{self, Signal};
use crate::user;

impl Container {
    /// Answers, and says what becomes of the connection.
    pub(super) fn answer_request(
        &mut self,
        index: usize,
        request: Request,
        descriptors: Vec<OwnedFd>,
    ) -> Role {
        match request {
            Request::State => self.reply(index, &Reply::State(self.parts.record.state()), &[]),
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
                self.listeners.close(address);
                self.reply(index, &Reply::Done, &[])
            }
            Request::Watch if self.parts.record.exit.is_some() => Role::Done,
            Request::Watch => Role::Watching,
            Request::Release => self.release(index),
        }
    }

    pub(super) fn reply(&self, index: usize, reply: &Reply, descriptors: &[OwnedFd]) -> Role {
        if let Some(client) = self.clients.get(index) {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            let _gone = packet::send(&client.socket, reply, &borrowed);
        }
        Role::Done
    }

    pub(super) fn refuse(&self, index: usize, reason: &str) -> Role {
        self.reply(index, &Reply::Refused { reason: reason.to_owned() }, &[])
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        if self.parts.record.exit.is_some() {
            return Err("it has ended already".to_owned());
        }
        signal::send(&self.init, signal).map_err(|error| error.to_string())
    }

    fn execute(&mut self, spec: ExecSpec, descriptors: Vec<OwnedFd>) -> Result<(u32, OwnedFd), StartError> {
        let invalid = |reason: &str| StartError::InvalidSpec { reason: reason.to_owned() };
        let Ok([stdin, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            return Err(invalid("exec: stdin, stdout and stderr must come with it"));
        };
        if self.parts.record.exit.is_some() {
            return Err(invalid("exec: the container has ended"));
        }
        if spec.args.first().is_none_or(String::is_empty) {
            return Err(invalid("exec: there is no command"));
        }
        let addition = self.addition(spec)?;
        let pid = self.parts.engine.add(addition, Stdio { stdin, stdout, stderr })?;
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
            None => self.parts.plan.user.clone(),
            Some(name) => {
                let root = Root::open(&self.parts.plan.rootfs);
                let root = root.map_err(|error| StartError::Rootfs { reason: error.to_string() })?;
                user::resolve(&root, name, &self.parts.spec.extra_groups)?
            }
        };
        let mut env = self.parts.plan.env.clone();
        env.retain(|(name, _)| !spec.env.iter().any(|(added, _)| added == name));
        if user != self.parts.plan.user && !self.parts.spec.env.iter().any(|(name, _)| name == "HOME") {
            env.retain(|(name, _)| name != "HOME");
            env.push(("HOME".to_owned(), user.home.clone()));
        }
        env.extend(spec.env);
        let cwd = spec.cwd.unwrap_or_else(|| self.parts.spec.cwd.clone());
        Ok(Addition { args: spec.args, env, cwd, user, terminal: spec.terminal })
    }

    /// A port that a program of the pod can't have any more is said in the record, for those who adopt the container.
    fn listen(&mut self, address: SocketAddrV4) -> io::Result<OwnedFd> {
        let (listener, warning) = self.listeners.open(address)?;
        if let Some(warning) = warning.filter(|warning| !self.parts.record.warnings.contains(warning)) {
            self.parts.record.warnings.push(warning);
            let _unwritten = self.parts.record.write(&self.parts.folder);
        }
        Ok(listener)
    }

    /// Cleans up, says so, and lets the loop end. What can't be removed is left for `Runtime::remove`.
    fn release(&mut self, index: usize) -> Role {
        if self.parts.record.exit.is_none() {
            return self.refuse(index, "it still runs; end it first");
        }
        self.released = true;
        self.listeners.clear();
        self.parts.network.leave(&self.parts.spec.network, &self.parts.folder);
        let cleaned = self.clean_up();
        match cleaned {
            Ok(()) => self.reply(index, &Reply::Done, &[]),
            Err(reason) => self.refuse(index, &reason),
        }
    }

    pub(super) fn clean_up(&self) -> Result<(), String> {
        rustix::mount::unmount(&self.parts.plan.rootfs, UnmountFlags::DETACH)
            .map_err(|error| format!("unmounting {}: {error}", self.parts.plan.rootfs.display()))?;
        fail::fail_point!("runtime.shim.unmounted");
        if let Some(group) = &self.parts.cgroup {
            group.remove().map_err(|(path, error)| format!("{}: {error}", path.display()))?;
        }
        fail::fail_point!("runtime.shim.cgroup-removed");
        clean::remove_folder(&self.parts.folder)
            .map_err(|error| format!("{}: {error}", self.parts.folder.display()))
    }
}

fn sockets(count: u32) -> io::Result<Vec<OwnedFd>> {
    if count as usize > packet::DESCRIPTOR_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many at once"));
    }
    (0..count)
        .map(|_| Ok(socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?))
        .collect()
}
