//! A container of a task definition.

use std::collections::BTreeMap;
use std::fmt;

use crate::fields::Fields;
use crate::health::HealthCheck;
use crate::linux::{LinuxParameters, Ulimit};
use crate::port::PortMapping;

/// The fields of `ContainerDefinition` that Minato reads. What is absent has ECS's default.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerDefinition {
    /// Name, unique within the task.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// When it ends the whole task ends; at least one container must be.
    pub essential: bool,
    /// Replaces the image's CMD when not empty.
    pub command: Vec<String>,
    /// Replaces the image's ENTRYPOINT when not empty.
    pub entry_point: Vec<String>,
    /// Environment in plain text, in the order of the document.
    pub environment: Vec<Variable>,
    /// Files of S3 with more environment.
    pub environment_files: Vec<EnvironmentFile>,
    /// Environment whose values lie elsewhere.
    pub secrets: Vec<Secret>,
    /// Ports that others may reach.
    pub port_mappings: Vec<PortMapping>,
    /// The container's own health check; `None` when there is none here (the image's is not used by ECS).
    pub health_check: Option<HealthCheck>,
    /// What must have happened before it starts.
    pub depends_on: Vec<Dependency>,
    /// CPU units as relative weight.
    pub cpu: Option<u64>,
    /// Hard limit in MiB; over it the container is killed.
    pub memory: Option<u64>,
    /// Soft limit in MiB.
    pub memory_reservation: Option<u64>,
    /// `user`, `user:group`, names or numbers.
    pub user: Option<String>,
    /// Folder in which the program starts.
    pub working_directory: Option<String>,
    /// Mount the root file system read-only.
    pub readonly_root_filesystem: bool,
    /// Capabilities, init, tmpfs, shared memory.
    pub linux_parameters: LinuxParameters,
    /// Volumes of the task mounted here.
    pub mount_points: Vec<MountPoint>,
    /// Containers whose mounts appear here too.
    pub volumes_from: Vec<VolumeFrom>,
    /// Resource limits of the process.
    pub ulimits: Vec<Ulimit>,
    /// Seconds between SIGTERM and SIGKILL; 30 when not said.
    pub stop_timeout_seconds: Option<u64>,
    /// Seconds after which waiting for its dependencies is given up.
    pub start_timeout_seconds: Option<u64>,
    /// Where output goes.
    pub log_configuration: Option<LogConfiguration>,
    /// Whether it is started again on its own.
    pub restart_policy: Option<RestartPolicy>,
    /// Root of the machine.
    pub privileged: bool,
    /// Host name; not under `awsvpc`.
    pub hostname: Option<String>,
    /// More lines for `/etc/hosts`.
    pub extra_hosts: Vec<ExtraHost>,
    /// Docker labels.
    pub docker_labels: BTreeMap<String, String>,
}

/// An environment variable in plain text. Its value is not shown by [`fmt::Debug`].
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variable({}, …)", self.name)
    }
}

/// A file of environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// ARN of an object in S3.
    pub value: String,
}

/// An environment variable whose value lies in Secrets Manager or the Parameter Store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Name of the variable.
    pub name: String,
    /// ARN, with `:JSON-KEY:VERSION-STAGE:VERSION-ID` for a part of a secret, or the name of a parameter.
    pub value_from: String,
}

/// `dependsOn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other container.
    pub container_name: String,
    /// What must have happened to it.
    pub condition: DependencyCondition,
}

/// `condition` of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependencyCondition {
    /// It was started.
    Start,
    /// It ended, with any exit code.
    Complete,
    /// It ended with exit code 0.
    Success,
    /// Its health check passed.
    Healthy,
}

/// A volume of the task, mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The volume's name.
    pub source_volume: String,
    /// Where.
    pub container_path: String,
    /// Without writing.
    pub read_only: bool,
}

/// The mounts of another container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFrom {
    /// The other container.
    pub source_container: String,
    /// Without writing.
    pub read_only: bool,
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfiguration {
    /// `awslogs`, `json-file`, …
    pub log_driver: String,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// `restartPolicy`: the container is started again without ending the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Whether it is.
    pub enabled: bool,
    /// Exit codes after which it is not.
    pub ignored_exit_codes: Vec<i64>,
    /// Seconds that it must have run to be started again; ECS takes 60 to 1800, 300 when not said.
    pub restart_attempt_period_seconds: u64,
}

/// A line for `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// Name.
    pub hostname: String,
    /// Address.
    pub ip_address: String,
}

