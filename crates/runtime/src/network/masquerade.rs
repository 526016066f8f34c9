//! Lets a bridge's network out: packets that leave by another link get the host's address.
//! One table per bridge; making it is one transaction, so several shims may try at once.

use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use super::links::or_exists;
use super::netlink::{CREATE, EXCLUSIVE};
use super::tables::{
    DELETE_TABLE, Hook, NEW_TABLE, REGISTER, about, equal, expression, new_chain, new_rule, numbers,
    transaction, unequal, value,
};
use crate::spec::Uplink;

const CHAIN: &str = "postrouting";
const POSTROUTING: Hook = Hook { number: 4, priority: 100 };

/// Makes the rule, unless it is there.
pub(super) fn ensure(uplink: &Uplink) -> io::Result<()> {
    let table = table_name(&uplink.bridge);
    let new_table = about(NEW_TABLE, CREATE | EXCLUSIVE, &table).finish();
    let answer =
        or_exists(transaction(&[new_table, new_chain(&table, CHAIN, &POSTROUTING), rule(&table, uplink)]));
    answer.or_else(|error| by_program(uplink).map_err(|_| error))
}

/// Removes the rule; gone already is fine.
pub(super) fn remove(uplink: &Uplink) -> io::Result<()> {
    match transaction(&[about(DELETE_TABLE, 0, &table_name(&uplink.bridge)).finish()]) {
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

/// `ip saddr NETWORK oifname != BRIDGE masquerade`.
fn rule(table: &str, uplink: &Uplink) -> Vec<u8> {
    let mut name = uplink.bridge.clone().into_bytes();
    name.resize(16, 0);
    new_rule(table, CHAIN, |list| {
        expression(list, "payload", |data| numbers(data, &[REGISTER, 1, 12, 4]));
        expression(list, "bitwise", |data| {
            numbers(data, &[REGISTER, REGISTER, 4]);
            data.nested(4, |mask| value(mask, &mask_of(uplink.prefix).to_be_bytes()));
            data.nested(5, |flip| value(flip, &[0; 4]));
        });
        equal(list, &network(uplink).octets());
        expression(list, "meta", |data| numbers(data, &[REGISTER, 7]));
        unequal(list, &name);
        expression(list, "masq", |_| {});
    })
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
