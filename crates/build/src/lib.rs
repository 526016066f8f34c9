//! Dockerfile stages → graph → solver with a content-addressed cache → image.
//!
//! ```text
//! Request ─ parse ─► Dockerfile ─ stages ─► the stages that the target needs
//!                                   │ bases: scratch, store, registry, oci-layout://
//!                                 lower ─► config, history, operations of each stage
//!                                   │
//!                                 solve ─► one layer per operation, from the cache or made:
//!                                   │        copy: tree + tree → plan of a layer → written and hashed in one pass
//!                                   │              (ADD: what is fetched is a tree, too)
//!                                   │        run:  executor fills an upper folder → layer
//!                                 image ◄─ config + history + diff_ids
//! ```
//!
//! The rules are those of `BuildKit` 0.34, against which `tests/reference` compares. What differs:
//! layers are reproducible ([`LayerTimes`]), and a step's key is made of contents, never of how they came to be.
//!
//! What this crate does not do: talk to registries ([`Bases`]), print ([`Progress`]), compress or push.

mod base_images;
mod bases;
mod builder;
pub mod cache_exchange;
mod contexts;
mod copy;
mod error;
mod executor;
mod layer;
mod lower;
mod names;
mod place;
mod progress;
pub mod provenance;
mod remote;
mod request;
mod solve;
mod stages;
mod tree;
mod trees;

pub use bases::{Bases, FetchError, Offline};
pub use builder::{Builder, Built};
pub use contexts::{ContextFolder, Contexts, NamedContext, NamedContextError};
pub use copy::{ArchiveError, CopyError, ModeError, OwnerError};
pub use error::{BuildError, RunFailure, StepError};
pub use executor::{
    Cancelled, ContainerExecutor, ExecuteError, Executor, FakeExecutor, RunStep, StepExit, StepMount,
    StepNetwork, Surroundings,
};
pub use layer::{LayerError, LayerTimes};
pub use progress::{Progress, Recorder, Silent, StepName, StepOutcome, Stream};
pub use remote::{
    AddressError, GitAddress, GitError, HttpAddress, HttpError, Remote, RemoteError, RemoteSettings, Remotes,
};
pub use request::{PassThrough, PassedFile, Request, Secret};
pub use solve::StepReport;
pub use tree::TreeError;
