//! Keeps what runs equal to what is desired.
//!
//! ```text
//! Application ─┐                      ┌─► apply wave by wave ─► follow each change ─► prune ─► history
//! desired ─────┼─► compare ─► plan ───┤                              │
//! live ────────┘   (pure)     (pure)  └── nothing to do: no write    └ unhealthy ─► last healthy revision
//! ```
//!
//! The crate owns the Application (Argo CD's fields and meaning), the decisions (`compare`, `plan`, what to do
//! after a crash), and the operations on an Application as thin shells around them. It does not know any engine:
//! where Objects live is a [`Target`], where they come from a [`Source`], what is remembered a [`StateStore`].

mod annotations;
mod application;
mod compare;
mod difference;
mod events;
#[cfg(feature = "fake")]
pub mod fake;
pub mod field;
mod fingerprint;
mod health;
mod operation;
mod owner;
mod plan;
mod secrets;
mod source;
mod store;
mod target;

pub use annotations::{SYNC_OPTIONS_ANNOTATION, SYNC_WAVE_ANNOTATION, not_acted_on};
pub use application::{
    Application, ApplicationSource, Automated, Cluster, Destination, HISTORY_LIMIT, IgnoreDifference,
    ROLLBACK_ANNOTATION, Retry, RollbackPolicy, SyncPolicy,
};
pub use compare::{Compared, Comparison, ObjectState, compare};
pub use difference::{Difference, differences};
pub use events::{Event, Events, Silent};
pub use fingerprint::Fingerprint;
pub use health::Health;
pub use operation::{
    DeleteRequest, NoPins, ObjectStatus, Outcome, PinError, Pins, RollbackRequest, Seams, Status, SyncError,
    SyncRequest, Tempo, delete, diff, earlier_revision, rollback, status, sync,
};
pub use owner::{ApplicationName, NameError, Owner, TRACKING_ANNOTATION};
pub use plan::{Plan, Wave, plan, removal_order};
pub use secrets::{Redactor, Restored, SecretError, SecretReference, SecretSource, SecretValue, is_mark};
pub use source::{Loaded, Source, SourceError};
pub use store::{
    ApplicationRecord, Holder, LockAnswer, NewRevision, Operation, OperationKind, Phase, RECORD_VERSION,
    Revision, StateStore, StoreError, Verdict, beyond_limit,
};
pub use target::{Applied, Cause, Change, Context, Progress, Target, TargetError, Token};
