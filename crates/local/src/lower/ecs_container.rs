//! One container of an ECS task, with its image's defaults.

use std::collections::BTreeMap;

use minato_oci::Image;
use minato_sync::field::Field;
use minato_task_definition::{
    ContainerDefinition, DependencyCondition, HealthCheck, Protocol, TaskDefinition,
};
use minato_workload::spec::{
    Condition, Container, ContainerPort, DependsOn, Limits, Mount, PortProtocol, Probe, ProbeAction, Restart,
    Security, Volume,
};

use super::container::{image, image_use, with_image_environment};
use super::ecs::warn_about_log_driver;
use super::environment::{Environment, refuse_nul};
use super::inputs::Inputs;

/// ECS counts a processor as this many units.
const UNITS: u64 = 1024;

pub(super) fn lower(
    definition: &ContainerDefinition,
    field: &Field,
    task: &TaskDefinition,
    inputs: &Inputs,
    volumes: &mut BTreeMap<String, Volume>,
) -> Option<Container> {
    check(definition, field);
    let image = image(&field.get("image"), inputs)?;
    let config = &image.config.config;
    let probes = definition.health_check.as_ref().map(probes);
    let (startup, readiness, liveness) = probes
        .map_or((None, None, None), |[startup, readiness, liveness]| {
            (Some(startup), Some(readiness), Some(liveness))
        });
    let restarts = definition.restart_policy.as_ref().is_some_and(|policy| policy.enabled);
    Some(Container {
        name: definition.name.clone(),
        image: image_use(image, &definition.image),
        args: arguments(definition, field, image),
        env: with_image_environment(image, environment(definition, field, inputs)).into_variables(),
        cwd: definition.working_directory.clone().unwrap_or_else(|| config.working_dir.clone()),
        user: definition.user.clone().unwrap_or_else(|| config.user.clone()),
        extra_groups: Vec::new(),
        limits: limits(definition, task),
        security: security(definition, inputs.options.insecure),
        mounts: mounts(definition, field, volumes),
        startup,
        readiness,
        liveness,
        post_start: None,
        pre_stop: None,
        depends_on: definition.depends_on.iter().map(dependency).collect(),
        essential: definition.essential,
        restart: if restarts { Restart::Always } else { Restart::Never },
        sidecar: false,
        stop_signal: config.stop_signal.clone().unwrap_or_default(),
        stop_timeout_seconds: definition.stop_timeout_seconds.map(seconds),
        ports: definition.port_mappings.iter().filter_map(port).collect(),
    })
}

/// Names what is not carried over.
fn check(definition: &ContainerDefinition, field: &Field) {
    if let Some(log) = &definition.log_configuration {
        warn_about_log_driver(field, &log.log_driver);
    }
    if !definition.environment_files.is_empty() {
        let hint = "write the variables under `environment` or `secrets`";
        let message = "files of S3 can't be read on this machine";
        field.get("environmentFiles").error_with_hint("not-supported", message, hint);
    }
    if !definition.volumes_from.is_empty() {
        let message = "`volumesFrom` is not supported on this machine; use `mountPoints`";
        field.get("volumesFrom").error("not-supported", message);
    }
    let warn = |name: &str, present: bool| {
        if present {
            field.get(name).warning("not-enforced", format!("`{name}` is not acted on on this machine"));
        }
    };
    warn("ulimits", !definition.ulimits.is_empty());
    warn("hostname", definition.hostname.is_some());
    warn("startTimeout", definition.start_timeout_seconds.is_some());
    for name in ["firelensConfiguration", "systemControls", "dnsServers", "resourceRequirements", "links"] {
        warn(name, field.get(name).is_present());
    }
    let linux = field.get("linuxParameters");
    linux.warn_unknown(&["capabilities", "tmpfs"], "not-enforced", "is not acted on on this machine");
}

/// `entryPoint` replaces the image's ENTRYPOINT and with it its CMD, `command` the CMD (as Docker does).
fn arguments(definition: &ContainerDefinition, field: &Field, image: &Image) -> Vec<String> {
    let config = &image.config.config;
    let (entry_point, command) = (&definition.entry_point, &definition.command);
    entry_point.iter().chain(command).for_each(|text| refuse_nul(&field.get("command"), text));
    let image_entry_point = config.entrypoint.clone().unwrap_or_default();
    let image_command = config.cmd.clone().unwrap_or_default();
    let all = match (entry_point.is_empty(), command.is_empty()) {
        (true, true) => [image_entry_point, image_command].concat(),
        (true, false) => [image_entry_point, command.clone()].concat(),
        (false, _) => [entry_point.clone(), command.clone()].concat(),
    };
    if all.is_empty() {
        let message = "nothing to run: the image has no ENTRYPOINT and no CMD";
        field.error_with_hint("no-command", message, "set `command`");
    }
    all
}

