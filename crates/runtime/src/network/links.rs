//! Links, addresses and routes of one network namespace (`rtnetlink(7)`).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::netlink::{ACKNOWLEDGE, CREATE, EXCLUSIVE, Message, Socket};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

const LINK_NAME: u16 = 3;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_NAMESPACE: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;

const UP: u32 = 1;
/// Loopback is the first link of every namespace.
pub(super) const LOOPBACK: u32 = 1;

/// The links of the namespace in which it was opened.
#[derive(Debug)]
pub(super) struct Links(Socket);

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(None)?))
    }

    pub(super) fn set_up(&self, link: u32) -> io::Result<()> {
        self.tell(Message::new(NEW_LINK, ACKNOWLEDGE, &link_header(link, UP)))
    }

    pub(super) fn add_address(&self, link: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut header = vec![libc::AF_INET as u8, prefix, 0, 0];
        header.extend(link.to_ne_bytes());
        let mut message = Message::new(NEW_ADDRESS, ACKNOWLEDGE | CREATE | EXCLUSIVE, &header);
        message.attribute(libc::IFA_LOCAL, &address.octets()).attribute(libc::IFA_ADDRESS, &address.octets());
        self.tell(message)
    }

    pub(super) fn add_default_route(&self, link: u32, gateway: Ipv4Addr) -> io::Result<()> {
        let fixed =
            [libc::AF_INET as u8, 0, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, 0, libc::RTN_UNICAST];
        let mut message = Message::new(NEW_ROUTE, ACKNOWLEDGE | CREATE, &fixed);
        message.raw(&[0; 4]);
        message.attribute(libc::RTA_GATEWAY, &gateway.octets()).attribute(libc::RTA_OIF, &link.to_ne_bytes());
        self.tell(message)
    }

    pub(super) fn add_bridge(&self, name: &str) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, ACKNOWLEDGE | CREATE | EXCLUSIVE, &link_header(0, UP));
        message.text(LINK_NAME, name).nested(LINK_INFO, |info| {
            info.text(INFO_KIND, "bridge");
        });
        self.tell(message)
    }

    /// A pair: `name` here, in `bridge` and up; `peer` in the namespace that the descriptor names.
    pub(super) fn add_pair(
        &self,
        name: &str,
        bridge: u32,
        peer: &str,
        namespace: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, ACKNOWLEDGE | CREATE | EXCLUSIVE, &link_header(0, UP));
        message.text(LINK_NAME, name).attribute(LINK_MASTER, &bridge.to_ne_bytes());
        message.nested(LINK_INFO, |info| {
            info.text(INFO_KIND, "veth").nested(INFO_DATA, |data| {
                data.nested(VETH_PEER, |other| {
                    other.raw(&link_header(0, 0)).text(LINK_NAME, peer);
                    other.attribute(LINK_NAMESPACE, &namespace.as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.tell(message)
    }

    /// Removes a link; gone already is fine.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let mut message = Message::new(DELETE_LINK, ACKNOWLEDGE, &link_header(0, 0));
        message.text(LINK_NAME, name);
        match self.tell(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    fn tell(&self, message: Message) -> io::Result<()> {
        self.0.talk(&message.finish(), 1)
    }
}

/// The number of a link of the current namespace.
pub(super) fn index(name: &str) -> io::Result<u32> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(name_to_index(&socket, name)?)
}

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes
}

/// The answer when something is there already is as good as having made it.
pub(super) fn or_exists(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}
