//! How far one deployment has come: by its id, never by how the service looks.
//!
//! A service that looks stable may run what ECS went back to. So the deployment that the answer to our own call named is
//! looked for: where it is done, it is done; where it is gone without a known end, something took its place.

mod cause;
mod handle;
mod own;
mod standing;

pub(crate) use cause::{Evidence, log_place, task_of_interest};
pub(crate) use handle::{Deployment, Handle};
pub(crate) use own::{matching, standing_of_own};
pub(crate) use standing::{Standing, standing};
