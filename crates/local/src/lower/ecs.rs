//! ECS documents: a service keeps tasks of a task definition; a task definition by itself runs once.

use std::collections::BTreeMap;

use minato_resource::Object;
use minato_sync::field::Field;
use minato_task_definition::{
    GROUP, NetworkMode, Protocol, SERVICE_KIND, ServiceDefinition, TaskDefinition, VolumeKind,
};
use minato_workload::spec::{
    ApplicationProtocol, HostAlias, Pod, PortProtocol, Publish, Run, Service, ServiceKey, ServicePort,
    Strategy, TargetPort, Volume,
};
use minato_workload::{Workload, WorkloadKey};

use super::deployment::SOAK_ANNOTATION;
use super::ecs_container;
use super::inputs::{DEFAULT_NAMESPACE, Inputs};
use super::references::task_definition_of;
use super::{Lowered, service::FIRST_FREE_PORT};

/// Label by which a service's own port finds its tasks.
const SERVICE_LABEL: &str = "ecs.amazonaws.com/service";

/// Seconds from SIGTERM to SIGKILL where a container has no `stopTimeout`.
const STOP_SECONDS: u32 = 30;

/// How long a deployment may make no progress; ECS itself would go on for hours.
const PROGRESS_DEADLINE_SECONDS: u32 = 600;

/// A task definition runs by itself only when no service names it.
pub(super) fn task_definition(root: &Field, inputs: &Inputs) -> Option<Lowered> {
    let object = root.object();
    let (definition, diagnostics) = TaskDefinition::from_object(object);
    diagnostics.into_iter().for_each(|diagnostic| root.findings().push(diagnostic));
    let definition = definition?;
    let named = inputs.objects.iter().any(|other| {
        other.key().is(GROUP, SERVICE_KIND)
            && task_definition_of(other, inputs.objects).is_some_and(|found| found.key() == object.key())
    });
    let service = Kept {
        name: object.name(),
        namespace: DEFAULT_NAMESPACE,
        replicas: 1,
        strategy: Strategy::Rolling { max_surge: 1, max_unavailable: 0 },
        soak_seconds: soak_seconds(object, inputs),
    };
    // Lowered in any case: what is wrong in it is said here, at its own lines.
    let lowered = lower(&service, root, &definition, inputs);
    if named { Some(Lowered::default()) } else { lowered }
}

/// A service runs the task definition that it names, from the same files.
pub(super) fn service(root: &Field, inputs: &Inputs) -> Option<Lowered> {
    let object = root.object();
    let (definition, diagnostics) = ServiceDefinition::from_object(object);
    diagnostics.into_iter().for_each(|diagnostic| root.findings().push(diagnostic));
    let definition = definition?;
    let spec = root.get("spec");
    for (name, reason) in LEFT_OUT {
        let field = spec.get(name);
        if field.is_present() {
            field.warning("left-out", format!("`{name}` has no effect on this machine: {reason}"));
        }
    }
    let Some(task) = task_definition_of(object, inputs.objects) else {
        let message = "the task definition that the service names is not among the files";
        spec.get("taskDefinition").error("missing-reference", message);
        return None;
    };
    let replicas = definition.desired_count.unwrap_or(1);
    let percents = definition.deployment_configuration;
    let kept = Kept {
        name: &definition.service_name,
        namespace: definition.cluster.as_deref().map_or(DEFAULT_NAMESPACE, cluster_name),
        replicas,
        strategy: strategy(percents.minimum_healthy_percent, percents.maximum_percent, replicas),
        soak_seconds: soak_seconds(object, inputs),
    };
    let findings = minato_sync::field::Findings::default();
    let (task_definition, _) = TaskDefinition::from_object(task);
    let lowered = lower(&kept, &Field::root(task, &findings), &task_definition?, inputs);
    if findings.has_errors() {
        // They are said for the task definition's own Object.
        spec.get("taskDefinition")
            .error("missing-reference", "the task definition of this service has errors");
    }
    lowered
}

