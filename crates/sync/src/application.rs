//! Argo CD's `Application`: its own fields, with its own meaning.
//!
//! Reading gives the Application and what is wrong with it; a field that Minato does not act on yet is
//! named in a warning. Only `spec.destination.server` means more here than in Argo CD.

mod destination;
mod policy;

pub use destination::{Cluster, Destination};
pub use policy::{Automated, Retry, SyncPolicy};

use minato_resource::{Diagnostic, Object};

use crate::field::{Field, Findings};
use crate::owner::ApplicationName;

/// Says what to do when a new revision does not become healthy: `auto` (the default) or `off`.
pub const ROLLBACK_ANNOTATION: &str = "minato.dev/rollback";

/// How many revisions a history keeps when the Application does not say (as Argo CD).
pub const HISTORY_LIMIT: usize = 10;

/// The unit of deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// `metadata.name`.
    pub name: ApplicationName,
    /// `spec.project`; "default" when not said.
    pub project: String,
    /// `spec.source` or `spec.sources`.
    pub sources: Vec<ApplicationSource>,
    /// `spec.destination`: the engine.
    pub destination: Destination,
    /// `spec.destination.namespace`: for Objects that don't say one.
    pub namespace: Option<String>,
    /// `spec.syncPolicy`.
    pub sync_policy: SyncPolicy,
    /// `spec.ignoreDifferences`, those with JSON pointers.
    pub ignore_differences: Vec<IgnoreDifference>,
    /// `spec.revisionHistoryLimit`.
    pub history_limit: usize,
    /// Annotation [`ROLLBACK_ANNOTATION`].
    pub rollback: RollbackPolicy,
}

/// One source of desired Objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplicationSource {
    /// `repoURL`.
    pub repository: String,
    /// `path` inside it.
    pub path: Option<String>,
    /// `targetRevision`: branch, tag, commit, or a chart's version.
    pub target_revision: Option<String>,
    /// `chart`, for a Helm repository.
    pub chart: Option<String>,
    /// `directory.recurse`.
    pub recurse: bool,
}

/// Fields whose differences don't count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoreDifference {
    /// Group; empty is Kubernetes' core group, `*` any.
    pub group: String,
    /// Kind; `*` for any.
    pub kind: String,
    /// Name; `None` for any.
    pub name: Option<String>,
    /// Namespace; `None` for any.
    pub namespace: Option<String>,
    /// JSON pointers.
    pub pointers: Vec<String>,
}

/// What happens when a new revision does not become healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RollbackPolicy {
    /// The last healthy revision is brought back.
    #[default]
    Automatic,
    /// It is left as it is.
    Off,
}

impl Application {
    /// An Application on this machine, for a repository that has none.
    pub fn local(name: ApplicationName) -> Self {
        Self {
            name,
            project: "default".to_owned(),
            sources: Vec::new(),
            destination: Destination::Local,
            namespace: None,
            sync_policy: SyncPolicy::default(),
            ignore_differences: Vec::new(),
            history_limit: HISTORY_LIMIT,
            rollback: RollbackPolicy::default(),
        }
    }

    /// Reads an `argoproj.io` Application. `None` when it has errors that leave nothing to act on.
    pub fn parse(object: &Object) -> (Option<Self>, Vec<Diagnostic>) {
        let findings = Findings::default();
        let application = read(&Field::root(object, &findings));
        let application = application.filter(|_| !findings.has_errors());
        (application, findings.into_vec())
    }
}

