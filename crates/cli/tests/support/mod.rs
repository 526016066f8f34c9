//! What the whole-program tests share: Minato with a data folder of its own, an application to deploy, load on it, and
//! the traces that a run leaves on the machine.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

pub mod application;
pub mod aws;
pub mod cluster;
pub mod ecs_deployments;
pub mod engine;
pub mod http;
pub mod machine;
pub mod parts;
pub mod proxy;
pub mod shop;
pub mod traces;
