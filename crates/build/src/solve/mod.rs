//! Operations → layers: from the cache, or made.
//!
//! A step's key is a digest of everything that decides its layer. For RUN that is the command, its environment and the
//! digests of the layers below; for COPY it is the planned layer itself. How the inputs came to be is not in it: a
//! step whose inputs turn out the same is not done again, even where a step before it was.

mod cache;
mod cache_mounts;
mod copy;
mod inputs;
mod key;
mod known;
mod mounts;
mod run;
mod stage;
mod stubs;
mod times;

pub(crate) use cache::StepCache;
pub(crate) use key::{Key, KeyBuilder};
pub(crate) use known::Asked;
pub use stage::StepReport;
pub(crate) use stage::{SolvedStage, Solver, StageInput};
