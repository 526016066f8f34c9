//! Patches: JSON patches (RFC 6902), JSON merge patches (RFC 7396), and Kubernetes' strategic merge patches as Kustomize
//! applies them.
//!
//! ```text
//! JsonPatch::from_value ─► json_patch(&mut Value, &JsonPatch)
//!                          merge_patch(&mut Value, &Value)
//! MergeSchema ───────────► strategic_merge(&mut Value, &Value, &MergeSchema)
//! ```
//!
//! Where the rules leave room, what happens is what Kustomize 5.5 does (evanphx/json-patch 4.12, kyaml 0.18): the
//! properties in `tests/patched_as_kustomize.rs` compare with both. Which lists are merged item by item comes from a table
//! that `oracle/kustomize` derives from Kubernetes' OpenAPI document.

mod elements;
mod json;
mod merge;
mod openapi;
mod schema;
mod strategic;

pub use json::{JsonPatch, JsonPatchError, json_patch};
pub use merge::merge_patch;
pub use schema::{MergeSchema, SchemaError, is_cluster_scoped};
pub use strategic::{Merged, StrategicMergeError, strategic_merge};
