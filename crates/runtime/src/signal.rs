//! Signals by number, and by the names that image configs and task definitions use.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A signal number of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signal(i32);

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signal; write a name such as SIGTERM or a number from 1 to 64")]
pub struct UnknownSignal(String);

impl Signal {
    /// Asks to end.
    pub const TERM: Self = Self(libc::SIGTERM);
    /// Ends.
    pub const KILL: Self = Self(libc::SIGKILL);

    /// The number.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// Sends a signal to the process that a descriptor holds. By number: real-time signals have no name in rustix.
pub(crate) fn send(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal.0, 0, 0) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("WINCH", libc::SIGWINCH),
];

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// `SIGTERM`, `term`, `15`, and `SIGRTMIN+3` or `RTMIN+3` as systemd images use.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownSignal(text.chars().take(40).collect());
        if let Ok(number) = text.parse::<i32>() {
            return if (1..=64).contains(&number) { Ok(Self(number)) } else { Err(unknown()) };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(offset) = name.strip_prefix("RTMIN") {
            let offset =
                if offset.is_empty() { Ok(0) } else { offset.trim_start_matches('+').parse::<i32>() };
            return offset
                .ok()
                .map(|offset| 34 + offset)
                .filter(|n| (34..=64).contains(n))
                .map(Self)
                .ok_or_else(unknown);
        }
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| Self(*number)).ok_or_else(unknown)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(out, "SIG{name}"),
            None => write!(out, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for (text, number) in [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("sigquit", 3)] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
        for bad in ["", "0", "65", "SIG", "SIGNOPE", "RTMIN+40", "-9"] {
            assert!(bad.parse::<Signal>().is_err(), "{bad}");
        }
    }
}
