//! What an image is, and where images are kept on this machine.
//!
//! ```text
//!  text ─► Reference, Digest, Platform
//!  JSON ─► ManifestDocument (Manifest | Index) ─► ImageConfig
//!  bytes ─► Store::ingest ─► blob            (verified while written, renamed when whole)
//!  tar ─► layer::unpack ─► tree ─► Layer     (hostile archives refused; overlay form, ready as a lower folder)
//!  tree ─► layer::write_tar ─► the same tar  (byte for byte, for layers that Minato made)
//!  Images ─► export ─► blobs, manifests, index   (what registries, layouts and archives get)
//!  Store ◄─► layout                          (OCI layout, docker archive)
//! ```
//!
//! Nothing here knows the network, containers or Dockerfiles, and nothing here prints.

mod config;
mod digest;
pub mod export;
mod fields;
pub mod layer;
pub mod layout;
mod manifest;
mod platform;
mod reference;
pub mod store;
mod text;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use digest::{Digest, DigestError, Digester};
pub use manifest::{Descriptor, Index, Manifest, ManifestDocument, ManifestError, media_type};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use store::{Image, Layer, LayerError, Lease, StagedLayer, Store, StoreError};
