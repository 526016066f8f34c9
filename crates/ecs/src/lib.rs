//! The Target that is Amazon ECS: task definitions and services of one cluster.
//!
//! ```text
//! desired ─► normal form ──┐             ┌─ equal ─► the revision or service that is there, no write
//! live ────► normal form ──┴─ predict ───┤
//!   ▲                                    └─ differs ─► register, create, update (only the fields that differ)
//!   │                                                        │
//!   └── services with the owner's tag,                deployment id ─► progress: that deployment, never the service
//!       the revisions that they run
//! ```
//!
//! - A task definition's key is its family; live is the revision that the owner's service runs. What is registered
//!   already is used again, so a rollback goes back to the very revision.
//! - A service becomes what its file says and keeps what no file says: `[]` clears a field, silence keeps it. The number
//!   of tasks is the file's only where no autoscaling moves it.
//! - Whose something is, a tag says: Argo CD's tracking id ([`minato_sync::TRACKING_ANNOTATION`]). What another
//!   Application has is refused, what nobody has is taken over.
//! - Nothing is ever deregistered. Giving a task definition up removes Minato's tags from it.
//!
//! The crate runs no containers, knows no file formats (that is `task-definition`), and shifts no traffic.

mod api;
mod cluster;
mod failure;
mod field;
mod form;
mod plan;
mod progress;
mod revision;
mod revisions;
mod tags;
mod target;
#[cfg(test)]
mod tests;

pub use failure::ConnectError;
pub use target::{EcsTarget, Options, POLL_INTERVAL, accepts};
