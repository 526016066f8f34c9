//! Service ports inside a pod: who dials a Service's address and port reaches a listener on another port of the same
//! address. The Service's own port stays free, so that a program of the pod may bind it on all addresses.
//!
//! One table per namespace, made by the first shim that needs it: a rule, and a map that the rule looks into. An entry
//! of the map is one Service port, so shims of one pod don't meet unless they mean the same one. The table goes with
//! the namespace and not with its last entry: without it, the kernel would stop translating connections that are open.

use std::io;
use std::net::SocketAddrV4;

use super::links::or_exists;
use super::netlink::{CREATE, EXCLUSIVE};
use super::tables::{
    DELETE_ELEMENT, Hook, NEW_ELEMENT, NEW_SET, NEW_TABLE, REGISTER, about, equal, expression, new_chain,
    new_rule, numbers, transaction, value,
};

const TABLE: &str = "minato-services";
const CHAIN: &str = "output";
const MAP: &str = "listeners";

const OUTPUT: Hook = Hook { number: 3, priority: -100 };
/// The four bytes after an address that begins the first register.
const SECOND_WORD: u32 = 9;
/// How `nft` is to print an address with a port.
const ADDRESS_AND_PORT: u32 = (7 << 6) | 13;
const ADDRESS_AND_PORT_LENGTH: u32 = 8;
const IS_MAP: u32 = 8;
const TCP: u8 = 6;

/// One Service port of the current namespace led to a listener, until dropped (in the same namespace).
#[derive(Debug)]
pub(crate) struct Redirect {
    service: SocketAddrV4,
    listener: SocketAddrV4,
}

impl Redirect {
    /// Leads new connections to `service` to `listener`. What an earlier shim of the pod said about the same address
    /// and port is replaced: it may have been killed.
    ///
    /// # Errors
    /// When the kernel has no nf_tables, or refuses.
    pub(crate) fn new(service: SocketAddrV4, listener: SocketAddrV4) -> io::Result<Self> {
        or_exists(transaction(&[new_table(), new_map(), new_chain(TABLE, CHAIN, &OUTPUT), rule()]))?;
        let redirect = Self { service, listener };
        match transaction(&[redirect.entry(NEW_ELEMENT)]) {
            Err(error) if is_anothers(&error) => {
                transaction(&[redirect.entry(DELETE_ELEMENT), redirect.entry(NEW_ELEMENT)])?;
            }
            other => other?,
        }
        Ok(redirect)
    }

    fn entry(&self, kind: u16) -> Vec<u8> {
        let flags = if kind == NEW_ELEMENT { CREATE } else { 0 };
        let mut message = about(kind, flags, TABLE);
        message.text(2, MAP).nested(3, |list| {
            list.nested(1, |entry| {
                entry.nested(1, |key| value(key, &words(self.service)));
                if kind == NEW_ELEMENT {
                    entry.nested(2, |data| value(data, &words(self.listener)));
                }
            });
        });
        message.finish()
    }
}

impl Drop for Redirect {
    /// Adding what is there already does nothing, and adding something else instead is refused, and with it the
    /// deletion: an entry that another shim has made meanwhile stays.
    fn drop(&mut self) {
        let _gone_with_the_namespace_else =
            transaction(&[self.entry(NEW_ELEMENT), self.entry(DELETE_ELEMENT)]);
    }
}

/// Kernels differ in what they say of an entry that is there with another listener.
fn is_anothers(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EEXIST | libc::EBUSY))
}

fn new_table() -> Vec<u8> {
    about(NEW_TABLE, CREATE | EXCLUSIVE, TABLE).finish()
}

fn new_map() -> Vec<u8> {
    let mut message = about(NEW_SET, CREATE, TABLE);
    message.text(2, MAP);
    let kind_and_length = [ADDRESS_AND_PORT, ADDRESS_AND_PORT_LENGTH];
    let settings = [IS_MAP].into_iter().chain(kind_and_length).chain(kind_and_length);
    for (kind, number) in (3_u16..).zip(settings) {
        message.attribute(kind, &number.to_be_bytes());
    }
    // A number of its own within this transaction, which the kernel insists on.
    message.attribute(10, &1_u32.to_be_bytes());
    message.finish()
}

/// `meta l4proto tcp dnat to ip daddr . tcp dport map @listeners`.
fn rule() -> Vec<u8> {
    new_rule(TABLE, CHAIN, |list| {
        expression(list, "meta", |data| numbers(data, &[REGISTER, 16]));
        equal(list, &[TCP]);
        expression(list, "payload", |data| numbers(data, &[REGISTER, 1, 16, 4]));
        expression(list, "payload", |data| numbers(data, &[SECOND_WORD, 2, 2, 2]));
        expression(list, "lookup", |data| {
            data.text(1, MAP).attribute(2, &REGISTER.to_be_bytes()).attribute(3, &REGISTER.to_be_bytes());
        });
        let (destination, family) = (1, libc::AF_INET as u32);
        expression(list, "nat", |data| {
            numbers(data, &[destination, family, REGISTER, REGISTER, SECOND_WORD]);
        });
    })
}

/// Address and port as they lie in a packet, each in four bytes.
fn words(address: SocketAddrV4) -> [u8; 8] {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    [a, b, c, d, high, low, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_packets_have_it() {
        assert_eq!(words(SocketAddrV4::new([127, 1, 0, 2].into(), 3000)), [127, 1, 0, 2, 0x0b, 0xb8, 0, 0]);
    }
}
