//! One JSON packet with descriptors beside it. Both ends check what arrives: size, form, number of descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recvmsg,
    sendmsg, socket_with, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest packet in bytes. The kernel's default socket buffer takes it.
pub(crate) const PACKET_LIMIT: usize = 128 << 10;
/// Most descriptors beside one packet (the kernel's own limit is 253).
pub(crate) const DESCRIPTOR_LIMIT: usize = 64;

const SOCKET_NAME: &str = "control";

/// Two connected ends, closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Listens on `folder/control`. The address goes through a descriptor, because socket addresses end at 108 bytes.
pub(crate) fn listen_in(folder: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (_folder, address) = address(folder)?;
    bind(&socket, &address)?;
    listen(&socket, 128)?;
    Ok(socket)
}

/// Connects to `folder/control`.
pub(crate) fn connect_in(folder: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (_folder, address) = address(folder)?;
    connect(&socket, &address)?;
    Ok(socket)
}

fn address(folder: &Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    use std::os::fd::AsRawFd;
    let held = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET_NAME}", held.as_raw_fd()))?;
    Ok((held, address))
}

/// Sends one message with descriptors.
pub(crate) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > PACKET_LIMIT || descriptors.len() > DESCRIPTOR_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "message is too large for the control socket",
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message with its descriptors; `None` when the other end hung up.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; PACKET_LIMIT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let descriptors = beside
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if got.bytes == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(bytes.get(..got.bytes).unwrap_or_default())?, descriptors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_folder_name_is_no_obstacle() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("x".repeat(200));
        std::fs::create_dir(&folder).unwrap();
        let _listener = listen_in(&folder).unwrap();
        assert!(connect_in(&folder).is_ok());
    }

    #[test]
    fn descriptors_arrive_with_their_message() {
        let (left, right) = pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        send(&left, &"here", &[file.as_fd()]).unwrap();
        let (text, descriptors) = receive::<String>(&right).unwrap().unwrap();
        assert_eq!((text.as_str(), descriptors.len()), ("here", 1));
        drop(left);
        assert!(receive::<String>(&right).unwrap().is_none());
    }

    #[test]
    fn what_is_too_large_or_malformed_is_an_error() {
        let (left, right) = pair().unwrap();
        assert!(send(&left, &"x".repeat(PACKET_LIMIT), &[]).is_err());
        send(&left, &vec![1], &[]).unwrap();
        assert!(receive::<String>(&right).is_err());
    }
}
