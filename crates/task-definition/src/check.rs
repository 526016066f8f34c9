//! What ECS refuses in a task definition whose fields have the right types.

use std::collections::{HashMap, HashSet};

use minato_resource::{Diagnostic, Object, Severity};

use crate::container::{ContainerDefinition, Dependency, DependencyCondition};
use crate::size::{self, SizeError};
use crate::task::{NetworkMode, TaskDefinition};

/// Every rule, in the order of the document.
pub(crate) fn task(object: &Object, task: &TaskDefinition) -> Vec<Diagnostic> {
    let mut checks = Checks { object, task, diagnostics: Vec::new() };
    checks.fargate();
    checks.containers();
    checks.diagnostics
}

struct Checks<'task> {
    object: &'task Object,
    task: &'task TaskDefinition,
    diagnostics: Vec<Diagnostic>,
}

impl Checks<'_> {
    fn fargate(&mut self) {
        if !self.task.is_fargate() {
            return;
        }
        if self.task.network_mode != NetworkMode::AwsVpc {
            self.error(
                "ecs-network",
                "/spec/networkMode",
                "Fargate takes only `networkMode` `awsvpc`".to_owned(),
            );
        }
        let (Some(cpu), Some(memory)) = (self.task.cpu, self.task.memory) else {
            let missing = if self.task.cpu.is_none() { "cpu" } else { "memory" };
            let message = format!("Fargate needs the task's `{missing}`");
            return self.error("ecs-size", "/spec/requiresCompatibilities", message);
        };
        match size::check_fargate(cpu, memory) {
            Ok(()) => {}
            Err(SizeError::Cpu) => {
                let message =
                    format!("Fargate has no size of {cpu} CPU units; it has {}", size::fargate_cpu_sizes());
                self.error("ecs-size", "/spec/cpu", message);
            }
            Err(SizeError::Memory(sizes)) => {
                let message = format!("Fargate gives {sizes} to {cpu} CPU units, not {memory} MiB");
                self.error("ecs-size", "/spec/memory", message);
            }
        }
    }

    fn containers(&mut self) {
        let containers = &self.task.containers;
        if containers.is_empty() {
            let message = "the task definition has no containers".to_owned();
            return self.error("ecs-missing", "/spec/containerDefinitions", message);
        }
        if containers.iter().all(|container| !container.essential) {
            let message = "no container is essential; ECS needs at least one".to_owned();
            self.error("ecs-essential", "/spec/containerDefinitions/0/essential", message);
        }
        let mut names = HashSet::new();
        for (index, container) in containers.iter().enumerate() {
            let place = format!("/spec/containerDefinitions/{index}");
            if !container.name.is_empty() && !names.insert(container.name.as_str()) {
                let message = format!("two containers have the name `{}`", container.name);
                self.error("ecs-name", &format!("{place}/name"), message);
            }
            self.ports(container, &place);
            self.memory(container, &place);
            self.mounts(container, &place);
            self.dependencies(container, &place);
        }
        self.cycles();
    }

    fn ports(&mut self, container: &ContainerDefinition, place: &str) {
        if self.task.network_mode != NetworkMode::AwsVpc {
            return;
        }
        for (index, mapping) in container.port_mappings.iter().enumerate() {
            let differs =
                mapping.host_port.is_some_and(|host| host != 0 && Some(host) != mapping.container_port);
            if differs {
                let message = "under `awsvpc` the `hostPort` must equal the `containerPort`".to_owned();
                self.error("ecs-network", &format!("{place}/portMappings/{index}/hostPort"), message);
            }
        }
    }

    fn memory(&mut self, container: &ContainerDefinition, place: &str) {
        if let (Some(limit), Some(reserved)) = (container.memory, container.memory_reservation)
            && reserved > limit
        {
            let message =
                format!("`memoryReservation` is {reserved} MiB, more than the `memory` of {limit} MiB");
            self.error("ecs-size", &format!("{place}/memoryReservation"), message);
        }
        if let (Some(limit), Some(task)) = (container.memory, self.task.memory)
            && limit > task
        {
            let message = format!("the container's {limit} MiB are more than the task's {task} MiB");
            self.error("ecs-size", &format!("{place}/memory"), message);
        }
    }

    fn mounts(&mut self, container: &ContainerDefinition, place: &str) {
        for (index, mount) in container.mount_points.iter().enumerate() {
            let known = self.task.volumes.iter().any(|volume| volume.name == mount.source_volume);
            if !known && !mount.source_volume.is_empty() {
                let message = format!("the task has no volume `{}`", mount.source_volume);
                self.error("ecs-name", &format!("{place}/mountPoints/{index}/sourceVolume"), message);
            }
        }
        for (index, from) in container.volumes_from.iter().enumerate() {
            if self.task.container(&from.source_container).is_none() {
                let message = format!("the task has no container `{}`", from.source_container);
                self.error("ecs-name", &format!("{place}/volumesFrom/{index}/sourceContainer"), message);
            }
        }
    }

    fn dependencies(&mut self, container: &ContainerDefinition, place: &str) {
        for (index, dependency) in container.depends_on.iter().enumerate() {
            let place = format!("{place}/dependsOn/{index}");
            match self.task.container(&dependency.container_name) {
                Some(other) => {
                    if let Some(message) = impossible(dependency, other) {
                        self.error("ecs-dependency", &format!("{place}/condition"), message);
                    }
                }
                None => {
                    let message = format!("the task has no container `{}`", dependency.container_name);
                    self.error("ecs-dependency", &format!("{place}/containerName"), message);
                }
            }
        }
    }

    /// Reports each container from which a chain of dependencies leads back to itself, once a cycle.
    fn cycles(&mut self) {
        let edges: HashMap<&str, Vec<&str>> = self.task.containers.iter().map(edges).collect();
        let mut reported = HashSet::new();
        for (index, container) in self.task.containers.iter().enumerate() {
            let Some(cycle) = cycle_from(&container.name, &edges) else { continue };
            let members: Vec<&str> = cycle.clone();
            if members.iter().any(|member| reported.contains(member)) {
                continue;
            }
            reported.extend(members);
            let path = cycle.join("` → `");
            let message = format!("the containers wait for each other: `{path}` → `{}`", container.name);
            self.error("ecs-dependency", &format!("/spec/containerDefinitions/{index}/dependsOn"), message);
        }
    }

    fn error(&mut self, code: &str, pointer: &str, message: String) {
        self.diagnostics.push(self.object.diagnostic(Severity::Error, code, message, pointer));
    }
}

