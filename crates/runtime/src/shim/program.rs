//! The last steps of a container's process before it becomes the program: user, groups, capabilities, filter, exec.
//! Runs in a fork of the shim, inside the container. Its only words are on the report descriptor.

use std::ffi::{CString, NulError};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::capabilities::Capabilities;
use crate::outcome::StartError;
use crate::seccomp::Filters;
use crate::user::User;

/// What the process becomes. Everything is in its final form: nothing is looked up after the fork.
#[derive(Debug, Clone)]
pub(super) struct Program {
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// Paths to try, in order.
    candidates: Vec<CString>,
    path: String,
    user: User,
    rules: Rules,
    terminal: bool,
}

/// Where a [`Program`] says why it could not be run. Closed by the kernel when it runs.
pub(super) struct Report {
    pub(super) ours: OwnedFd,
    pub(super) theirs: OwnedFd,
}

/// The rules under which a program runs, besides what it is.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) capabilities: Capabilities,
    pub(super) no_new_privileges: bool,
    pub(super) filters: Option<Filters>,
    pub(super) rlimits: Vec<(Resource, Rlimit)>,
    pub(super) oom_score_adj: Option<i32>,
}

impl Program {
    /// Fails when a text has a zero byte.
    pub(super) fn new(
        args: &[String],
        env: &[(String, String)],
        user: User,
        rules: Rules,
        terminal: bool,
    ) -> Result<Self, NulError> {
        let path =
            env.iter().rev().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value).to_owned();
        let command = args.first().map_or("", String::as_str);
        let text = |(name, value): &(String, String)| CString::new(format!("{name}={value}"));
        Ok(Self {
            arguments: args.iter().map(|arg| CString::new(arg.as_str())).collect::<Result<_, _>>()?,
            environment: env.iter().map(text).collect::<Result<_, _>>()?,
            candidates: candidates(command, &path).into_iter().map(CString::new).collect::<Result<_, _>>()?,
            path,
            user,
            rules,
            terminal,
        })
    }

    /// Becomes the program; returns only when that failed, after saying why on `report`.
    pub(super) fn run(&self, report: RawFd) -> StartError {
        let error = match self.become_user() {
            Ok(()) => self.execute(),
            Err(error) => error,
        };
        tell(report, &error);
        error
    }

    fn become_user(&self) -> Result<(), StartError> {
        let failed = |step: &str| {
            let step = step.to_owned();
            move |error: rustix::io::Errno| StartError::Host { step, reason: error.to_string() }
        };
        if let Some(score) = self.rules.oom_score_adj {
            let written = fs::write("/proc/self/oom_score_adj", score.to_string());
            written.map_err(|error| StartError::Host {
                step: "oom_score_adj".into(),
                reason: error.to_string(),
            })?;
        }
        for (resource, limit) in &self.rules.rlimits {
            rustix::process::setrlimit(*resource, *limit).map_err(failed("setting resource limits"))?;
        }
        // Without no_new_privs the filter needs CAP_SYS_ADMIN, which is about to go. It allows all that follows here.
        if !self.rules.no_new_privileges {
            self.filter()?;
        }
        self.drop_bounding().map_err(failed("dropping capabilities"))?;
        rustix::thread::set_keep_capabilities(true).map_err(failed("keeping capabilities"))?;
        self.change_ids().map_err(|error| StartError::UnknownUser {
            user: format!("{}:{}", self.user.uid, self.user.gid),
            reason: format!("the kernel refuses it: {error}"),
        })?;
        let set = CapabilitySet::from_bits_retain(self.rules.capabilities.bits());
        let sets = CapabilitySets { effective: set, permitted: set, inheritable: CapabilitySet::empty() };
        rustix::thread::set_capabilities(None, sets).map_err(failed("setting capabilities"))?;
        if self.rules.no_new_privileges {
            rustix::thread::set_no_new_privs(true).map_err(failed("no_new_privs"))?;
            self.filter()?;
        }
        Ok(())
    }

    fn filter(&self) -> Result<(), StartError> {
        let Some(filters) = &self.rules.filters else { return Ok(()) };
        filters.apply().map_err(|error| StartError::SeccompNotEnforceable { reason: error.to_string() })
    }

    fn drop_bounding(&self) -> rustix::io::Result<()> {
        for number in 0..64 {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            let kept = self.rules.capabilities.bits() & (1 << number) != 0;
            // The kernel knows fewer than 64 and says so at the first it doesn't.
            match rustix::thread::capability_is_in_bounding_set(capability) {
                Ok(true) if !kept => rustix::thread::remove_capability_from_bounding_set(capability)?,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn change_ids(&self) -> rustix::io::Result<()> {
        let groups: Vec<_> = self.user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        match rustix::thread::set_thread_groups(&groups) {
            // An ordinary user's namespace can't change groups; with no other wanted nothing is lost.
            Err(rustix::io::Errno::PERM) if self.user.groups.iter().all(|other| *other == self.user.gid) => {}
            other => other?,
        }
        let (uid, gid) = (Uid::from_raw(self.user.uid), Gid::from_raw(self.user.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    }

    fn execute(&self) -> StartError {
        if self.terminal && rustix::process::ioctl_tiocsctty(io::stdin()).is_err() {
            return StartError::Host { step: "terminal".into(), reason: "stdin is none".into() };
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        restore_signals();
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        let mut worst = libc::ENOENT;
        for candidate in &self.candidates {
            // SAFETY: texts and lists are terminated and live until the call returns, which it only does on failure.
            unsafe { libc::execve(candidate.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
            let error = io::Error::last_os_error().raw_os_error().unwrap_or(libc::ENOENT);
            let exists = fs::symlink_metadata(candidate.to_string_lossy().as_ref()).is_ok();
            match error {
                libc::ENOENT | libc::ENOTDIR if !exists => {}
                libc::ENOENT => return self.not_executable("its interpreter is missing in the image"),
                libc::EACCES => worst = error,
                libc::ENOEXEC => {
                    return self
                        .not_executable("not a program of this machine, and no script with a #! line");
                }
                other => return self.not_executable(&io::Error::from_raw_os_error(other).to_string()),
            }
        }
        match worst {
            libc::EACCES => self.not_executable("permission denied; is it executable for this user?"),
            _ => StartError::CommandNotFound { command: self.command(), path: self.path.clone() },
        }
    }

    fn not_executable(&self, reason: &str) -> StartError {
        StartError::NotExecutable { command: self.command(), reason: reason.to_owned() }
    }

    fn command(&self) -> String {
        self.arguments.first().map_or_else(String::new, |command| command.to_string_lossy().into_owned())
    }
}

impl Report {
    pub(super) fn new() -> io::Result<Self> {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self { ours, theirs })
    }

    /// What was said; `None` when the program runs.
    pub(super) fn read(self) -> Option<StartError> {
        drop(self.theirs);
        let mut text = Vec::new();
        let _closed = std::fs::File::from(self.ours).take(64 << 10).read_to_end(&mut text);
        if text.is_empty() {
            return None;
        }
        let unclear = |_| StartError::Engine { reason: String::from_utf8_lossy(&text).into_owned() };
        Some(serde_json::from_slice(&text).unwrap_or_else(unclear))
    }
}

fn tell(report: RawFd, error: &StartError) {
    // SAFETY: the shim made this descriptor for the report, and its fork still has it.
    let report = unsafe { std::os::fd::BorrowedFd::borrow_raw(report) };
    if let (Ok(copy), Ok(text)) = (report.as_fd().try_clone_to_owned(), serde_json::to_vec(error)) {
        let _nobody_listens = fs::File::from(copy).write_all(&text);
    }
}

/// As a shell looks for a command: as it is when it has a slash, else in each folder of `PATH`.
fn candidates(command: &str, path: &str) -> Vec<String> {
    if command.contains('/') {
        return vec![command.to_owned()];
    }
    path.split(':')
        .map(|folder| if folder.is_empty() { "." } else { folder })
        .map(|folder| format!("{folder}/{command}"))
        .collect()
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// Programs start with every signal as the kernel made it and none blocked. Rust programs ignore SIGPIPE, and whoever
/// started the caller may have ignored others. By system call: the C library keeps two signals to itself.
fn restore_signals() {
    // `struct sigaction` of the kernel, all zero: the default.
    let default = [0_u64; 4];
    for number in 1..=64 {
        // SAFETY: reads the structure that the pointer names; SIGKILL and SIGSTOP are refused.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), std::ptr::null::<u64>(), 8)
        };
    }
    // SAFETY: reads the empty set that the pointer names.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            default.as_ptr(),
            std::ptr::null::<u64>(),
            8,
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_looked_for_as_in_a_shell() {
        assert_eq!(candidates("/bin/sh", "/x"), ["/bin/sh"]);
        assert_eq!(candidates("./run", "/x"), ["./run"]);
        assert_eq!(candidates("sh", "/a:/b"), ["/a/sh", "/b/sh"]);
        assert_eq!(candidates("sh", ""), ["./sh"]);
    }
}
