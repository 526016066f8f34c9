//! Which process is meant, even after pids were used again: (boot id, pid, start time).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::signal::{self, Signal};

/// A process of this boot; another process that later has the same pid is not equal to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The pid in the namespace of whoever recorded it.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot.
    pub start_time: u64,
}

impl Identity {
    /// The identity of a running process.
    ///
    /// # Errors
    /// When there is no such process or `/proc` can't be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let start_time = start_time(&stat).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has no start time"))
        })?;
        Ok(Self { boot_id: boot_id()?, pid, start_time })
    }

    /// The identity of this process.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// Whether that very process still runs (a zombie does not).
    pub fn is_alive(&self) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        start_time(&stat) == Some(self.start_time)
            && !matches!(run_state(&stat), Some('Z' | 'X'))
            && boot_id().is_ok_and(|boot| boot == self.boot_id)
    }

    /// A descriptor that becomes readable when the process ends; `None` when it has already.
    pub fn pidfd(&self) -> Option<OwnedFd> {
        let fd = pidfd_open(self.raw_pid()?, PidfdFlags::empty()).ok()?;
        // The pid was resolved first and checked after: what the descriptor holds is what was checked.
        self.is_alive().then_some(fd)
    }

    /// Sends a signal to that very process; nothing happens when it is gone.
    pub fn kill(&self, signal: Signal) {
        if let Some(fd) = self.pidfd() {
            // It may end between the look and the signal; that is what was wanted.
            let _gone = signal::send(&fd, signal);
        }
    }

    fn raw_pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// The id of this boot.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The fields after the command's name, which may itself hold blanks and parentheses.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace()
}

fn start_time(stat: &str) -> Option<u64> {
    fields(stat).nth(19)?.parse().ok()
}

fn run_state(stat: &str) -> Option<char> {
    fields(stat).next()?.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_hold_anything() {
        let stat = "42 (a) b ( c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 10 20";
        assert_eq!(start_time(stat), Some(987_654));
        assert_eq!(run_state(stat), Some('S'));
        assert_eq!(start_time("nonsense"), None);
    }

    #[test]
    fn a_later_process_with_the_same_pid_is_another() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { start_time: own.start_time + 1, ..own.clone() }.is_alive());
        assert!(!Identity { boot_id: "another".to_owned(), ..own }.is_alive());
    }
}
