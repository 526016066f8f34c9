//! Messages of nf_tables: the rules that the kernel applies to the packets of one network namespace. What is sent
//! together happens together or not at all, so several shims may change a namespace at once.

use std::io;

use super::netlink::{ACKNOWLEDGE, CREATE, Message, Socket};

const NETFILTER: u32 = 12;
const TABLES: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
pub(super) const NEW_TABLE: u16 = TABLES;
pub(super) const DELETE_TABLE: u16 = TABLES | 2;
const NEW_CHAIN: u16 = TABLES | 3;
const NEW_RULE: u16 = TABLES | 6;
pub(super) const NEW_SET: u16 = TABLES | 9;
pub(super) const NEW_ELEMENT: u16 = TABLES | 12;
pub(super) const DELETE_ELEMENT: u16 = TABLES | 14;

/// The first of the kernel's registers, 16 bytes wide.
pub(super) const REGISTER: u32 = 1;

/// Where the packets of IPv4 meet a chain that translates addresses.
pub(super) struct Hook {
    pub(super) number: u32,
    pub(super) priority: i32,
}

/// All of the messages, or none.
pub(super) fn transaction(messages: &[Vec<u8>]) -> io::Result<()> {
    let mut bytes = Message::new(BATCH_BEGIN, 0, &header(0, TABLES >> 8)).finish();
    for message in messages {
        bytes.extend(message);
    }
    bytes.extend(Message::new(BATCH_END, 0, &header(0, TABLES >> 8)).finish());
    let protocol = rustix::net::Protocol::from_raw(
        rustix::net::RawProtocol::new(NETFILTER).ok_or(io::ErrorKind::InvalidInput)?,
    );
    Socket::open(Some(protocol))?.talk(&bytes, messages.len())
}

/// A message about a table of IPv4.
pub(super) fn about(kind: u16, flags: u16, table: &str) -> Message {
    let mut message = Message::new(kind, ACKNOWLEDGE | flags, &header(libc::AF_INET as u8, 0));
    message.text(1, table);
    message
}

pub(super) fn new_chain(table: &str, name: &str, hook: &Hook) -> Vec<u8> {
    let mut message = about(NEW_CHAIN, CREATE, table);
    message.text(3, name).nested(4, |place| {
        place.attribute(1, &hook.number.to_be_bytes()).attribute(2, &hook.priority.to_be_bytes());
    });
    message.text(7, "nat");
    message.finish()
}

/// A rule whose expressions `fill` adds.
pub(super) fn new_rule(table: &str, chain: &str, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = about(NEW_RULE, CREATE, table);
    message.text(2, chain).nested(4, fill);
    message.finish()
}

pub(super) fn expression(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nested(1, |element| {
        element.text(1, name).nested(2, fill);
    });
}

/// Attributes 1, 2, 3 … with these values.
pub(super) fn numbers(data: &mut Message, values: &[u32]) {
    for (kind, value) in (1_u16..).zip(values) {
        data.attribute(kind, &value.to_be_bytes());
    }
}

/// The rule goes on when the register has these bytes.
pub(super) fn equal(list: &mut Message, bytes: &[u8]) {
    compare(list, 0, bytes);
}

/// The rule goes on when the register has other bytes.
pub(super) fn unequal(list: &mut Message, bytes: &[u8]) {
    compare(list, 1, bytes);
}

pub(super) fn value(data: &mut Message, bytes: &[u8]) {
    data.attribute(1, bytes);
}

fn compare(list: &mut Message, operator: u32, with: &[u8]) {
    expression(list, "cmp", |data| {
        numbers(data, &[REGISTER, operator]);
        data.nested(3, |right| value(right, with));
    });
}

/// `struct nfgenmsg`: family, version, resource in network order.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
