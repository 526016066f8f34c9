//! `no-health-check`: without one, a new version counts as good as soon as its process runs.

use minato_dockerfile::{HealthcheckCommand, Instruction, Stage};
use serde_json::Value;

use crate::rule::Finding;
use crate::subject::{Dockerfile, Pod, Task};

/// HEALTHCHECK matters where the Dockerfile is all there is: Kubernetes and ECS do not look at it.
pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    if subject.input.has_workloads() {
        return Vec::new();
    }
    let lineage = subject.lineage();
    let Some(last) = lineage.first() else { return Vec::new() };
    match lineage.iter().find_map(|stage| last_healthcheck(stage)) {
        Some(HealthcheckCommand::Cmd(_)) => Vec::new(),
        Some(HealthcheckCommand::None) | None => {
            let message = "the image has no HEALTHCHECK, so nothing says when it can serve";
            let hint = "add HEALTHCHECK CMD wget -qO- http://localhost:PORT/healthz || exit 1";
            vec![Finding::at(last.from.span, message, hint)]
        }
    }
}

fn last_healthcheck(stage: &Stage) -> Option<&HealthcheckCommand> {
    stage.instructions.iter().rev().find_map(|statement| match &statement.value {
        Instruction::Healthcheck(healthcheck) => Some(&healthcheck.command),
        _ => None,
    })
}

pub(crate) fn in_pod(pod: &Pod<'_>) -> Vec<Finding> {
    if !pod.serves {
        return Vec::new();
    }
    let containers = pod.containers();
    let unprobed = containers
        .iter()
        .filter(|container| !container.init && container.value.get("readinessProbe").is_none());
    let finding = |container: &crate::subject::Container<'_>| {
        let message = format!(
            "the container {} has no readiness probe, so it gets traffic before it can serve",
            container.name()
        );
        let hint = "add readinessProbe: {httpGet: {path: /readyz, port: PORT}}";
        Finding::of(container.place(), message, hint)
    };
    unprobed.map(finding).collect()
}

/// Essential containers only: the task's health does not hang on the others.
pub(crate) fn in_task(task: &Task<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in task.containers() {
        let essential = container.value.get("essential").and_then(Value::as_bool).unwrap_or(true);
        let checked = container.value.get("healthCheck").is_some() || task.is_load_balanced(container.name());
        if essential && !checked {
            let message = format!(
                "the container {} has no healthCheck, and no load balancer checks it",
                container.name()
            );
            let hint = "add \"healthCheck\": {\"command\": [\"CMD-SHELL\", \"wget -qO- http://localhost:PORT/healthz || exit 1\"]}";
            findings.push(Finding::of(container.place(), message, hint));
        }
    }
    findings
}
