//! The Target that is this machine: Kubernetes and ECS documents become workloads of the supervisor.
//!
//! ```text
//! Object ─► lower (pure) ─► Workload, Service ─► supervisor
//!    ▲                                              │
//!    └── record: what was applied, secrets as marks ◄┴─ progress of each rollout
//! ```
//!
//! The crate owns what the documents mean here: Kubernetes' and ECS' defaults and rounding, what an image adds, and a
//! diagnostic for everything that is wrong or has no effect on one machine. It starts no container itself.

mod accepts;
pub mod lower;
mod normal;
mod order;
mod prepare;
mod progress;
mod record;
mod target;

pub use accepts::{accepts, part, why_not};
pub use lower::{Inputs, Lowered, Options, check, lower};
pub use target::{LocalTarget, take_object};
