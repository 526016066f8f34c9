//! Lets a bridge's network out: packets that leave by another link get the host's address (nf_tables, by netlink).
//! One table per bridge; making it is one transaction, so several shims may try at once.

use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use super::links::or_exists;
use super::netlink::{ACKNOWLEDGE, CREATE, EXCLUSIVE, Message, Socket};
use crate::spec::Uplink;

const NETFILTER: u32 = 12;
const TABLES: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = TABLES;
const DELETE_TABLE: u16 = TABLES | 2;
const NEW_CHAIN: u16 = TABLES | 3;
const NEW_RULE: u16 = TABLES | 6;

const CHAIN: &str = "postrouting";
const HOOK_POSTROUTING: u32 = 4;
const PRIORITY_SOURCE_NAT: u32 = 100;
const REGISTER: u32 = 1;

/// Makes the rule, unless it is there.
pub(super) fn ensure(uplink: &Uplink) -> io::Result<()> {
    let answer =
        or_exists(transaction(&[table(NEW_TABLE, &uplink.bridge), chain(&uplink.bridge), rule(uplink)]));
    answer.or_else(|error| by_program(uplink).map_err(|_| error))
}

/// Removes the rule; gone already is fine.
pub(super) fn remove(uplink: &Uplink) -> io::Result<()> {
    match transaction(&[table(DELETE_TABLE, &uplink.bridge)]) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// A kernel without nf_tables may have the older tables, and their program.
fn by_program(uplink: &Uplink) -> io::Result<()> {
    let network = format!("{}/{}", network(uplink), uplink.prefix);
    let run = |action: &str| {
        let mut command = Command::new("iptables");
        command.args(["-w", "-t", "nat", action, "POSTROUTING", "-s", &network, "!", "-o", &uplink.bridge]);
        command.args(["-j", "MASQUERADE"]).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("iptables refused")) }
    };
    run("-C").or_else(|_| run("-A"))
}

fn transaction(messages: &[Vec<u8>]) -> io::Result<()> {
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

/// `struct nfgenmsg`: family, version, resource in network order.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn message(kind: u16, flags: u16) -> Message {
    Message::new(kind, ACKNOWLEDGE | flags, &header(libc::AF_INET as u8, 0))
}

fn table(kind: u16, bridge: &str) -> Vec<u8> {
    let flags = if kind == NEW_TABLE { CREATE | EXCLUSIVE } else { 0 };
    let mut message = message(kind, flags);
    message.text(1, &table_name(bridge));
    message.finish()
}

fn chain(bridge: &str) -> Vec<u8> {
    let mut message = message(NEW_CHAIN, CREATE);
    message.text(1, &table_name(bridge)).text(3, CHAIN);
    message.nested(4, |hook| {
        hook.attribute(1, &HOOK_POSTROUTING.to_be_bytes()).attribute(2, &PRIORITY_SOURCE_NAT.to_be_bytes());
    });
    message.text(7, "nat");
    message.finish()
}

/// `ip saddr NETWORK oifname != BRIDGE masquerade`.
fn rule(uplink: &Uplink) -> Vec<u8> {
    let mut name = uplink.bridge.clone().into_bytes();
    name.resize(16, 0);
    let mut message = message(NEW_RULE, CREATE);
    message.text(1, &table_name(&uplink.bridge)).text(2, CHAIN);
    message.nested(4, |list| {
        expression(list, "payload", |data| numbers(data, &[REGISTER, 1, 12, 4]));
        expression(list, "bitwise", |data| {
            numbers(data, &[REGISTER, REGISTER, 4]);
            data.nested(4, |mask| value(mask, &mask_of(uplink.prefix).to_be_bytes()));
            data.nested(5, |flip| value(flip, &[0; 4]));
        });
        expression(list, "cmp", |data| compare(data, 0, &network(uplink).octets()));
        expression(list, "meta", |data| numbers(data, &[REGISTER, 7]));
        expression(list, "cmp", |data| compare(data, 1, &name));
        expression(list, "masq", |_| {});
    });
    message.finish()
}

fn expression(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nested(1, |element| {
        element.text(1, name).nested(2, fill);
    });
}

/// Attributes 1, 2, 3 … with these values.
fn numbers(data: &mut Message, values: &[u32]) {
    for (kind, value) in (1_u16..).zip(values) {
        data.attribute(kind, &value.to_be_bytes());
    }
}

fn compare(data: &mut Message, operator: u32, with: &[u8]) {
    numbers(data, &[REGISTER, operator]);
    data.nested(3, |right| value(right, with));
}

fn value(data: &mut Message, bytes: &[u8]) {
    data.attribute(1, bytes);
}

fn table_name(bridge: &str) -> String {
    format!("minato-{bridge}")
}

fn mask_of(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn network(uplink: &Uplink) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(uplink.gateway) & mask_of(uplink.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_the_gateways() {
        assert_eq!(network(&Uplink::default()), Ipv4Addr::new(10, 88, 0, 0));
        assert_eq!(mask_of(24), 0xFFFF_FF00);
    }
}
