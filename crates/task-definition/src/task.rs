//! A task definition: what runs together.

use std::cell::RefCell;

use minato_resource::{Diagnostic, Object};

use crate::check;
use crate::container::ContainerDefinition;
use crate::fields::Fields;
use crate::size;

/// The fields of `RegisterTaskDefinition` that Minato reads.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDefinition {
    /// Name of which every registration is a revision.
    pub family: String,
    /// CPU units of the task; 1024 are one processor.
    pub cpu: Option<u64>,
    /// Memory of the task in MiB.
    pub memory: Option<u64>,
    /// How its containers are on the network.
    pub network_mode: NetworkMode,
    /// The containers, in the order of the document.
    pub containers: Vec<ContainerDefinition>,
    /// Volumes that containers mount.
    pub volumes: Vec<Volume>,
    /// Role of the agent: pulls images, reads secrets.
    pub execution_role_arn: Option<String>,
    /// Role of the program.
    pub task_role_arn: Option<String>,
    /// `FARGATE`, `EC2`, `EXTERNAL`.
    pub requires_compatibilities: Vec<String>,
    /// Operating system and processor.
    pub runtime_platform: Option<RuntimePlatform>,
}

/// `networkMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// Docker's bridge; also when nothing is said.
    Bridge,
    /// The host's network.
    Host,
    /// An address of its own for each task; its containers share it.
    AwsVpc,
    /// No network.
    None,
}

/// `runtimePlatform`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimePlatform {
    /// `X86_64` or `ARM64`.
    pub cpu_architecture: Option<String>,
    /// `LINUX`, or one of the Windows editions.
    pub operating_system_family: Option<String>,
}

/// A volume of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// What mount points call it.
    pub name: String,
    /// Where its files are.
    pub kind: VolumeKind,
}

/// Where a volume's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeKind {
    /// Made for the task and gone with it.
    Empty,
    /// A folder of the machine.
    Host(String),
    /// A service of AWS; the field that says which: `efsVolumeConfiguration`.
    Elsewhere(&'static str),
}

const TASK_FIELDS: [&str; 21] = [
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "tags",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
    "taskDefinitionArn",
    "revision",
    "status",
];

impl TaskDefinition {
    /// Reads the types out of an object of kind `TaskDefinition`, and checks what ECS would refuse: sizes, names,
    /// dependencies. `None` only when the object holds no mapping at all; a field of the wrong type is an error
    /// among the diagnostics and counts as absent.
    pub fn from_object(object: &Object) -> (Option<TaskDefinition>, Vec<Diagnostic>) {
        let diagnostics = RefCell::new(Vec::new());
        let task = Fields::of(object, &diagnostics).map(|fields| read(&fields));
        let mut diagnostics = diagnostics.into_inner();
        if let Some(task) = &task {
            diagnostics.extend(check::task(object, task));
        }
        (task, diagnostics)
    }

    /// The container of a name.
    pub fn container(&self, name: &str) -> Option<&ContainerDefinition> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// True when the task is to run on Fargate, whose rules are stricter.
    pub fn is_fargate(&self) -> bool {
        self.requires_compatibilities.iter().any(|compatibility| compatibility == "FARGATE")
    }
}

fn read(fields: &Fields<'_>) -> TaskDefinition {
    fields.warn_of_slips(&TASK_FIELDS);
    let modes = [
        ("bridge", NetworkMode::Bridge),
        ("host", NetworkMode::Host),
        ("awsvpc", NetworkMode::AwsVpc),
        ("none", NetworkMode::None),
    ];
    TaskDefinition {
        family: fields.required_text("family"),
        cpu: task_size(fields, "cpu", size::cpu_units),
        memory: task_size(fields, "memory", size::memory_mib),
        network_mode: fields.word("networkMode", &modes).unwrap_or(NetworkMode::Bridge),
        containers: fields.list("containerDefinitions", ContainerDefinition::read),
        volumes: fields.list("volumes", volume),
        execution_role_arn: fields.text("executionRoleArn"),
        task_role_arn: fields.text("taskRoleArn"),
        requires_compatibilities: fields.texts("requiresCompatibilities"),
        runtime_platform: fields.mapping("runtimePlatform").map(|platform| RuntimePlatform {
            cpu_architecture: platform.text("cpuArchitecture"),
            operating_system_family: platform.text("operatingSystemFamily"),
        }),
    }
}

/// `cpu` and `memory` of a task are text in the API. A number is understood and told.
fn task_size(fields: &Fields<'_>, name: &str, read: fn(&str) -> Option<u64>) -> Option<u64> {
    if let Some(number) = fields.number(name) {
        let message = format!("the task's `{name}` is a number, which the AWS CLI refuses");
        fields.warning("ecs-type", name, message, &format!("write it as text: \"{number}\""));
        return Some(number);
    }
    let text = fields.text(name)?;
    let size = read(&text);
    if size.is_none() {
        fields.error("ecs-value", name, format!("`{text}` is not a size that ECS takes for `{name}`"));
    }
    size
}

fn volume(fields: &Fields<'_>) -> Volume {
    const SERVICES: [&str; 5] = [
        "efsVolumeConfiguration",
        "dockerVolumeConfiguration",
        "fsxWindowsFileServerVolumeConfiguration",
        "s3filesVolumeConfiguration",
        "configuredAtLaunch",
    ];
    let service = SERVICES.into_iter().find(|name| {
        // `configuredAtLaunch` is a boolean; the others are mappings.
        if *name == "configuredAtLaunch" { fields.boolean(name) == Some(true) } else { fields.has(name) }
    });
    let folder =
        fields.mapping("host").and_then(|host| host.text("sourcePath")).filter(|path| !path.is_empty());
    let kind = match (service, folder) {
        (Some(field), _) => VolumeKind::Elsewhere(field),
        (None, Some(path)) => VolumeKind::Host(path),
        (None, None) => VolumeKind::Empty,
    };
    Volume { name: fields.required_text("name"), kind }
}
