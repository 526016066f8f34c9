//! `no-resources`: a container that says nothing about CPU or memory can take its neighbours down.
//!
//! Either a request or a limit is enough: Kubernetes takes a limit for the request, and whether CPU should be limited at
//! all is a matter of taste.

use crate::rule::Finding;
use crate::subject::{Container, Pod, Task};

const RESOURCES: [(&str, &str); 2] = [("cpu", "CPU"), ("memory", "memory")];

pub(crate) fn in_pod(pod: &Pod<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in pod.containers().iter().filter(|container| !container.init) {
        let sized = |resource: &str| {
            ["requests", "limits"].iter().any(|kind| {
                let pointer = format!("/resources/{kind}/{resource}");
                container
                    .value
                    .pointer(&pointer)
                    .or_else(|| pod.field(&pointer))
                    .is_some_and(|it| !it.is_null())
            })
        };
        let missing = missing(sized);
        if !missing.is_empty() {
            let place = if container.value.get("resources").is_some() { "/resources" } else { "/name" };
            let message = format!("the container {} has no request or limit for {missing}", container.name());
            let hint = "add resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 128Mi}}";
            findings.push(Finding::of(format!("{}{place}", container.pointer), message, hint));
        }
    }
    findings
}

pub(crate) fn in_task(task: &Task<'_>) -> Vec<Finding> {
    let of_task =
        |field: &str| task.object.get(&format!("/spec/{field}")).is_some_and(|value| !value.is_null());
    let mut findings = Vec::new();
    for container in task.containers() {
        let sized = |resource: &str| {
            of_task(resource)
                || has(&container, resource)
                || (resource == "memory" && has(&container, "memoryReservation"))
        };
        let missing = missing(sized);
        if !missing.is_empty() {
            let message = format!(
                "the container {} has no size for {missing}, and the task has none",
                container.name()
            );
            let hint = "add \"cpu\": \"256\" and \"memory\": \"512\" to the task, or sizes to the container";
            findings.push(Finding::of(container.place(), message, hint));
        }
    }
    findings
}

fn has(container: &Container<'_>, field: &str) -> bool {
    container.value.get(field).is_some_and(|value| !value.is_null() && *value != 0)
}

/// `CPU`, `memory`, both or nothing.
fn missing(sized: impl Fn(&str) -> bool) -> String {
    let names: Vec<&str> = RESOURCES.iter().filter(|(key, _)| !sized(key)).map(|(_, name)| *name).collect();
    names.join(" and ")
}
