//! Amazon ECS task definitions and service definitions, as teams keep them in files.
//!
//! ```text
//! file (JSON with comments, or YAML) ─► parse ─► Object { group ecs.amazonaws.com, spec = the document verbatim }
//! Object ─► TaskDefinition::from_object / ServiceDefinition::from_object ─► types + diagnostics
//! spec ─► normalise, normalise_service ─► a value that is equal when ECS would make the same of it
//! ```
//!
//! The [`Object`](minato_resource::Object) is the truth and keeps every field, also those that this crate has never
//! heard of; the types are a view of what Minato reads. Field names and rules are those of the AWS API reference
//! (`RegisterTaskDefinition`, `CreateService`). Nothing here talks to AWS, runs a container or knows how one runs.

mod check;
mod container;
mod document;
mod fields;
mod health;
mod linux;
mod normalise;
mod port;
mod reference;
mod service;
mod size;
mod task;

pub use container::{
    ContainerDefinition, Dependency, DependencyCondition, EnvironmentFile, ExtraHost, LogConfiguration,
    MountPoint, RestartPolicy, Secret, Variable, VolumeFrom,
};
pub use document::{DocumentKind, GROUP, SERVICE_KIND, TASK_DEFINITION_KIND, kind_of, parse};
pub use health::{HealthCheck, HealthCommand};
pub use linux::{LinuxParameters, Tmpfs, Ulimit};
pub use normalise::{creation, normalise, normalise_service, registration};
pub use port::{ApplicationProtocol, PortMapping, Protocol};
pub use reference::{ReferenceError, TaskDefinitionReference};
pub use service::{
    AwsVpcConfiguration, CircuitBreaker, DeploymentConfiguration, LoadBalancer, ServiceDefinition,
    ServiceRegistry,
};
pub use task::{NetworkMode, RuntimePlatform, TaskDefinition, Volume, VolumeKind};
