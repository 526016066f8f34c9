//! Kustomizations to Objects, byte for byte as `kubectl kustomize` renders them, without network or processes.
//!
//! ```text
//! Files ─► loader (rules of paths, limits) ─► kustomization (fields with places)
//!                                                   │
//!   layer: resources ─► configuration ─► generate ─► components ─► transform ─► validate ─► vars     (recursive)
//!                                                   │
//!   finish: name hashes ─► references ─► vars ─► order ─► build metadata ─► Objects
//! ```
//!
//! [`build`] is the one entry. Every mistake becomes a [`Diagnostic`] with its place in the kustomization that asked
//! for it. The crate opens no path ([`Files`] does), runs no plugin, fetches nothing, and prints nothing. Reading and
//! writing YAML, merge keys and JSON patches are in `resource`.

mod configuration;
mod decode;
mod field;
mod files;
mod finish;
mod generate;
mod hash;
mod identity;
mod kustomization;
mod layer;
mod loader;
mod manifest;
mod order;
mod path;
mod plugin;
mod provenance;
mod references;
mod refusal;
mod resource;
mod resources;
mod schema;
mod selector;
mod transform;
mod value;
mod vars;

pub use files::{FileError, FilePath, Files, Found, MemoryFiles};
pub use finish::build;

/// The names under which a folder's kustomization is found.
pub const FILE_NAMES: [&str; 3] = kustomization::FILE_NAMES;