fn read(root: &Field) -> Option<Application> {
    if !root.object().key().is("argoproj.io", "Application") {
        root.get("kind").error("application-kind", "expected an argoproj.io Application");
        return None;
    }
    let spec = root.get("spec");
    warn_about_spec(root, &spec);
    // Everything is read before anything is given up, so that all mistakes are told at once.
    let (name, destination) = (read_name(root), destination::read(&spec.get("destination")));
    let limit = spec.get("revisionHistoryLimit").count();
    let application = Application {
        project: spec.get("project").text().unwrap_or("default").to_owned(),
        sources: read_sources(&spec),
        namespace: spec.at(&["destination", "namespace"]).text().map(str::to_owned),
        sync_policy: policy::read(&spec.get("syncPolicy")),
        ignore_differences: spec.get("ignoreDifferences").items().iter().filter_map(read_ignore).collect(),
        history_limit: limit.map_or(HISTORY_LIMIT, |count| count as usize),
        rollback: read_rollback(root),
        ..Application::local(name?)
    };
    Some(Application { destination: destination?, ..application })
}

fn read_name(root: &Field) -> Option<ApplicationName> {
    let field = root.at(&["metadata", "name"]);
    let name = field.text()?.parse();
    name.map_err(|error: crate::owner::NameError| field.error("application-name", error.to_string())).ok()
}

fn warn_about_spec(root: &Field, spec: &Field) {
    const KNOWN: &[&str] = &[
        "project",
        "source",
        "sources",
        "destination",
        "syncPolicy",
        "ignoreDifferences",
        "revisionHistoryLimit",
        "info",
    ];
    spec.warn_unknown(KNOWN, "application-field", "is not acted on");
    // The finalizer says that deleting the Application deletes its Objects: `minato delete` always does.
    let finalizers = root.at(&["metadata", "finalizers"]);
    for finalizer in finalizers.items() {
        if !finalizer.text().unwrap_or("").starts_with("resources-finalizer.argocd.argoproj.io") {
            finalizer.warning("application-field", "this finalizer is not acted on");
        }
    }
}

fn read_sources(spec: &Field) -> Vec<ApplicationSource> {
    let (one, many) = (spec.get("source"), spec.get("sources"));
    let mut fields = many.items();
    if !many.is_present() {
        fields.extend(one.is_present().then_some(one));
    } else if one.is_present() {
        one.warning("application-field", "`spec.source` is ignored, because `spec.sources` is there");
    }
    fields.iter().filter_map(read_source).collect()
}

fn read_source(source: &Field) -> Option<ApplicationSource> {
    const KNOWN: &[&str] = &["repoURL", "path", "targetRevision", "chart", "directory"];
    source.warn_unknown(KNOWN, "application-field", "is not acted on yet");
    source.get("directory").warn_unknown(&["recurse"], "application-field", "is not acted on yet");
    let text = |name: &str| source.get(name).text().map(str::to_owned);
    Some(ApplicationSource {
        repository: source.get("repoURL").required_text()?.to_owned(),
        path: text("path"),
        target_revision: text("targetRevision"),
        chart: text("chart"),
        recurse: source.at(&["directory", "recurse"]).boolean().unwrap_or(false),
    })
}

fn read_ignore(rule: &Field) -> Option<IgnoreDifference> {
    const KNOWN: &[&str] = &["group", "kind", "name", "namespace", "jsonPointers"];
    rule.warn_unknown(KNOWN, "application-field", "is not acted on yet");
    let text = |name: &str| rule.get(name).text().map(str::to_owned).filter(|text| !text.is_empty());
    Some(IgnoreDifference {
        group: text("group").unwrap_or_default(),
        kind: rule.get("kind").required_text()?.to_owned(),
        name: text("name"),
        namespace: text("namespace"),
        pointers: rule.get("jsonPointers").texts(),
    })
}

fn read_rollback(root: &Field) -> RollbackPolicy {
    let annotations = root.at(&["metadata", "annotations"]);
    // Told when it is no mapping: others write annotations of their own beside these.
    annotations.entries();
    let field = annotations.get(ROLLBACK_ANNOTATION);
    match field.text() {
        Some("off") => RollbackPolicy::Off,
        None | Some("auto") => RollbackPolicy::Automatic,
        Some(other) => {
            field.error("rollback-annotation", format!("{other:?} is neither `auto` nor `off`"));
            RollbackPolicy::Automatic
        }
    }
}
