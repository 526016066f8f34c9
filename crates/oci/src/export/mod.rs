//! What others get of images: the blobs, the manifests that name them, and an index where there are several platforms.
//!
//! ```text
//!  Images ─ Export::plan ─► layers ─ Store::export_layer ─► blobs ─┬─ Export::documents ─► manifests ─► index
//!                                                      configs ────┘
//! ```
//!
//! Registries, layouts and archives get the same bytes: what is made here depends on images and options alone, not on
//! the order of the platforms, the machine or the time.

mod annotation;
mod artifact;
mod document;
mod pack;
mod plan;

pub use annotation::{Annotation, AnnotationError, AnnotationTarget, Level};
pub use artifact::{Artifact, ArtifactLayer, Attached};
pub use document::{Document, Documents};
pub(crate) use pack::Blob;
pub use pack::{PackError, Packed};
pub use plan::{Export, ExportError, ExportOptions, MediaTypes};
