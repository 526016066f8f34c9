//! Moves images between OCI registries and this machine (the OCI distribution specification, "Pulling" and "Pushing").
//!
//! ```text
//!  Reference ─► endpoints (mirrors, then the registry itself)
//!            ─► transport (credentials, tokens, retries) ─► manifest, chosen from an index by platform
//!            ─► config ─► layers in parallel: download ─► blob + unpacked layer, in one pass ─► Image in the store
//!
//!  Image in the store ─► layers as blobs, compressed once ─► upload what is missing ─► manifest   (push)
//!
//!  registry | folder ─► documents ─► blobs that the other has not, mounted or streamed ─► registry | folder   (copy)
//! ```
//!
//! A blob is sent by one POST and one PUT: limits on the parts of a chunked upload differ between registries and
//! contradict each other. What broke off is resumed at the byte that the registry says it has.
//!
//! Nothing that a registry says is believed: every body has a limit, every digest and size is checked, a stalled or
//! broken transfer is resumed where it ended. No type of the HTTP stack is in this crate's interface.
//!
//! [`server`] is a registry of one's own: the other side of the same specification, over a folder.

mod artifact;
mod authorize;
mod challenge;
mod client;
mod copy;
mod credentials;
mod document;
mod download;
mod endpoint;
mod failure;
mod fetch;
mod host_certificates;
mod listing;
mod login;
mod meter;
mod mirror;
mod outgoing;
mod progress;
mod pull;
mod push;
mod referrers;
mod relay;
mod repository;
mod resolve;
mod retry;
pub mod server;
mod token;
mod transport;
mod upload;

pub use client::{Client, ClientError, Options, Timeouts};
pub use copy::{Copied, CopyError, CopyOptions, FolderError, Place};
pub use credentials::{Credential, CredentialError, CredentialFile, Credentials, KeptIn, Secret};
pub use document::Document;
pub use failure::RequestError;
pub use mirror::{Mirror, MirrorError};
pub use progress::{Event, Progress};
pub use pull::PullError;
pub use push::{PushError, Pushed};
pub use repository::{DeleteError, Deleted};
pub use resolve::{ResolveError, Resolved};