fn environment(definition: &ContainerDefinition, field: &Field, inputs: &Inputs) -> Environment {
    let mut environment = Environment::default();
    for variable in &definition.environment {
        refuse_nul(&field.get("environment"), &variable.value);
        environment.set(&variable.name, variable.value.clone());
    }
    for (secret, place) in definition.secrets.iter().zip(field.get("secrets").items()) {
        let value = inputs.secret_value(&secret.value_from).map(|value| value.expose().to_vec());
        match value.map(String::from_utf8) {
            Some(Ok(text)) if !text.contains('\0') => environment.set(&secret.name, text),
            Some(_) => place.error("env-value", "the value is not text, so it can't be a variable"),
            None => {
                let message = format!("there is no value for secret {:?}", secret.value_from);
                let hint = format!(
                    "give it on this machine: `{}=VALUE` in the file that `secrets.env_file` of minato.yaml names",
                    secret.value_from
                );
                place.error_with_hint("missing-secret", message, hint);
            }
        }
    }
    environment
}

/// A container without a limit of its own has the task's.
fn limits(definition: &ContainerDefinition, task: &TaskDefinition) -> Limits {
    let millis = |units: u64| units.saturating_mul(1000) / UNITS;
    Limits {
        memory_bytes: definition.memory.or(task.memory).map(|mib| mib.saturating_mul(1 << 20)),
        cpu_millis: task.cpu.map(millis),
        cpu_request_millis: definition.cpu.filter(|units| *units > 0).or(task.cpu).map(millis),
        pids: None,
    }
}

fn security(definition: &ContainerDefinition, insecure: bool) -> Security {
    let names = |names: &[String]| -> Vec<String> {
        names.iter().map(|name| name.trim_start_matches("CAP_").to_ascii_uppercase()).collect()
    };
    Security {
        privileged: definition.privileged,
        capabilities_add: names(&definition.linux_parameters.capabilities_add),
        capabilities_drop: names(&definition.linux_parameters.capabilities_drop),
        no_new_privileges: false,
        read_only_root: definition.readonly_root_filesystem,
        seccomp_unconfined: false,
        insecure,
    }
}

/// Volumes of the task, and a volume in memory for each `tmpfs`.
fn mounts(
    definition: &ContainerDefinition,
    field: &Field,
    volumes: &mut BTreeMap<String, Volume>,
) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (point, place) in definition.mount_points.iter().zip(field.get("mountPoints").items()) {
        if !volumes.contains_key(&point.source_volume) {
            let message = format!("the task has no usable volume {:?}", point.source_volume);
            place.get("sourceVolume").error("missing-reference", message);
        }
        mounts.push(mount(&point.source_volume, &point.container_path, point.read_only));
    }
    for (index, tmpfs) in definition.linux_parameters.tmpfs.iter().enumerate() {
        let name = format!("tmpfs-{}-{index}", definition.name);
        let size_bytes = Some(tmpfs.size_mib.saturating_mul(1 << 20));
        mounts.push(mount(
            &name,
            &tmpfs.container_path,
            tmpfs.mount_options.iter().any(|option| option == "ro"),
        ));
        volumes.insert(name, Volume::Empty { memory: true, size_bytes });
    }
    mounts
}

fn mount(volume: &str, path: &str, read_only: bool) -> Mount {
    Mount { volume: volume.to_owned(), path: path.into(), sub_path: None, read_only }
}

fn dependency(dependency: &minato_task_definition::Dependency) -> DependsOn {
    let condition = match dependency.condition {
        DependencyCondition::Start => Condition::Started,
        DependencyCondition::Complete => Condition::Complete,
        DependencyCondition::Success => Condition::Success,
        DependencyCondition::Healthy => Condition::Healthy,
    };
    DependsOn { container: dependency.container_name.clone(), condition }
}

fn port(mapping: &minato_task_definition::PortMapping) -> Option<ContainerPort> {
    let protocol = match mapping.protocol {
        Protocol::Tcp => PortProtocol::Tcp,
        Protocol::Udp => PortProtocol::Udp,
    };
    Some(ContainerPort {
        name: mapping.name.clone().unwrap_or_default(),
        port: mapping.container_port?,
        protocol,
    })
}

/// A health check as three probes: asked each second until it passes once, so that a start takes no whole interval
/// longer than it must; then at its own pace, for traffic and for ending the task.
fn probes(check: &HealthCheck) -> [Probe; 3] {
    let probe = |period_seconds: u32, failure_threshold: u32| Probe {
        action: ProbeAction::Exec { argv: check.command.argv() },
        initial_delay_seconds: 0,
        period_seconds,
        timeout_seconds: seconds(check.timeout_seconds).max(1),
        failure_threshold: failure_threshold.max(1),
        success_threshold: 1,
    };
    let (interval, retries) = (seconds(check.interval_seconds).max(1), seconds(check.retries).max(1));
    // The time after which ECS would call it unhealthy.
    let patience = seconds(check.start_period_seconds).saturating_add(interval.saturating_mul(retries));
    [probe(1, patience), probe(interval, retries), probe(interval, retries)]
}

fn seconds(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
