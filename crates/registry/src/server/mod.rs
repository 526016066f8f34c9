//! A registry: the OCI distribution API over a folder (the distribution specification, version 1.1).
//!
//! ```text
//!  connection ─► route (pure) ─► access: who may do it ─► handle ─► storage: links and renames in one folder
//!                                                            └────► upstream: what is not here yet, verified
//!  retain (pure): which tags and manifests a policy lets go ─► storage ─► collection of what nothing needs
//! ```
//!
//! Content is verified while it is written and visible when it is whole; a blob is visible in the repositories that it
//! was pushed to or mounted in. Uploads survive connections, processes and restarts. Nothing here prints: what an
//! operator should know goes to [`Options::log`]. No type of the HTTP stack is in this module's interface.

mod access;
mod answer;
mod configuration;
mod content;
mod document;
mod handle;
mod listen;
mod name;
mod patience;
mod pattern;
mod retain;
mod route;
mod storage;
mod tls;
mod upkeep;
mod upstream;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use access::{AccessError, AccessOptions, Action, Issuer, KeyError, PasswordError, Rule, User};
pub use configuration::Configuration;
pub use listen::{ListenError, Running, Server};
pub use pattern::{Pattern, PatternError};
pub use retain::{Policy, RetentionRule};
pub use storage::{Collected, StorageError};
pub use tls::{TlsError, TlsFiles};
pub use upkeep::{LetGo, let_go};
pub use upstream::Upstreams;

/// Settings of a [`Server`].
#[derive(Clone)]
pub struct Options {
    /// The folder that everything is kept in.
    pub folder: PathBuf,
    /// Who may do what.
    pub access: AccessOptions,
    /// Certificate and key to speak TLS with.
    pub tls: Option<TlsFiles>,
    /// Listen for other machines even when everybody may do everything, or passwords and content go unencrypted.
    pub insecure: bool,
    /// What a request may ask for.
    pub limits: Limits,
    /// Registries elsewhere that are read through this one.
    pub upstreams: Option<Upstreams>,
    /// Tags that are never changed or removed once they are set.
    pub immutable_tags: Vec<Pattern>,
    /// What is let go of before garbage is collected.
    pub retention: Option<Policy>,
    /// How garbage is collected beside everything else.
    pub upkeep: Upkeep,
    /// Gets what an operator should know.
    pub log: Log,
}

/// What a request may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one blob.
    pub blob: u64,
    /// Bytes of one manifest.
    pub manifest: u64,
    /// How long a body may bring nothing, and a client may take nothing of its answer.
    pub stall: Duration,
    /// Connections at the same time.
    pub connections: usize,
}

/// How garbage is collected while the registry serves.
#[derive(Clone, Copy, Debug)]
pub struct Upkeep {
    /// How often.
    pub every: Duration,
    /// How long a blob that no manifest needs stays after it was last pushed or asked for: a push that sends blobs
    /// first and the manifest at its end must be done within it.
    pub keep_blobs_for: Duration,
    /// How long an upload waits for somebody to go on with it.
    pub keep_uploads_for: Duration,
}

/// Takes lines for the operator.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&str) + Send + Sync>);

impl Options {
    /// Everything open and nothing told, for a registry below `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            access: AccessOptions::default(),
            tls: None,
            insecure: false,
            upstreams: None,
            immutable_tags: Vec::new(),
            retention: None,
            limits: Limits::default(),
            upkeep: Upkeep::default(),
            log: Log::new(|_| {}),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { blob: 256 << 30, manifest: 4 << 20, stall: Duration::from_secs(60), connections: 1024 }
    }
}

impl Default for Upkeep {
    fn default() -> Self {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        Self { every: hours(1), keep_blobs_for: hours(24), keep_uploads_for: hours(7 * 24) }
    }
}

impl Log {
    /// Lines go to `tell`.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn line(&self, line: &str) {
        (self.0)(line);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("folder", &self.folder).field("limits", &self.limits).finish()
    }
}
