//! `root-user`: root in a container is root on the host as soon as there is a way out.

use serde_json::Value;

use crate::rule::Finding;
use crate::scope::{Scope, final_user, is_root};
use crate::subject::{Container, Dockerfile, Pod, Task};

pub(crate) fn in_dockerfile(subject: &Dockerfile<'_>) -> Vec<Finding> {
    let hint = "add RUN adduser --system app and USER app, or USER 1000 where there is no shell";
    if let Some(user) = final_user(subject) {
        let message = "the image runs as root";
        return user.is_root().then(|| Finding::at(user.span, message, hint)).into_iter().collect();
    }
    let lineage = subject.lineage();
    let says_user = lineage
        .iter()
        .flat_map(|stage| &stage.instructions)
        .any(|it| it.keyword.raw.eq_ignore_ascii_case("USER"));
    let (Some(last), Some(base)) = (lineage.first(), lineage.last()) else { return Vec::new() };
    let base = Scope::of_globals(subject.build.dockerfile).resolve(&base.from.value.image);
    // A USER with a value that is not in the file, or a base image that is known to have a user.
    if says_user || base.is_none_or(|base| base.contains("nonroot")) {
        return Vec::new();
    }
    let message = "no USER is set, so the image runs as root unless its base image says otherwise";
    vec![Finding::at(last.from.span, message, hint)]
}

pub(crate) fn in_pod(pod: &Pod<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in pod.containers() {
        let setting = |field: &str| {
            let own = container.value.pointer(&format!("/securityContext/{field}"));
            let (pointer, value) = match own {
                Some(value) => (format!("{}/securityContext/{field}", container.pointer), value),
                None => (
                    format!("{}/securityContext/{field}", pod.spec),
                    pod.field(&format!("/securityContext/{field}"))?,
                ),
            };
            Some((pointer, value))
        };
        match (setting("runAsUser"), setting("runAsNonRoot")) {
            (Some((pointer, user)), _) if *user == 0 => {
                let message = format!("the container {} runs as root", container.name());
                findings.push(Finding::of(
                    pointer,
                    message,
                    "set runAsUser to the number of an ordinary user",
                ));
            }
            (Some(_), _) => {}
            (None, Some((_, Value::Bool(true)))) => {}
            _ => findings.extend(unless_image_has_user(&container, pod)),
        }
    }
    findings
}

fn unless_image_has_user(container: &Container<'_>, pod: &Pod<'_>) -> Option<Finding> {
    if pod.input.has_own_user(container.text("/image").unwrap_or("")) {
        return None;
    }
    let message = format!("the container {} may run as root", container.name());
    Some(Finding::of(
        container.place(),
        message,
        "add securityContext: {runAsNonRoot: true, runAsUser: 1000}",
    ))
}

pub(crate) fn in_task(task: &Task<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in task.containers() {
        let hint = "add \"user\": \"1000\"";
        match container.text("/user") {
            Some(user) if is_root(user) => {
                let message = format!("the container {} runs as root", container.name());
                findings.push(Finding::of(format!("{}/user", container.pointer), message, hint));
            }
            Some(_) => {}
            None if task.input.has_own_user(container.text("/image").unwrap_or("")) => {}
            None => {
                let message = format!(
                    "the container {} runs as root unless its image says otherwise",
                    container.name()
                );
                findings.push(Finding::of(container.place(), message, hint));
            }
        }
    }
    findings
}
