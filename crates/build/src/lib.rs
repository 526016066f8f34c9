//! Dockerfile stages → graph → solver with a content-addressed cache → image.
//!
//! ```text
//! Request ─ parse ─► Dockerfile ─ stages ─► the stages that the target needs
//!                                   │ bases: scratch, store, registry, oci-layout://
//!                                 lower ─► config, history, operations of each stage
//!                                   │
//!                                 solve ─► one layer per operation, from the cache or made:
//!                                   │        copy: tree + tree → plan of a layer → written and hashed in one pass
//!                                   │        run:  executor fills an upper folder → layer
//!                                 image ◄─ config + history + diff_ids
//! ```
//!
//! The rules are those of the `BuildKit` in docker 26.1.5. What differs:
//! layers are reproducible, and a step's key is made of contents, never of how they came to be.
//!
//! What this crate does not do: talk to registries ([`Bases`]), print ([`Progress`]), compress or push.

mod bases;
mod executor;
mod progress;
mod request;

pub use bases::{Bases, FetchError, Offline};
pub use executor::{Cancelled, ExecuteError, Executor, FakeExecutor, RunStep, StepExit, StepNetwork};
pub use progress::{Progress, Recorder, Silent, StepName, StepOutcome, Stream};
pub use request::{PassThrough, PassedFile, Request};