/// What keeps tasks running.
struct Kept<'a> {
    name: &'a str,
    namespace: &'a str,
    replicas: u32,
    strategy: Strategy,
    soak_seconds: u32,
}

/// `root` is the task definition's Object.
fn lower(kept: &Kept, root: &Field, definition: &TaskDefinition, inputs: &Inputs) -> Option<Lowered> {
    let spec = root.get("spec");
    check_task(&spec, definition);
    let labels = BTreeMap::from([(SERVICE_LABEL.to_owned(), kept.name.to_owned())]);
    let mut volumes = volumes(&spec, definition);
    let fields = spec.get("containerDefinitions").items();
    let containers = definition.containers.iter().zip(&fields).filter_map(|(container, field)| {
        ecs_container::lower(container, field, definition, inputs, &mut volumes)
    });
    let pod = Pod {
        labels: labels.clone(),
        init: Vec::new(),
        containers: containers.collect(),
        volumes,
        grace_seconds: STOP_SECONDS,
        hostname: None,
        host_aliases: host_aliases(&spec, definition),
    };
    let (application, namespace, name) =
        (inputs.application.to_string(), kept.namespace.to_owned(), kept.name.to_owned());
    let workload = Workload {
        key: WorkloadKey {
            application: application.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
        },
        replicas: kept.replicas,
        strategy: kept.strategy,
        min_ready_seconds: 0,
        soak_seconds: kept.soak_seconds,
        progress_deadline_seconds: PROGRESS_DEADLINE_SECONDS,
        pod,
        run: Run::Forever,
        annotations: BTreeMap::new(),
    };
    let service = published(ServiceKey { application, namespace, name }, labels, definition);
    Some(Lowered { workload: Some(workload), service })
}

/// ECS: at least ⌈minimum %⌉ tasks stay, at most ⌊maximum %⌋ are there.
fn strategy(minimum: u32, maximum: u32, replicas: u32) -> Strategy {
    let part = |percent: u32| u64::from(percent) * u64::from(replicas);
    let least = u32::try_from(part(minimum).div_ceil(100)).unwrap_or(u32::MAX);
    let most = u32::try_from(part(maximum) / 100).unwrap_or(u32::MAX);
    Strategy::Rolling {
        max_surge: most.saturating_sub(replicas),
        max_unavailable: replicas.saturating_sub(least),
    }
}

fn published(
    key: ServiceKey,
    selector: BTreeMap<String, String>,
    definition: &TaskDefinition,
) -> Option<Service> {
    let mut ports: Vec<ServicePort> = Vec::new();
    let mut preferred = None;
    let tcp = definition.containers.iter().flat_map(|container| &container.port_mappings);
    for mapping in tcp.filter(|mapping| mapping.protocol == Protocol::Tcp) {
        let Some(port) = mapping.container_port else { continue };
        if ports.is_empty() {
            preferred = mapping.host_port.filter(|port| *port > 0).or(Some(port));
        }
        if ports.iter().all(|known| known.port != port) {
            ports.push(ServicePort {
                name: mapping.name.clone().unwrap_or_default(),
                port,
                target: TargetPort::Number(port),
                protocol: PortProtocol::Tcp,
                application: mapping.application_protocol.map(application),
            });
        }
    }
    let preferred = preferred.filter(|port| *port >= FIRST_FREE_PORT);
    let publish = Publish::Yes { preferred };
    (!ports.is_empty()).then(|| Service { key, selector, ports, publish, annotations: BTreeMap::new() })
}

fn application(protocol: minato_task_definition::ApplicationProtocol) -> ApplicationProtocol {
    match protocol {
        minato_task_definition::ApplicationProtocol::Http => ApplicationProtocol::Http,
        _ => ApplicationProtocol::H2c,
    }
}

