//! What a build takes from the network: files over HTTP, and trees of Git repositories.
//!
//! ```text
//! text ─ address ─► Remote ─┬─ http: asked whether it changed ─► a file of the cache, by its digest
//!                           └─ git: reference ─► commit ─► a bare repository of the cache ─► checked out
//! ```
//!
//! What was fetched is kept in the builder's cache, one folder for each address; losing it costs time only. Nothing that
//! a server says is believed: sizes, times, redirects and protocols have limits.
//!
//! ```text
//! remote/files/HEX/           HEX: the digest of the address. record.json, contents by digest, lock
//! remote/repositories/HEX/    a bare repository, and its lock beside it
//! ```

mod address;
mod command;
mod git;
mod http;
mod tree;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use address::{AddressError, GitAddress, HttpAddress, Remote};
pub(crate) use git::Commit;
pub use git::GitError;
pub use http::HttpError;
pub(crate) use http::RemoteFile;

use crate::executor::Cancelled;
use crate::request::Secret;

/// What nobody asked for so long is dropped when something else is fetched.
const KEEP: Duration = Duration::from_secs(60 * 86_400);

/// Fetches, and keeps what was fetched.
pub struct Remotes<'a> {
    folder: PathBuf,
    settings: &'a RemoteSettings,
    cancelled: &'a Cancelled,
}

/// How servers are reached.
#[derive(Clone, Debug, Default)]
pub struct RemoteSettings {
    /// Certificate authorities (PEM) beside the system's.
    pub authorities: Vec<Vec<u8>>,
    /// For Git over HTTPS: a token, which goes with the user name `x-access-token`.
    pub git_token: Option<Secret>,
    /// For Git over HTTPS: the value of an `Authorization` header.
    pub git_header: Option<Secret>,
}

/// Why something can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A file can't be had.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A repository can't be had.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The user gave up, or another step failed.
    #[error("cancelled")]
    Cancelled,
}

impl<'a> Remotes<'a> {
    /// Keeps what it fetches below the builder's folder `cache`.
    pub fn new(cache: &Path, settings: &'a RemoteSettings, cancelled: &'a Cancelled) -> Self {
        Self { folder: cache.join("remote"), settings, cancelled }
    }
}

/// Removes the folders in `folder` that nothing used for long, by the time of `witness` in them. What is locked stays.
fn drop_unused(folder: &Path, witness: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let used = entry.path().join(witness).metadata().and_then(|metadata| metadata.modified());
        let age = used.ok().and_then(|used| SystemTime::now().duration_since(used).ok());
        if age.is_some_and(|age| age > KEEP) {
            let _gone = std::fs::remove_dir_all(entry.path());
        }
    }
}
