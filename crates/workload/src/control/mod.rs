//! How a caller reaches the supervisor: one Unix socket in the data folder, JSON lines.
//!
//! `protocol` is the language, `client` the caller's side, `server` the supervisor's, `launch` starts a supervisor where
//! none listens, `paths` says where everything lies.

mod client;
mod launch;
mod paths;
mod protocol;

pub use client::{Supervisor, SupervisorError, Watch};
pub use launch::{EngineChoice, SupervisorOptions};