/// Why a condition can never be met or is refused.
fn impossible(dependency: &Dependency, other: &ContainerDefinition) -> Option<String> {
    match dependency.condition {
        DependencyCondition::Healthy if other.health_check.is_none() => {
            Some(format!("`{}` has no `healthCheck`, so it is never HEALTHY", other.name))
        }
        DependencyCondition::Complete | DependencyCondition::Success if other.essential => Some(format!(
            "`{}` is essential: the task would end with it, so nothing can wait for its end",
            other.name
        )),
        _ => None,
    }
}

fn edges(container: &ContainerDefinition) -> (&str, Vec<&str>) {
    let targets = container.depends_on.iter().map(|dependency| dependency.container_name.as_str());
    (container.name.as_str(), targets.collect())
}

/// The containers on a way from a container back to it, starting with it.
fn cycle_from<'task>(
    start: &'task str,
    edges: &HashMap<&'task str, Vec<&'task str>>,
) -> Option<Vec<&'task str>> {
    let mut came_from: HashMap<&str, &str> = HashMap::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        for next in edges.get(name).into_iter().flatten() {
            if *next == start {
                let mut path = vec![name];
                while let Some(previous) = came_from.get(path[path.len() - 1]) {
                    path.push(previous);
                }
                path.reverse();
                return Some(path);
            }
            if edges.contains_key(next) && !came_from.contains_key(next) {
                came_from.insert(next, name);
                open.push(next);
            }
        }
    }
    None
}
