//! Operations on one Application: thin asynchronous shells around the decisions.
//!
//! Each takes the Application's lock, writes down what it is about to do before it does it, and can be killed
//! at any point: the next one reads the record and carries on.

mod bring_out;
mod delete;
mod follow;
mod lock;
mod observe;
mod restore;
mod resume;
mod retry;
mod rollback;
mod run;
mod status;
mod sync;

pub use delete::{DeleteRequest, delete};
pub use observe::diff;
pub use rollback::{RollbackRequest, earlier_revision, rollback};
pub use status::{ObjectStatus, Status, status};
pub use sync::{Outcome, SyncRequest, sync};

use std::time::Duration;

use minato_oci::Digest;

use crate::events::Events;
use crate::owner::ApplicationName;
use crate::secrets::{Redactor, SecretError, SecretSource};
use crate::store::{Holder, StateStore, StoreError};
use crate::target::{Target, TargetError};

/// Everything outside that an operation works with.
#[derive(Clone, Copy)]
pub struct Seams<'a> {
    /// Where Objects live.
    pub target: &'a dyn Target,
    /// What is remembered.
    pub store: &'a dyn StateStore,
    /// Where secret values come from.
    pub secrets: &'a dyn SecretSource,
    /// Keeps images from being collected.
    pub pins: &'a dyn Pins,
    /// Hides secret values.
    pub redactor: &'a Redactor,
    /// Is told what happens.
    pub events: &'a dyn Events,
    /// How long to wait for what.
    pub tempo: Tempo,
}

/// Keeps the images of an Application's revisions from being collected.
pub trait Pins: Send + Sync {
    /// Makes `ids` the images that `owner` needs, instead of those it named before.
    fn pin(&self, owner: &str, ids: &[Digest]) -> Result<(), PinError>;

    /// Lets go of all of them.
    fn unpin(&self, owner: &str) -> Result<(), PinError>;
}

/// Images could not be kept; without that a rollback might find them gone.
#[derive(Debug, thiserror::Error)]
#[error("images can't be kept from being collected: {0}")]
pub struct PinError(pub String);

impl Pins for minato_oci::Store {
    fn pin(&self, owner: &str, ids: &[Digest]) -> Result<(), PinError> {
        Self::pin(self, owner, ids).map_err(|error| PinError(error.to_string()))
    }

    fn unpin(&self, owner: &str) -> Result<(), PinError> {
        Self::unpin(self, owner).map(|_| ()).map_err(|error| PinError(error.to_string()))
    }
}

/// Nothing to keep: for targets whose images are elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPins;

impl Pins for NoPins {
    fn pin(&self, _: &str, _: &[Digest]) -> Result<(), PinError> {
        Ok(())
    }

    fn unpin(&self, _: &str) -> Result<(), PinError> {
        Ok(())
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tempo {
    /// Between two looks at a change, when nothing wakes the follower before.
    pub poll: Duration,
    /// For one wave to become healthy. Targets have their own, shorter deadlines; this one ends what they forget.
    pub wave: Duration,
    /// For the lock that somebody else holds; zero says who holds it at once.
    pub lock: Duration,
    /// For deleted Objects to be gone.
    pub removal: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(500),
            wave: Duration::from_secs(20 * 60),
            lock: Duration::ZERO,
            removal: Duration::from_secs(5 * 60),
        }
    }
}

/// Why an operation could not be carried through. Except where it says so, nothing is lost: the same operation,
/// asked for again, carries on.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Somebody else works on it.
    #[error("application {name} is being worked on by {holder}; wait for it or stop it")]
    Held {
        /// The Application.
        name: ApplicationName,
        /// By whom.
        holder: Holder,
    },
    /// Nothing is desired, and everything would be removed.
    #[error(
        "application {name}: no object is desired, which would remove everything that runs; set syncPolicy.automated.allowEmpty if that is meant"
    )]
    Empty {
        /// The Application.
        name: ApplicationName,
    },
    /// Two desired Objects are one.
    #[error("{key} is desired twice; remove one of the two")]
    Duplicate {
        /// The Object.
        key: minato_resource::ResourceKey,
    },
    /// No such Application is known.
    #[error("application {name} is not known here; `minato status` lists those that are")]
    NoSuchApplication {
        /// The Application.
        name: ApplicationName,
    },
    /// No such revision is in the history.
    #[error("application {name} has no revision {number} to go back to; it has {known}")]
    NoSuchRevision {
        /// The Application.
        name: ApplicationName,
        /// The number asked for.
        number: u64,
        /// The numbers it has.
        known: String,
    },
    /// The history has no other healthy revision.
    #[error("application {name} has no earlier healthy revision to go back to")]
    NothingBefore {
        /// The Application.
        name: ApplicationName,
    },
    /// Objects were still there after the time that [`Tempo::removal`] gives.
    #[error("{key} is still there after {seconds} s; `delete` again waits for it again")]
    NotRemoved {
        /// One of them.
        key: minato_resource::ResourceKey,
        /// How long was waited.
        seconds: u64,
    },
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The images.
    #[error(transparent)]
    Pin(#[from] PinError),
}
