//! The table of rules.

use minato_resource::{Severity, Span};

use crate::rules::{health, image, resources, root_user, secret, stage};
use crate::subject::{Dockerfile, Pod, Task};

/// One rule. Its functions are tried on every subject of their kind.
#[derive(Debug)]
pub struct Rule {
    /// What `--allow` and comments name it, and the code of its diagnostics.
    pub code: &'static str,
    /// Errors stop `up` and `check`, warnings are shown.
    pub severity: Severity,
    /// One sentence for a list of rules.
    pub summary: &'static str,
    pub(crate) dockerfile: Option<fn(&Dockerfile<'_>) -> Vec<Finding>>,
    pub(crate) pod: Option<fn(&Pod<'_>) -> Vec<Finding>>,
    pub(crate) task: Option<fn(&Task<'_>) -> Vec<Finding>>,
}

/// All rules, in the order in which they are listed to users.
pub const RULES: &[Rule] = &[
    Rule {
        code: "latest-image",
        severity: Severity::Error,
        summary: "an image has the tag latest or none, so what runs can change without a change in Git",
        dockerfile: Some(image::in_dockerfile),
        pod: Some(image::in_pod),
        task: Some(image::in_task),
    },
    Rule {
        code: "no-resources",
        severity: Severity::Error,
        summary: "a container has neither a request nor a limit for CPU or for memory",
        dockerfile: None,
        pod: Some(resources::in_pod),
        task: Some(resources::in_task),
    },
    Rule {
        code: "no-health-check",
        severity: Severity::Warning,
        summary: "nothing says when a container can serve: no readiness probe, HEALTHCHECK or healthCheck",
        dockerfile: Some(health::in_dockerfile),
        pod: Some(health::in_pod),
        task: Some(health::in_task),
    },
    Rule {
        code: "root-user",
        severity: Severity::Warning,
        summary: "a container runs as root",
        dockerfile: Some(root_user::in_dockerfile),
        pod: Some(root_user::in_pod),
        task: Some(root_user::in_task),
    },
    Rule {
        code: "plain-secret",
        severity: Severity::Warning,
        summary: "a secret stands in plain text in ENV, ARG or an environment variable",
        dockerfile: Some(secret::in_dockerfile),
        pod: Some(secret::in_pod),
        task: Some(secret::in_task),
    },
    Rule {
        code: "unknown-stage",
        severity: Severity::Warning,
        summary: "--from names a stage that does not exist",
        dockerfile: Some(stage::in_dockerfile),
        pod: None,
        task: None,
    },
];

/// What a rule found.
pub(crate) struct Finding {
    pub place: Place,
    pub message: String,
    pub hint: String,
}

/// Where it is.
pub(crate) enum Place {
    /// In a Dockerfile.
    Span(Span),
    /// A JSON pointer into an object.
    Pointer(String),
}

impl Finding {
    pub(crate) fn at(span: Span, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { place: Place::Span(span), message: message.into(), hint: hint.into() }
    }

    pub(crate) fn of(
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding { place: Place::Pointer(pointer.into()), message: message.into(), hint: hint.into() }
    }
}
