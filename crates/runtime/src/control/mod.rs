//! How a caller speaks with a shim: one request and its replies per connection, JSON in sequenced packets on a Unix
//! socket, with descriptors beside them.

pub(crate) mod client;
pub(crate) mod packet;
pub(crate) mod protocol;
