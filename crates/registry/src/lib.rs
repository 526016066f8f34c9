//! Pulls images from OCI registries (the OCI distribution specification, "Pulling").
//!
//! ```text
//!  Reference ─► endpoints (mirrors, then the registry itself)
//!            ─► transport (credentials, tokens, retries) ─► manifest, chosen from an index by platform
//!            ─► config ─► layers in parallel: download ─► blob + unpacked layer, in one pass ─► Image in the store
//! ```
//!
//! Nothing that a registry says is believed: every body has a limit, every digest and size is checked, a stalled or
//! broken transfer is resumed where it ended. No type of the HTTP stack is in this crate's interface.

mod authorize;
mod challenge;
mod client;
mod credentials;
mod download;
mod endpoint;
mod failure;
mod mirror;
mod progress;
mod pull;
mod resolve;
mod retry;
mod token;
mod transport;

pub use client::{Client, ClientError, Options, Timeouts};
pub use credentials::{Credential, CredentialError, Credentials, Secret};
pub use failure::RequestError;
pub use mirror::{Mirror, MirrorError};
pub use progress::{Event, Progress};
pub use pull::PullError;
pub use resolve::{ResolveError, Resolved};
