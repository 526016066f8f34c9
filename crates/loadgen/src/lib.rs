//! Open-loop HTTP load: requests leave at their time whether or not earlier ones were answered, so that a stall shows as
//! late answers and not as fewer requests.
//!
//! ```text
//! Options ─► run ─► one task a request (new or kept connection; GET, stream or POST) ─► Outcome ─► Report
//! ```
//!
//! The binary `loadgen` prints the report as JSON; `loadgen-server` is the server that tests aim it at. A test tool: it
//! retries nothing and forgives nothing.

mod client;
mod report;
mod server;

pub use client::{Load, Options, start};
pub use report::{Failure, FailureKind, Latency, Report};
pub use server::serve_from_environment;
