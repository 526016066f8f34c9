//! How a caller reaches the supervisor: one Unix socket in the data folder, JSON lines.
//!
//! `protocol` is the language, `client` the caller's side, `server` the supervisor's, `launch` starts a supervisor where
//! none listens, `paths` says where everything lies.

mod client;
mod launch;
mod paths;
mod protocol;
mod server;

pub use client::{Supervisor, SupervisorError, Watch};
pub(crate) use launch::{ANOTHER_RUNS, ARGUMENT, Launch};
pub use launch::{EngineChoice, SupervisorOptions};
pub(crate) use paths::Paths;
pub(crate) use protocol::{Reply, Request};
pub(crate) use server::serve_clients;
