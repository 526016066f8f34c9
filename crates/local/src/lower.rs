//! Objects in, workloads out: what a Kubernetes or ECS document means on this machine. Pure.
//!
//! ```text
//! Object ─ its kind ─► deployment | service | data | ecs ─► pod ─► container ─► environment, volume, probe, security
//!                                                                    └── every mistake a Diagnostic at its line
//! ```

mod container;
mod data;
mod deployment;
mod ecs;
mod ecs_container;
mod environment;
mod expand;
mod inputs;
mod int_or_percent;
mod left_out;
mod limits;
mod pod;
mod pod_field;
mod probe;
mod quantity;
mod references;
mod security;
mod service;
mod volume;

pub(crate) use container::repository;
pub use inputs::{DEFAULT_NAMESPACE, Inputs, Options, namespace_of};
pub use int_or_percent::IntOrPercent;
pub(crate) use left_out::no_effect_because;
pub use quantity::{Quantity, QuantityError};
pub(crate) use references::task_definition_of;
pub use references::{Use, image_references, uses};

use minato_resource::{Diagnostic, Object, ResourceKey};
use minato_sync::field::{Field, Findings};
use minato_workload::{Service, Workload};

/// What one Object means for the supervisor. Both are absent for Objects that only others use (a ConfigMap) and for
/// kinds that are left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lowered {
    /// Replicas to keep.
    pub workload: Option<Workload>,
    /// A name and ports in front of them.
    pub service: Option<Service>,
}

/// Lowers one Object. `None` when it has errors.
pub fn lower(object: &Object, inputs: &Inputs<'_>) -> (Option<Lowered>, Vec<Diagnostic>) {
    let findings = Findings::default();
    let lowered = by_kind(&Field::root(object, &findings), inputs);
    let lowered = lowered.filter(|_| !findings.has_errors());
    (lowered, findings.into_vec())
}

/// Everything that is wrong with, or not carried over from, the Objects of `inputs`.
pub fn check(inputs: &Inputs<'_>) -> Vec<Diagnostic> {
    inputs.objects.iter().flat_map(|object| lower(object, inputs).1).collect()
}

/// Whether [`lower`] makes something of this kind, or others use it.
pub(crate) fn has_effect(key: &ResourceKey) -> bool {
    match key.group.as_str() {
        "apps" => matches!(key.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet"),
        "batch" => key.kind == "Job",
        "" => matches!(key.kind.as_str(), "Pod" | "Service" | "ConfigMap" | "Secret"),
        minato_task_definition::GROUP => true,
        _ => false,
    }
}

fn by_kind(root: &Field, inputs: &Inputs) -> Option<Lowered> {
    let key = root.object().key();
    let workload = |workload| Some(Lowered { workload: Some(workload), service: None });
    match (key.group.as_str(), key.kind.as_str()) {
        ("apps", "Deployment") => workload(deployment::deployment(root, inputs)?),
        ("apps", "StatefulSet") => workload(deployment::stateful_set(root, inputs)?),
        ("apps", "DaemonSet") => workload(deployment::daemon_set(root, inputs)?),
        ("batch", "Job") => workload(deployment::job(root, inputs)?),
        ("", "Pod") => workload(deployment::bare_pod(root, inputs)?),
        ("", "Service") => Some(Lowered { workload: None, service: service::lower(root, inputs) }),
        ("", "ConfigMap" | "Secret") => {
            data::check(root);
            Some(Lowered::default())
        }
        (minato_task_definition::GROUP, minato_task_definition::TASK_DEFINITION_KIND) => {
            ecs::task_definition(root, inputs)
        }
        (minato_task_definition::GROUP, minato_task_definition::SERVICE_KIND) => ecs::service(root, inputs),
        _ => {
            left_out::warn(root);
            Some(Lowered::default())
        }
    }
}
