//! The service proxy: each port of a service, in front of its ready replicas.
//!
//! ```text
//! listener (127.0.0.1 of the host, or inside a pod) ─► first bytes ─┬► http: one lease and one fresh connection a request
//!                                                                   └► tcp:  one lease and one connection for all its life
//! ```
//! A request that was sent to a replica is never sent again: a replica sees each POST once or not at all. Only a
//! connection that could not be made is tried elsewhere. Connections to replicas are not kept: a kept one can be closed
//! by the replica at the very moment of the next request, which would then be lost or asked twice; making one costs
//! some 50 µs here. A lease counts as in flight until the answer's last byte, so that draining knows when it is done.

mod backends;
mod headers;
mod http;
mod listener;
mod sniff;
mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use backends::{Backend, Backends, Dial, HOLD, Traffic};
pub(crate) use listener::{Port, serve};
