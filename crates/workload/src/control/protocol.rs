//! The language of the control socket: one JSON document a line, UTF-8.
//!
//! ```text
//! client: Hello{protocol, build}          server: Hello{protocol, build}
//! client: Request                         server: Reply, or Replies without end for Watch
//! ```
//! A line may hold [`LINE_LIMIT`] bytes. The greeting never changes its shape, so that any two versions understand
//! that they differ; everything after it belongs to one protocol version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::spec::{Service, ServiceKey, Workload, WorkloadKey};
use crate::status::{Filter, RolloutId, RolloutStatus, ServiceStatus, Status};

/// Changes with every change of [`Request`], [`Reply`] or the record file.
pub(crate) const PROTOCOL: u32 = 1;

/// Most bytes of a line. A pod with a few ConfigMaps of 1 MiB fits.
pub(crate) const LINE_LIMIT: u64 = 64 << 20;

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    /// Identifies the executable; a supervisor of another build is replaced.
    pub(crate) build: String,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Request {
    ApplyWorkload(Box<Workload>),
    ApplyService(Service),
    DeleteWorkload(WorkloadKey),
    DeleteService(ServiceKey),
    DeleteApplication(String),
    Rollout(RolloutId),
    Status(Filter),
    Watch(Filter),
    Restart(WorkloadKey),
    Scale(WorkloadKey, u32),
    /// Start what a reboot stopped.
    Resume,
    /// End, leaving containers to the supervisor that follows.
    Replace,
}

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Rollout(RolloutId),
    RolloutStatus(RolloutStatus),
    Service(ServiceStatus),
    Status(Status),
    Refused(String),
}

/// A conversation that went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection ended")]
    Closed,
    #[error("a line of more than {LINE_LIMIT} bytes")]
    TooLong,
    #[error("not the expected message: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads one message.
pub(crate) async fn read<T: DeserializeOwned>(
    reader: &mut (impl AsyncBufRead + Unpin),
    limit: u64,
) -> Result<T, WireError> {
    let mut line = Vec::new();
    let read = reader.take(limit + 1).read_until(b'\n', &mut line).await?;
    if read as u64 > limit {
        return Err(WireError::TooLong);
    }
    if !line.ends_with(b"\n") {
        return Err(WireError::Closed);
    }
    Ok(serde_json::from_slice(&line)?)
}

/// Writes one message.
pub(crate) async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<(), WireError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.flush().await?;
    Ok(())
}

/// Identifies an executable: this crate's version and the file.
pub(crate) fn build_of(executable: &std::path::Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let version = env!("CARGO_PKG_VERSION");
    match std::fs::metadata(executable) {
        Ok(file) => format!("{version} {:x}-{:x}-{:x}", file.ino(), file.size(), file.mtime_nsec()),
        Err(_) => version.to_owned(),
    }
}

/// Identifies the running executable.
pub(crate) fn own_build() -> String {
    build_of(std::path::Path::new("/proc/self/exe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_over_the_limit_is_refused_and_half_a_line_is_an_end() {
        let mut long: &[u8] = b"\"aaaaaaaaaaaaaaaa\"\n";
        assert!(matches!(read::<String>(&mut long, 8).await, Err(WireError::TooLong)));
        let mut half: &[u8] = b"\"aaa";
        assert!(matches!(read::<String>(&mut half, 8).await, Err(WireError::Closed)));
        let mut wrong: &[u8] = b"{]\n";
        assert!(matches!(read::<String>(&mut wrong, 8).await, Err(WireError::Malformed(_))));
        let mut good: &[u8] = b"\"aaa\"\n";
        assert_eq!(read::<String>(&mut good, 8).await.unwrap(), "aaa");
    }
}
