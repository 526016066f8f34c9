//! The seam to wherever Applications, their operations and their history are kept.
//!
//! What is stored holds no secret value: Objects come here redacted (see [`crate::Redactor`]).

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use minato_oci::Digest;
use minato_resource::ResourceKey;
use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::owner::ApplicationName;
use crate::target::{Applied, Cause};

/// Version of the documents below, stored with each of them.
pub const RECORD_VERSION: u32 = 1;

/// Keeps Applications, operations and history. Every method commits before it returns, so that a
/// process killed right after it loses nothing.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Every Application, by name.
    async fn applications(&self) -> Result<Vec<ApplicationRecord>, StoreError>;

    /// One Application with its last operation.
    async fn application(&self, name: &ApplicationName) -> Result<Option<ApplicationRecord>, StoreError>;

    /// Writes the Application and its operation in one commit.
    async fn save(&self, record: &ApplicationRecord) -> Result<(), StoreError>;

    /// Every kept revision, newest first.
    async fn history(&self, name: &ApplicationName) -> Result<Vec<Revision>, StoreError>;

    /// Ends an operation: in one commit saves the record and adds a revision to the history, giving it
    /// the next number, then drops what `limit` does not keep (see [`Revision`]).
    async fn conclude(
        &self,
        record: &ApplicationRecord,
        revision: NewRevision,
        limit: usize,
    ) -> Result<Revision, StoreError>;

    /// Forgets the Application, its operation and its history.
    async fn remove(&self, name: &ApplicationName) -> Result<(), StoreError>;

    /// Takes the Application's lock, also from a holder that is dead.
    async fn lock(&self, name: &ApplicationName, command: &str) -> Result<LockAnswer, StoreError>;

    /// Gives the lock back. One that somebody else holds by now is left alone.
    async fn unlock(&self, name: &ApplicationName, holder: &Holder) -> Result<(), StoreError>;
}

/// What is stored about one Application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationRecord {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Its name.
    pub name: ApplicationName,
    /// The Application's document as the user wrote it, or as `up` made it.
    pub document: serde_json::Value,
    /// The last operation, running or done.
    pub operation: Option<Operation>,
}

/// One sync, rollback or delete, from its start to its end. Written before each step that changes
/// the target, so that whoever comes after a crash knows what may have happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// What it does.
    pub kind: OperationKind,
    /// The revision it brings out, as the source names it.
    pub revision: String,
    /// What that revision's Objects and images are, so that a resumed operation is known to be the same.
    pub fingerprint: Fingerprint,
    /// How far it has come.
    pub phase: Phase,
    /// Who runs it.
    pub holder: Holder,
    /// When it started.
    pub started: Timestamp,
    /// Objects it was about to apply; those without an entry in `applied` may or may not be.
    pub intended: Vec<ResourceKey>,
    /// Objects the target has accepted, in order.
    pub applied: Vec<Applied>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperationKind {
    /// Brings out a revision from the source.
    Sync,
    /// Brings out a revision from the history.
    Rollback,
    /// Removes everything.
    Delete,
}

/// How far an operation has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name", deny_unknown_fields)]
pub enum Phase {
    /// Applying waves and following each until it is healthy.
    Applying,
    /// Everything is healthy; what is no longer wanted is being removed.
    Pruning,
    /// It failed; an earlier revision is being brought back.
    RollingBack {
        /// Number of the revision in the history.
        to: u64,
        /// Why it failed.
        cause: Cause,
    },
    /// Done and healthy.
    Succeeded,
    /// Done and not healthy; the history says more.
    Failed {
        /// Why it failed.
        cause: Cause,
    },
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed { .. })
    }
}

/// One revision that was brought out, with all that bringing it back needs: a rollback does not render
/// again. A store keeps the newest `limit` healthy ones and the newest `limit` failed ones, so that a
/// day of failing attempts does not push out what one would go back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Its number in the Application's history, from 1 up, never used twice.
    pub number: u64,
    /// What was brought out, and what became of it.
    pub content: NewRevision,
}

/// A [`Revision`] that has no number yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRevision {
    /// The revision as the source names it: a commit, a tree's hash.
    pub revision: String,
    /// What its Objects and images are.
    pub fingerprint: Fingerprint,
    /// Its Objects as rendered, secrets redacted.
    pub objects: Vec<serde_json::Value>,
    /// Image reference as the Objects write it → the image's identity on this machine.
    pub images: BTreeMap<String, Digest>,
    /// The newest change of each Object: what its health is asked by later.
    pub applied: Vec<Applied>,
    /// What brought it out.
    pub kind: OperationKind,
    /// The number of the revision that it repeats, if it is a rollback.
    pub repeats: Option<u64>,
    /// When the operation started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "name", deny_unknown_fields)]
pub enum Verdict {
    /// It became healthy.
    Healthy,
    /// It did not.
    Failed {
        /// Why.
        cause: Cause,
        /// Number of the revision that was brought back, if one was.
        rolled_back_to: Option<u64>,
    },
}

/// Who works on an Application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Start time of that process in clock ticks since boot (`/proc/PID/stat` field 22): a pid is used again.
    pub start_time: u64,
    /// The boot it runs in: after a reboot nobody holds anything.
    pub boot_id: String,
    /// The command, for people: "minato up examples/hello".
    pub command: String,
    /// Since when.
    pub since: Timestamp,
    /// Tells two holders inside one process apart.
    pub nonce: u64,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`{}` (pid {}) since {:.0}", self.command, self.pid, self.since)
    }
}

/// The answer to a `lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockAnswer {
    /// It is ours.
    Acquired(Holder),
    /// Somebody who is alive has it.
    Held(Holder),
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state was written by a newer Minato.
    #[error(
        "{place}: written by a newer minato (format {found}, this one reads up to {known}); use that version"
    )]
    Newer {
        /// The file.
        place: String,
        /// The version found.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// What is stored can't be read.
    #[error("{place}: the state is damaged: {message}; move the file away to start anew, what runs is kept")]
    Damaged {
        /// The file.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// Reading or writing failed.
    #[error("{place}: {message}")]
    Io {
        /// The file.
        place: String,
        /// What failed.
        message: String,
    },
}

/// Which of `revisions` (newest first) a history of `limit` drops.
pub fn beyond_limit(revisions: &[(u64, bool)], limit: usize) -> Vec<u64> {
    let limit = limit.max(1);
    let beyond = |healthy: bool| {
        let same = revisions.iter().filter(move |(_, is_healthy)| *is_healthy == healthy);
        same.skip(limit).map(|(number, _)| *number)
    };
    beyond(true).chain(beyond(false)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_attempts_never_push_out_a_healthy_revision() {
        let revisions = [(6, false), (5, false), (4, false), (3, true), (2, true), (1, true)];
        assert_eq!(beyond_limit(&revisions, 2), [1, 4]);
        assert_eq!(beyond_limit(&revisions, 0), [2, 1, 5, 4]);
        assert!(beyond_limit(&revisions, 10).is_empty());
    }
}
