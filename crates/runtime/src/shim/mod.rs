//! A shim's life.

use std::path::Path;

use crate::control::packet;
use crate::control::protocol::StartAnswer;
use crate::outcome::StartError;
use crate::reexec::CHANNEL;
use crate::runtime::Engine;

/// Makes the container of this folder, answers on the channel, and stays until it is released. Returns the exit code.
pub(crate) fn run(folder: &Path, _engine: &Engine) -> i32 {
    let channel = take_channel();
    let reason = format!("{}: this build has no engine", folder.display());
    let _gone = packet::send(&channel, &StartAnswer::Failed(StartError::Engine { reason }), &[]);
    1
}

fn take_channel() -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: whoever started this shim put the channel there, and nothing else has taken it.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(CHANNEL) }
}
