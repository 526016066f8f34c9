//! Messages to the kernel's network configuration, made by hand: the shim has one thread and no async stack.
//! Layouts: `netlink(7)`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACKNOWLEDGE: u16 = 0x4;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;
/// An attribute that holds attributes.
const NESTED: u16 = 0x8000;
const ERROR: u16 = 2;
const HEADER: usize = 16;

/// A netlink socket. It stays in the network namespace where it was made.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        Ok(Self(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?))
    }

    /// Sends messages at once and waits for `answers` acknowledgements; the first error is the answer.
    pub(super) fn talk(&self, messages: &[u8], answers: usize) -> io::Result<()> {
        send(&self.0, messages, SendFlags::empty())?;
        let mut left = answers;
        let mut buffer = vec![0_u8; 32 << 10];
        while left > 0 {
            let (length, _) = recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
            for code in acknowledgements(buffer.get(..length).unwrap_or_default()) {
                if code != 0 {
                    return Err(io::Error::from_raw_os_error(-code));
                }
                left = left.saturating_sub(1);
            }
        }
        Ok(())
    }
}

/// The error codes (0: fine, else negative) in what the kernel sent.
fn acknowledgements(mut bytes: &[u8]) -> Vec<i32> {
    let mut codes = Vec::new();
    while let (Some(length), Some(kind)) = (number::<4>(bytes, 0), number::<2>(bytes, 4)) {
        let length = u32::from_ne_bytes(length) as usize;
        if let (ERROR, Some(code)) = (u16::from_ne_bytes(kind), number::<4>(bytes, HEADER)) {
            codes.push(i32::from_ne_bytes(code));
        }
        match bytes.get(aligned(length.max(HEADER))..) {
            Some(rest) => bytes = rest,
            None => break,
        }
    }
    codes
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// One message under construction.
#[derive(Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A header and the fixed part that its kind has.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        let mut message = Self { bytes };
        message.raw(fixed);
        message
    }

    /// Bytes as they are, padded.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.raw(value)
    }

    /// A text with its terminating zero.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// An attribute whose value `fill` adds.
    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }

    /// The message with its length filled in.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(..4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes
    }
}

fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let mut message = Message::new(16, ACKNOWLEDGE, &[]);
        message.nested(18, |inner| {
            inner.text(1, "veth");
        });
        let bytes = message.finish();
        assert_eq!(bytes.len(), 16 + 4 + 4 + 8);
        assert_eq!(bytes[16..20], [16, 0, 18, 0x80]);
        assert_eq!(bytes[20..29], *b"\x09\0\x01\0veth\0");
    }

    #[test]
    fn each_acknowledgement_is_found() {
        let mut answer = Message::new(ERROR, 0, &0_i32.to_ne_bytes()).finish();
        answer.extend(Message::new(ERROR, 0, &(-17_i32).to_ne_bytes()).finish());
        assert_eq!(acknowledgements(&answer), [0, -17]);
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _whatever = acknowledgements(&bytes);
        }
    }
}
