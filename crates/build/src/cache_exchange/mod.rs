//! A build's cache as others can have it: an OCI manifest whose layers are what steps made.
//!
//! ```text
//!  build ─ UsedCache (keys and their layers, cache mounts) ─ CacheRecords + layers ─► manifest ─► folder, registry
//!  folder, registry ─► ImportedCache ─ key? ─► layer, fetched when a step asks for it
//! ```
//!
//! # The form, version 1
//!
//! An OCI image manifest with `artifactType` [`ARTIFACT_TYPE`]. Its config has the media type [`CONFIG_TYPE`] and is this
//! document, whose numbers count the manifest's layers from 0:
//!
//! ```json
//! {"version": 1,
//!  "layers": ["sha256:…"],
//!  "steps":  [{"key": "64 hex digits", "layer": 0}],
//!  "mounts": [{"name": "64 hex digits", "layer": 1}]}
//! ```
//!
//! `layers` are uncompressed digests. A step's key is the digest of everything that decides its layer, as in the cache on
//! this machine; a mount's name is the digest of its identity. Inline in an image, the same document without `layers` and
//! `mounts` is the manifest's annotation [`INLINE_ANNOTATION`]; it counts the image's layers.
//!
//! # What is trusted
//!
//! Every blob is checked against its digest, every layer against its uncompressed digest, and unpacked within limits.
//! What can't be checked is that a layer is what the step of that key would have made: whoever may write the cache decides
//! what the files of such a step are, and nothing else. Config, history and the order of layers come from the Dockerfile.
//! What an imported cache says is believed by that one build: this machine's own cache does not learn it.

mod import;
mod records;

pub use import::{ImportedCache, LayerSource};
pub use records::{
    ARTIFACT_TYPE, CONFIG_TYPE, CacheMode, CacheRecords, INLINE_ANNOTATION, RecordError, UsedCache, UsedMount,
};
