//! What stands between the crates: each adapter fits one crate's seam with another crate, or with the printer.

mod build_progress;
mod disk;
mod pull_progress;
mod registries;
mod secrets;
mod sync_events;

pub use build_progress::BuildProgress;
pub use disk::Disk;
pub use pull_progress::PullProgress;
pub use registries::Registries;
pub use secrets::{secrets_around, secrets_of, secrets_of_record};
pub use sync_events::{SyncEvents, describe};