/// Every field of the API, so that only slips are warned of.
#[rustfmt::skip]
const CONTAINER_FIELDS: [&str; 43] = [
    "name", "image", "repositoryCredentials", "cpu", "memory", "memoryReservation", "links", "portMappings",
    "essential", "restartPolicy", "entryPoint", "command", "environment", "environmentFiles", "mountPoints",
    "volumesFrom", "linuxParameters", "secrets", "dependsOn", "startTimeout", "stopTimeout",
    "versionConsistency", "hostname", "user", "workingDirectory", "disableNetworking", "privileged",
    "readonlyRootFilesystem", "dnsServers", "dnsSearchDomains", "extraHosts", "dockerSecurityOptions",
    "interactive", "pseudoTerminal", "dockerLabels", "ulimits", "logConfiguration", "healthCheck",
    "systemControls", "resourceRequirements", "firelensConfiguration", "credentialSpecs", "volumes",
];

impl ContainerDefinition {
    pub(crate) fn read(fields: &Fields<'_>) -> ContainerDefinition {
        fields.warn_of_slips(&CONTAINER_FIELDS);
        ContainerDefinition {
            name: fields.required_text("name"),
            image: fields.required_text("image"),
            essential: fields.boolean("essential").unwrap_or(true),
            command: fields.texts("command"),
            entry_point: fields.texts("entryPoint"),
            environment: fields.list("environment", variable),
            environment_files: fields
                .list("environmentFiles", |file| EnvironmentFile { value: file.required_text("value") }),
            secrets: fields.list("secrets", secret),
            port_mappings: fields.list("portMappings", PortMapping::read),
            health_check: fields.mapping("healthCheck").and_then(|check| HealthCheck::read(&check)),
            depends_on: fields.list("dependsOn", dependency).into_iter().flatten().collect(),
            cpu: fields.integer("cpu"),
            memory: fields.integer("memory"),
            memory_reservation: fields.integer("memoryReservation"),
            user: fields.text("user").filter(|user| !user.is_empty()),
            working_directory: fields.text("workingDirectory").filter(|folder| !folder.is_empty()),
            readonly_root_filesystem: fields.boolean("readonlyRootFilesystem").unwrap_or(false),
            linux_parameters: fields
                .mapping("linuxParameters")
                .map(|linux| LinuxParameters::read(&linux))
                .unwrap_or_default(),
            mount_points: fields.list("mountPoints", mount_point),
            volumes_from: fields.list("volumesFrom", volume_from),
            ulimits: fields.list("ulimits", Ulimit::read),
            stop_timeout_seconds: fields.integer("stopTimeout"),
            start_timeout_seconds: fields.integer("startTimeout"),
            log_configuration: fields.mapping("logConfiguration").map(|log| log_configuration(&log)),
            restart_policy: fields.mapping("restartPolicy").map(|policy| restart_policy(&policy)),
            privileged: fields.boolean("privileged").unwrap_or(false),
            hostname: fields.text("hostname").filter(|name| !name.is_empty()),
            extra_hosts: fields.list("extraHosts", extra_host),
            docker_labels: fields.text_map("dockerLabels"),
        }
    }
}

fn variable(fields: &Fields<'_>) -> Variable {
    Variable { name: fields.required_text("name"), value: fields.text("value").unwrap_or_default() }
}

fn secret(fields: &Fields<'_>) -> Secret {
    Secret { name: fields.required_text("name"), value_from: fields.required_text("valueFrom") }
}

fn dependency(fields: &Fields<'_>) -> Option<Dependency> {
    let conditions = [
        ("START", DependencyCondition::Start),
        ("COMPLETE", DependencyCondition::Complete),
        ("SUCCESS", DependencyCondition::Success),
        ("HEALTHY", DependencyCondition::Healthy),
    ];
    let container_name = fields.required_text("containerName");
    if !fields.has("condition") {
        fields.error("ecs-missing", "condition", "`condition` is missing".to_owned());
    }
    Some(Dependency { container_name, condition: fields.word("condition", &conditions)? })
}

fn mount_point(fields: &Fields<'_>) -> MountPoint {
    MountPoint {
        source_volume: fields.required_text("sourceVolume"),
        container_path: fields.required_text("containerPath"),
        read_only: fields.boolean("readOnly").unwrap_or(false),
    }
}

fn volume_from(fields: &Fields<'_>) -> VolumeFrom {
    VolumeFrom {
        source_container: fields.required_text("sourceContainer"),
        read_only: fields.boolean("readOnly").unwrap_or(false),
    }
}

fn log_configuration(fields: &Fields<'_>) -> LogConfiguration {
    LogConfiguration { log_driver: fields.required_text("logDriver"), options: fields.text_map("options") }
}

fn restart_policy(fields: &Fields<'_>) -> RestartPolicy {
    RestartPolicy {
        enabled: fields.boolean("enabled").unwrap_or(false),
        ignored_exit_codes: fields.integers("ignoredExitCodes"),
        restart_attempt_period_seconds: fields.within("restartAttemptPeriod", 60..=1800, 300),
    }
}

fn extra_host(fields: &Fields<'_>) -> ExtraHost {
    ExtraHost { hostname: fields.required_text("hostname"), ip_address: fields.required_text("ipAddress") }
}