fn check_task(spec: &Field, definition: &TaskDefinition) {
    if matches!(definition.network_mode, NetworkMode::Host | NetworkMode::None) {
        let hint = "use awsvpc or bridge: each task has an address of its own here";
        let message = "this network mode is not supported on this machine";
        spec.get("networkMode").error_with_hint("not-supported", message, hint);
    }
    let platform = definition.runtime_platform.as_ref();
    let family = platform.and_then(|platform| platform.operating_system_family.as_deref());
    if family.is_some_and(|family| !family.eq_ignore_ascii_case("LINUX")) {
        let field = spec.at(&["runtimePlatform", "operatingSystemFamily"]);
        field.error("not-supported", "only Linux containers run on this machine");
    }
    if definition.task_role_arn.is_some() {
        let message = "the program gets no AWS credentials on this machine";
        spec.get("taskRoleArn").warning("not-enforced", message);
    }
    for name in ["proxyConfiguration", "placementConstraints", "pidMode", "ipcMode", "inferenceAccelerators"]
    {
        if spec.get(name).is_present() {
            spec.get(name).warning("not-enforced", format!("`{name}` is not acted on on this machine"));
        }
    }
}

fn volumes(spec: &Field, definition: &TaskDefinition) -> BTreeMap<String, Volume> {
    let fields = spec.get("volumes").items();
    let lowered = definition.volumes.iter().zip(fields).filter_map(|(volume, field)| {
        let lowered = match &volume.kind {
            VolumeKind::Empty => Volume::Empty { memory: false, size_bytes: None },
            VolumeKind::Host(path) => {
                field.warning("host-path", "the container sees this folder of the machine itself");
                Volume::Host(path.into())
            }
            VolumeKind::Elsewhere(name) => {
                let message = format!("a volume with `{name}` can't be had on this machine");
                field.error_with_hint(
                    "volume-kind",
                    message,
                    "give it no source to have an empty folder here",
                );
                return None;
            }
        };
        Some((volume.name.clone(), lowered))
    });
    lowered.collect()
}

fn host_aliases(spec: &Field, definition: &TaskDefinition) -> Vec<HostAlias> {
    let mut aliases = Vec::new();
    let fields = spec.get("containerDefinitions").items();
    for (container, field) in definition.containers.iter().zip(fields) {
        for host in &container.extra_hosts {
            match host.ip_address.parse() {
                Ok(address) => aliases.push(HostAlias { address, names: vec![host.hostname.clone()] }),
                Err(_) => field.get("extraHosts").error("wrong-value", "`ipAddress` must be an IPv4 address"),
            }
        }
    }
    aliases
}

/// `cluster` is a name or an ARN that ends in `cluster/NAME`.
fn cluster_name(cluster: &str) -> &str {
    cluster.rsplit('/').next().unwrap_or(cluster)
}

/// A tag `minato.dev/soak-seconds` (ECS documents have no annotations).
fn soak_seconds(object: &Object, inputs: &Inputs) -> u32 {
    let tags = object.get("/spec/tags").and_then(serde_json::Value::as_array).into_iter().flatten();
    let tag = tags.into_iter().find(|tag| tag["key"] == SOAK_ANNOTATION);
    let seconds = tag.and_then(|tag| tag["value"].as_str()?.parse().ok());
    seconds.unwrap_or(inputs.options.soak_seconds)
}

const LEFT_OUT: &[(&str, &str)] = &[
    ("loadBalancers", "the service is published on its own port of 127.0.0.1"),
    ("serviceRegistries", "there is no Cloud Map here"),
    ("serviceConnectConfiguration", "there is no Service Connect here"),
    ("vpcLatticeConfigurations", "there is no VPC Lattice here"),
    ("volumeConfigurations", "there are no EBS volumes here"),
];

/// Says that a log driver is left out; the log is kept here.
pub(super) fn warn_about_log_driver(field: &Field, driver: &str) {
    let message = format!("log driver `{driver}` has no effect on this machine; `minato logs` shows the log");
    field.at(&["logConfiguration", "logDriver"]).warning("left-out", message);
}
