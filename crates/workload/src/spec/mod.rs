//! What a caller asks the supervisor to keep running, in engine-neutral words.
//!
//! Everything here is plain data: it is sent over the control socket and kept in the record file, both of which
//! carry a version of their own. Nothing here knows of Kubernetes or ECS; `local` lowers their documents to this.

mod container;
mod pod;
mod probe;
mod secret;
mod service;
mod workload;

pub use container::{
    Condition, Container, ContainerPort, DependsOn, EnvValue, EnvVar, Hook, ImageUse, Limits, Mount,
    PortProtocol, Restart, Security,
};
pub use pod::{FileContent, HostAlias, Pod, Volume};
pub use probe::{Probe, ProbeAction, ProbeScheme};
pub use secret::{Secret, SecretBytes};
pub use service::{ApplicationProtocol, Publish, Service, ServiceKey, ServicePort, TargetPort};
pub use workload::{InvalidWorkload, Revision, Run, Strategy, Workload, WorkloadKey};
