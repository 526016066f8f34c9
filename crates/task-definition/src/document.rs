//! Files to objects: which ECS document a text holds, and under which name.

use std::path::Path;
use std::sync::Arc;

use minato_resource::document::{Comments, Node, read_json, read_yaml};
use minato_resource::{Diagnostic, Object, Origin, SourceFile, Span};
use serde_json::{Value, json};

/// The group of ECS documents among objects.
pub const GROUP: &str = "ecs.amazonaws.com";
/// The kind of a task definition; its name is the family.
pub const TASK_DEFINITION_KIND: &str = "TaskDefinition";
/// The kind of a service.
pub const SERVICE_KIND: &str = "Service";

const API_VERSION: &str = "ecs.amazonaws.com/v1";

/// What an ECS document describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// The input of `RegisterTaskDefinition`.
    TaskDefinition,
    /// The input of `CreateService` or an item of `DescribeServices`.
    Service,
}

/// Reads a file of ECS documents: JSON with `//` and `/* */` comments, or YAML when the name ends in `.yaml` or
/// `.yml`. A task definition may be wrapped in `{"taskDefinition": …}`, services in `{"services": […]}`.
///
/// Each document is an object `{apiVersion, kind, metadata: {name}, spec}` with the document, unchanged, as `spec`.
pub fn parse(file: &Arc<SourceFile>) -> (Vec<Object>, Vec<Diagnostic>) {
    let (documents, mut diagnostics) = read(file);
    let mut objects = Vec::new();
    for (index, document) in documents.into_iter().enumerate().filter(|(_, document)| !document.is_null()) {
        for part in unwrapped(&document) {
            match object(file, index, part) {
                Ok(object) => objects.push(object),
                Err(diagnostic) => diagnostics.push(diagnostic),
            }
        }
    }
    (objects, diagnostics)
}

/// What a file holds, when it is an ECS document; for finding them in a tree. A file that cannot be read is none.
pub fn kind_of(file: &Arc<SourceFile>) -> Option<DocumentKind> {
    let (documents, _) = read(file);
    documents.iter().find_map(|document| unwrapped(document).into_iter().find_map(recognise))
}

fn read(file: &Arc<SourceFile>) -> (Vec<Node>, Vec<Diagnostic>) {
    if is_yaml(file.path()) { read_yaml(file) } else { read_json(file, Comments::Allowed) }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The documents within a document: what the AWS CLI prints is wrapped, what it takes is not.
fn unwrapped(document: &Node) -> Vec<&Node> {
    let inner = ["taskDefinition", "service"].iter().filter_map(|key| document.get(key));
    let inner: Vec<&Node> = inner.filter(|node| !node.entries().is_empty()).collect();
    let services = document.get("services").map_or(&[] as &[Node], Node::items);
    match (inner.is_empty(), services.is_empty()) {
        (true, true) => vec![document],
        _ => inner.into_iter().chain(services).collect(),
    }
}

/// Both are told by fields that only they have.
fn recognise(document: &Node) -> Option<DocumentKind> {
    let has = |key: &str| document.get(key).is_some();
    if has("containerDefinitions") {
        return Some(DocumentKind::TaskDefinition);
    }
    let deploys = has("desiredCount")
        || has("deploymentConfiguration")
        || has("launchType")
        || has("networkConfiguration");
    let service = has("serviceName") || (has("taskDefinition") && deploys);
    service.then_some(DocumentKind::Service)
}

fn object(file: &Arc<SourceFile>, index: usize, document: &Node) -> Result<Object, Diagnostic> {
    let (kind, name) = match recognise(document) {
        Some(DocumentKind::TaskDefinition) => (TASK_DEFINITION_KIND, text(document, "family")),
        Some(DocumentKind::Service) => (SERVICE_KIND, service_name(document)),
        None => return Err(unknown(file, document)),
    };
    let Some(name) = name else { return Err(nameless(file, document, kind)) };
    let value: Value = json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": document.to_value()});
    let origin = Origin::mounted(Arc::clone(file), index, Arc::new(document.clone()), "/spec");
    match Object::from_value(value) {
        Ok(object) => Ok(object.with_origin(Arc::new(origin))),
        Err(error) => Err(Diagnostic::error("ecs-document", error.to_string(), file, start(file, document))),
    }
}

fn text<'node>(document: &'node Node, key: &str) -> Option<&'node str> {
    document.get(key).and_then(Node::as_str).filter(|text| !text.is_empty())
}

/// `serviceName`; an `UpdateService` input says `service`; else the family that it runs.
fn service_name(document: &Node) -> Option<&str> {
    let family = || text(document, "taskDefinition").map(family_of);
    text(document, "serviceName").or_else(|| text(document, "service")).or_else(family)
}

/// The family in `family`, `family:revision`, or `arn:…:task-definition/family:revision`.
pub(crate) fn family_of(reference: &str) -> &str {
    family_and_revision(reference).0
}

/// The family and, where it is said, the revision.
pub(crate) fn family_and_revision(reference: &str) -> (&str, Option<&str>) {
    let name = reference.rsplit_once('/').map_or(reference, |(_, name)| name);
    name.split_once(':').map_or((name, None), |(family, revision)| (family, Some(revision)))
}

fn unknown(file: &Arc<SourceFile>, document: &Node) -> Diagnostic {
    let message = format!(
        "this is neither an ECS task definition (it has no `containerDefinitions`) nor a service (no `serviceName`), but {}",
        document.kind_name()
    );
    Diagnostic::error("ecs-document", message, file, start(file, document)).with_hint(
        "write it as the AWS CLI takes it: `aws ecs register-task-definition --generate-cli-skeleton`",
    )
}

fn nameless(file: &Arc<SourceFile>, document: &Node, kind: &str) -> Diagnostic {
    let (what, field) = match kind {
        TASK_DEFINITION_KIND => ("task definition", "family"),
        _ => ("service", "serviceName"),
    };
    let place = document.entry(field).map_or(start(file, document), |entry| entry.value.span);
    Diagnostic::error("ecs-missing", format!("the {what} has no `{field}`"), file, place)
        .with_hint(format!("add `\"{field}\": \"NAME\"`"))
}

/// The first key, or the first line of what is no mapping.
fn start(file: &SourceFile, document: &Node) -> Span {
    let line = file.slice(document.span).lines().next().map_or(0, str::len);
    let whole = Span::new(document.span.start, document.span.start + line);
    document.entries().first().map_or(whole, |entry| entry.key_span)
}
