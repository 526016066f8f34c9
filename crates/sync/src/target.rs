//! The seam to wherever Objects live: this machine, a cluster, a cloud.
//!
//! Contract that [`sync`](crate::sync()) builds on:
//! - `live` and `predict` give Objects in the same normal form, with secret values replaced by
//!   [`Redactor`](crate::Redactor) marks, so that comparing them never sees a secret nor a default.
//! - `apply` is idempotent: applying what is live starts nothing, not even when it has failed, and answers
//!   with the token of the change that made it. A caller that died before it wrote a token down simply applies
//!   again. Only [`Context::retry`] asks for a new change of what is live already.
//! - `progress` follows one change by its token, never "the object in general".

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use minato_oci::Digest;
use minato_resource::{Object, ResourceKey};
use serde::{Deserialize, Serialize};

use crate::owner::Owner;

/// Where Objects live. One implementation for each engine; [`crate::fake::FakeTarget`] for tests.
#[async_trait]
pub trait Target: Send + Sync {
    /// Everything this owner has there now, in normal form, secrets redacted.
    async fn live(&self, owner: &Owner) -> Result<Vec<Object>, TargetError>;

    /// What `apply` would make of `desired`, in normal form, secrets redacted. Writes nothing.
    /// A desired Object that can't work (a missing reference, say) is refused here, before any write.
    async fn predict(
        &self,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Object, TargetError>;

    /// Makes `desired` so. Returns when the target has accepted it, not when it is healthy.
    async fn apply(&self, desired: &Object, context: &Context) -> Result<Applied, TargetError>;

    /// How far the change behind `token` has come.
    async fn progress(&self, token: &Token) -> Result<Progress, TargetError>;

    /// Removes the Object, if it is this owner's. Gone already is success.
    async fn delete(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError>;

    /// Rank of this Object's kind inside a wave: lower is applied first and deleted last.
    fn order(&self, key: &ResourceKey) -> i32;

    /// Wakes the follower when something of the owner's changed. It carries no state and may end at
    /// any time; then the follower polls.
    async fn watch(&self, owner: &Owner) -> Result<BoxStream<'static, Change>, TargetError>;
}

/// What is known while one revision is being brought out.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whose Objects these are.
    pub owner: Owner,
    /// The revision being applied, as the source names it.
    pub revision: String,
    /// Every desired Object of that revision, secrets in clear: an Object may refer to others.
    pub desired: Arc<[Object]>,
    /// Image reference as the Objects write it → the image's identity on this machine.
    pub images: Arc<BTreeMap<String, Digest>>,
    /// The newest change of each Object that is known, those of this operation included.
    pub applied: Vec<Applied>,
    /// Objects whose last change failed and which somebody asks for once more.
    pub retry: Vec<ResourceKey>,
}

/// The answer to an `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The Object.
    pub key: ResourceKey,
    /// What the target calls it now (a uid, a revision's name): later Objects refer to this.
    pub identity: String,
    /// Handle of this change for `progress`.
    pub token: Token,
}

/// Opaque handle of one change; only the target that made it reads it. It outlives processes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Wraps the target's own text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The target's own text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far one change has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Under way.
    Progressing {
        /// What it waits for, for people: "1 of 3 replicas ready".
        message: String,
    },
    /// The change is out and healthy.
    Healthy,
    /// The change will not become healthy.
    Failed {
        /// Why.
        cause: Cause,
    },
    /// The target itself went back to an earlier change: a failure, whatever runs now.
    RolledBackByTarget {
        /// Why.
        cause: Cause,
    },
}

/// Why a change failed, with all that helps to find the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// One line: what happened to what.
    pub summary: String,
    /// Further facts as (name, text): the probe's answer, the exit code, out of memory.
    pub facts: Vec<(String, String)>,
    /// The end of the program's log, oldest line first.
    pub log_lines: Vec<String>,
    /// What to do next, where that is known.
    pub hint: Option<String>,
}

impl Cause {
    /// A cause of one line.
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), ..Self::default() }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.summary)
    }
}

/// Something of the owner's changed; ask `progress` or `live` what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The Object, where the target knows which.
    pub key: Option<ResourceKey>,
}

/// Why a target could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The Object can't be brought out as it is; trying again will not help.
    #[error("{key}: {message}")]
    Refused {
        /// The Object.
        key: ResourceKey,
        /// What is wrong and what to do next.
        message: String,
    },
    /// The target did not answer or asked for patience; trying again may help.
    #[error("{what}: {message}")]
    Unavailable {
        /// What was asked of it.
        what: String,
        /// What it answered, or how the connection failed.
        message: String,
    },
    /// The target answered something that trying again will not change.
    #[error("{what}: {message}")]
    Broken {
        /// What was asked of it.
        what: String,
        /// What went wrong.
        message: String,
    },
}

impl TargetError {
    /// The Object that it is about, where it is about one.
    pub fn key(&self) -> Option<&ResourceKey> {
        match self {
            Self::Refused { key, .. } => Some(key),
            Self::Unavailable { .. } | Self::Broken { .. } => None,
        }
    }

    /// Whether the same request may work a little later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
