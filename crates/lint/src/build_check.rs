//! `BuildKit`'s build checks: the same names, the same places, the same settings.
//!
//! ```text
//! Dockerfile ─ Analysis ─► stages that count, global arguments, the environment at each instruction
//!                             │ BUILD_CHECKS
//!                             ▼
//!                          findings ─ settings: # check=…, a comment above, BUILDKIT_DOCKERFILE_CHECK ─► diagnostics
//! ```
//!
//! The rules are those of `BuildKit` 0.34, whose own linter made the expected output in `testdata/build-checks`. It names
//! lines, here the word is underlined. Where a base image is not known, its variables are not guessed: a name is
//! undefined then only if a global argument or a near name shows that it was meant to be declared.

mod analysis;
mod base;
mod casing;
mod command;
mod description;
mod environment;
mod ignored;
mod platform;
mod port;
mod secret_name;
mod settings;
mod stage_name;
mod table;
mod variable;
mod workdir;

use minato_dockerfile::Dockerfile;
use minato_resource::{Diagnostic, Severity, Span, nearest};

use crate::check::Build;
use crate::rule::{Finding, Place};
use analysis::Analysis;
pub(crate) use secret_name::is_secret_name;
use settings::Settings;
pub use table::{BUILD_CHECKS, BuildCheck};

/// The build argument that replaces `# check=`.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// All findings about one Dockerfile, as its settings want them: left out, warnings, or errors.
pub(crate) fn findings(build: &Build<'_>) -> Vec<Diagnostic> {
    let (settings, mut diagnostics) = settings(build);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return diagnostics;
    }
    let severity = if settings.error { Severity::Error } else { Severity::Warning };
    let analysis = Analysis::new(build);
    let comments = Comments::of(build.dockerfile);
    for check in BUILD_CHECKS {
        let found = (check.find)(&analysis).into_iter().filter(|it| counts(check, it, &settings, &comments));
        diagnostics.extend(found.map(|finding| diagnostic(check, finding, severity, build)));
    }
    diagnostics
}

fn diagnostic(check: &BuildCheck, finding: Finding, severity: Severity, build: &Build<'_>) -> Diagnostic {
    let diagnostic = Diagnostic::without_location(severity, check.name, finding.message);
    let diagnostic = match finding.place {
        Place::Span(span) => diagnostic.at(build.file, span),
        Place::Pointer(_) => diagnostic,
    };
    diagnostic.with_hint(finding.hint)
}

/// Whether neither the file's settings nor a comment above the instruction skip the check.
fn counts(check: &BuildCheck, finding: &Finding, settings: &Settings, comments: &Comments<'_>) -> bool {
    let Place::Span(span) = finding.place else { return true };
    let comments = comments.above(span).filter(|_| check.heeds_comments);
    let own = comments.and_then(settings::in_comments);
    match own {
        Some(own) if check.experimental => settings.wants(check.name) || own.wants(check.name),
        Some(own) => !settings.skips(check.name) && !own.skips(check.name),
        None if check.experimental => settings.wants(check.name),
        None => !settings.skips(check.name),
    }
}

/// The comments above each instruction, in the order of the file.
struct Comments<'a>(Vec<(Span, &'a [String])>);

impl<'a> Comments<'a> {
    fn of(dockerfile: &'a Dockerfile) -> Comments<'a> {
        let args = dockerfile.global_args.iter().map(|it| (it.span, it.comments.as_slice()));
        let stages = dockerfile.stages.iter().flat_map(|stage| {
            let from = std::iter::once((stage.from.span, stage.from.comments.as_slice()));
            from.chain(stage.instructions.iter().map(|it| (it.span, it.comments.as_slice())))
        });
        Comments(args.chain(stages).collect())
    }

    fn above(&self, place: Span) -> Option<&'a [String]> {
        let behind = self.0.partition_point(|(span, _)| span.start <= place.start);
        self.0[..behind].last().map(|(_, comments)| *comments)
    }
}

/// The settings in force, and what is wrong with them.
fn settings(build: &Build<'_>) -> (Settings, Vec<Diagnostic>) {
    let directive = build.dockerfile.directives.check.as_ref();
    let (text, place) = match (build.arguments.get(ARGUMENT), directive) {
        (Some(argument), _) => (argument.as_str(), None),
        // The directive's value ends at the first blank.
        (None, Some(it)) => (it.value.split_whitespace().next().unwrap_or(""), Some(it.span)),
        (None, None) => return (Settings::default(), Vec::new()),
    };
    let locate = |diagnostic: Diagnostic| match place {
        Some(span) => diagnostic.at(build.file, span),
        None => diagnostic,
    };
    match Settings::parse(text) {
        Ok(settings) => {
            let unknown: Vec<Diagnostic> = settings.names().filter_map(unknown_check).map(locate).collect();
            (settings, unknown)
        }
        Err(message) => {
            let hint = "write skip=RULE,RULE;error=true or experimental=all";
            let diagnostic = Diagnostic::without_location(Severity::Error, "bad-check-option", message);
            (Settings::default(), vec![locate(diagnostic).with_hint(hint)])
        }
    }
}

fn unknown_check(name: &str) -> Option<Diagnostic> {
    if name.is_empty() || BUILD_CHECKS.iter().any(|check| check.name == name) {
        return None;
    }
    let shown: String = name.chars().take(60).collect();
    let hint = match nearest(name, BUILD_CHECKS.iter().map(|check| check.name)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => {
            let names: Vec<&str> = BUILD_CHECKS.iter().map(|check| check.name).collect();
            format!("the build checks are {}", names.join(", "))
        }
    };
    let message = format!("there is no build check '{shown}'");
    Some(Diagnostic::without_location(Severity::Warning, "unknown-rule", message).with_hint(hint))
}
