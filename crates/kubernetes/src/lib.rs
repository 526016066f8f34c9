//! The Target that is a Kubernetes cluster.
//!
//! ```text
//! Object ─► tracked ─┬─ owned fields equal ─────────────► predict: what is live, no request
//!                    ├─ server-side apply, dry run ──────► predict ─► normal form (secrets as marks)
//!                    └─ server-side apply ─► Handle { uid, generation, template } ─► progress: rules per kind, pods, events, logs
//! discovery ─► every kind's metadata, in parallel ─► tracking annotation ─► live
//! ```
//!
//! The crate owns how an Object reaches a cluster and what it looks like there: which cluster (kubeconfig or the pod's
//! own), namespaces, ownership by Argo CD's tracking annotation, order of kinds, health of each change and why one
//! failed. Decisions are functions over JSON; requests are a thin shell with limits on time, size and pages.
//!
//! It renders nothing, compares nothing, and keeps no state: what it must remember of a change is in the change's token.

mod adoption;
mod api;
mod connect;
mod discovery;
mod handle;
mod live;
mod normal;
mod order;
mod ownership;
mod progress;
mod resolve;
mod target;
mod tracking;
mod watch;

pub use connect::{ConnectError, Options};
pub use target::KubernetesTarget;

use minato_resource::ResourceKey;

/// Whether an Object is for a cluster: everything but ECS documents.
pub fn accepts(key: &ResourceKey) -> bool {
    key.group != "ecs.amazonaws.com"
}
