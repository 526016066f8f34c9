//! From the input to the sorted diagnostics.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use minato_dockerfile::Dockerfile;
use minato_dockerfile::ignore::Ignore;
use minato_oci::{Platform, Reference};
use minato_resource::{Diagnostic, Object, SourceFile};

use crate::allow::Allowances;
use crate::build_check;
use crate::rule::{Finding, Place, RULES, Rule};
use crate::subject::{self, Pod, Task};

/// Everything that is checked together.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The images that are built from these files.
    pub builds: &'a [Build<'a>],
    /// Kubernetes objects and ECS documents, with their origins.
    pub objects: &'a [Object],
    /// Codes of rules that do not count at all (`--allow`).
    pub allowed: &'a [String],
}

/// A Dockerfile and what is made of it.
#[derive(Clone, Debug)]
pub struct Build<'a> {
    /// Its text.
    pub file: &'a Arc<SourceFile>,
    /// The text, parsed.
    pub dockerfile: &'a Dockerfile,
    /// The stage that is built; the last one where none is named.
    pub target: Option<&'a str>,
    /// The names that the image gets. Their tags and digests do not count.
    pub images: Vec<Reference>,
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// What the context leaves out.
    pub ignore: Option<&'a Ignore>,
    /// What is known of base images.
    pub bases: &'a dyn BaseImages,
    /// What the image is built for; this machine's where nothing is said.
    pub platform: Option<Platform>,
    /// Which stages' instructions count for the build checks.
    pub stages: CheckedStages,
}

/// Which stages are checked when no target is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckedStages {
    /// Every one, as for `docker build --check`.
    #[default]
    All,
    /// Those that are built, as for `docker build`.
    Built,
}

/// What a build check may know of a base image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseImage {
    /// The variables that it sets.
    pub environment: BTreeMap<String, String>,
    /// What it runs on.
    pub platform: Option<Platform>,
    /// Whether it says which shell runs commands.
    pub has_shell: bool,
}

/// Knows base images without asking anybody for long: it is called for each FROM.
pub trait BaseImages: fmt::Debug {
    /// The image of a FROM, after expansion; `None` where it is not known.
    fn base_image(&self, image: &str) -> Option<BaseImage>;
}

/// Knows none.
#[derive(Clone, Copy, Debug)]
pub struct NoBaseImages;

impl BaseImages for NoBaseImages {
    fn base_image(&self, _: &str) -> Option<BaseImage> {
        None
    }
}

impl<'a> Build<'a> {
    /// A Dockerfile of which nothing more is known.
    pub fn new(file: &'a Arc<SourceFile>, dockerfile: &'a Dockerfile) -> Build<'a> {
        Build {
            file,
            dockerfile,
            target: None,
            images: Vec::new(),
            arguments: BTreeMap::new(),
            ignore: None,
            bases: &NoBaseImages,
            platform: None,
            stages: CheckedStages::All,
        }
    }
}

/// Checks all rules. The findings come sorted by file and place; those that a comment, an annotation or
/// [`Input::allowed`] allows are left out. A name of a rule that does not exist is a finding of its own.
#[must_use]
pub fn check(input: &Input<'_>) -> Vec<Diagnostic> {
    let (allowances, mut diagnostics) = Allowances::collect(input);
    for rule in RULES.iter().filter(|rule| !allowances.everywhere(rule.code)) {
        diagnostics.extend(check_builds(rule, input).filter(|it| !allowances.covers(it)));
        diagnostics.extend(check_objects(rule, input, &allowances).filter(|it| !allowances.covers(it)));
    }
    diagnostics.extend(input.builds.iter().flat_map(|build| allowed_build_checks(build, &allowances)));
    sorted(diagnostics)
}

/// Checks one Dockerfile as the builder does before it builds: only the build checks, with what the file, comments and
/// `allowed` allow left out. A finding is an error only where the file's `# check=` says so.
#[must_use]
pub fn build_checks(build: &Build<'_>, allowed: &[String]) -> Vec<Diagnostic> {
    let builds = std::slice::from_ref(build);
    let (allowances, _) = Allowances::collect(&Input { builds, objects: &[], allowed });
    sorted(allowed_build_checks(build, &allowances))
}

fn allowed_build_checks(build: &Build<'_>, allowances: &Allowances) -> Vec<Diagnostic> {
    let mut found = build_check::findings(build);
    found.retain(|it| !allowances.everywhere(&it.code) && !allowances.covers(it));
    found
}

fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by(|left, right| order(left).cmp(&order(right)));
    // Objects of one file that YAML anchors share a part of report it only once.
    diagnostics.dedup_by(|right, left| order(left) == order(right) && left.message == right.message);
    diagnostics
}

fn check_builds<'a>(rule: &'a Rule, input: &'a Input<'a>) -> impl Iterator<Item = Diagnostic> + 'a {
    input.builds.iter().flat_map(move |build| {
        let findings = rule.dockerfile.map(|check| check(&subject::Dockerfile { build, input }));
        findings.into_iter().flatten().map(move |finding| in_file(rule, finding, build.file))
    })
}

fn check_objects<'a>(
    rule: &'a Rule,
    input: &'a Input<'a>,
    allowances: &'a Allowances,
) -> impl Iterator<Item = Diagnostic> + 'a {
    input.objects.iter().filter(|object| !allowances.annotated(object, rule)).flat_map(move |object| {
        let pod = rule.pod.and_then(|check| Pod::of(object, input).map(|pod| check(&pod)));
        let task = rule.task.and_then(|check| Task::of(object, input).map(|task| check(&task)));
        pod.into_iter().chain(task).flatten().map(move |finding| in_object(rule, finding, object))
    })
}

fn in_file(rule: &Rule, finding: Finding, file: &Arc<SourceFile>) -> Diagnostic {
    let diagnostic = Diagnostic::without_location(rule.severity, rule.code, finding.message);
    let diagnostic = match finding.place {
        Place::Span(span) => diagnostic.at(file, span),
        Place::Pointer(_) => diagnostic,
    };
    diagnostic.with_hint(finding.hint)
}

fn in_object(rule: &Rule, finding: Finding, object: &Object) -> Diagnostic {
    let pointer = match &finding.place {
        Place::Pointer(pointer) => pointer,
        Place::Span(_) => "",
    };
    object.diagnostic(rule.severity, rule.code, finding.message, pointer).with_hint(finding.hint)
}

fn order(diagnostic: &Diagnostic) -> (Option<(&Path, usize, usize)>, &str) {
    let place = diagnostic.location.as_ref().map(|it| (it.file.path(), it.span.start, it.span.end));
    (place, &diagnostic.code)
}
