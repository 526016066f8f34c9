//! What users allow: `# minato: allow CODE` at a line, an annotation on an object, or a list for everything.
//!
//! ```text
//! # minato: allow root-user -- nginx binds port 80        alone on a line: for the line (Dockerfile: instruction) below
//! image: nginx  # minato: allow latest-image, root-user   for its own line
//! minato.dev/allow: "latest-image,root-user"              annotation: for the object
//! ```

use std::path::Path;
use std::sync::Arc;

use minato_dockerfile::Dockerfile;
use minato_resource::{Diagnostic, Object, Severity, SourceFile, Span, nearest};

use crate::build_check::BUILD_CHECKS;
use crate::check::{Build, Input};
use crate::rule::{RULES, Rule};

/// The annotation on an object.
const ANNOTATION: &str = "minato.dev/allow";

/// What a comment says.
const PRAGMA: &str = "minato: allow";

/// All that is allowed.
pub(crate) struct Allowances {
    everywhere: Vec<String>,
    lines: Vec<AllowedLines>,
}

/// A comment's reach.
struct AllowedLines {
    file: Arc<SourceFile>,
    code: String,
    first: usize,
    last: usize,
}

impl Allowances {
    /// Reads every place that may allow something, and reports names that are no rules.
    pub(crate) fn collect(input: &Input<'_>) -> (Allowances, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let mut allowances = Allowances { everywhere: input.allowed.to_vec(), lines: Vec::new() };
        let unknown = input.allowed.iter().filter(|code| is_unknown(code));
        diagnostics.extend(unknown.map(|code| unknown_rule(code)));
        for build in input.builds {
            allowances.read_comments(build.file, Some(build), &mut diagnostics);
        }
        let mut seen: Vec<&Path> = Vec::new();
        for object in input.objects {
            diagnostics.extend(annotated(object).filter(|code| is_unknown(code)).map(|code| {
                let pointer = "/metadata/annotations/minato.dev~1allow";
                let finding = unknown_rule(code);
                let placed = object.diagnostic(finding.severity, finding.code, finding.message, pointer);
                Diagnostic { hint: finding.hint, ..placed }
            }));
            if let Some(origin) = object.origin().filter(|origin| !seen.contains(&origin.file.path())) {
                seen.push(origin.file.path());
                allowances.read_comments(&origin.file, None, &mut diagnostics);
            }
        }
        (allowances, diagnostics)
    }

    /// Whether a rule does not count at all.
    pub(crate) fn everywhere(&self, code: &str) -> bool {
        self.everywhere.iter().any(|it| means(it, code))
    }

    /// Whether an object's annotation allows a rule for it.
    pub(crate) fn annotated(&self, object: &Object, rule: &Rule) -> bool {
        annotated(object).any(|code| code == rule.code)
    }

    /// Whether a comment allows this finding.
    pub(crate) fn covers(&self, diagnostic: &Diagnostic) -> bool {
        let Some(location) = &diagnostic.location else { return false };
        let line = location.position().line;
        self.lines.iter().any(|allowed| {
            means(&allowed.code, &diagnostic.code)
                && allowed.file.path() == location.file.path()
                && (allowed.first..=allowed.last).contains(&line)
        })
    }

    fn read_comments(
        &mut self,
        file: &Arc<SourceFile>,
        build: Option<&Build<'_>>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let mut start = 0;
        for (index, line) in file.text().split_inclusive('\n').enumerate() {
            if let Some(comment) = Comment::read(line, build.is_some()) {
                let (first, last) = reach(file, build.map(|it| it.dockerfile), index + 1, comment.alone);
                for (at, code) in comment.codes {
                    if is_unknown(code) {
                        let span = Span::new(start + at, start + at + code.len());
                        diagnostics.push(unknown_rule(code).at(file, span));
                    }
                    self.lines.push(AllowedLines {
                        file: Arc::clone(file),
                        code: code.to_owned(),
                        first,
                        last,
                    });
                }
            }
            start += line.len();
        }
    }
}

/// Whether allowing one rule allows another: a secret is a secret, whoever tells.
fn means(allowed: &str, code: &str) -> bool {
    allowed == code || (allowed == "plain-secret" && code == "SecretsUsedInArgOrEnv")
}

/// The codes in an object's annotation.
fn annotated(object: &Object) -> impl Iterator<Item = &str> {
    let text = object.annotations().get(ANNOTATION).copied().unwrap_or("");
    split(text, 0).into_iter().map(|(_, code)| code)
}

/// `# minato: allow CODE, CODE -- reason`
struct Comment<'a> {
    /// Nothing stands before it on the line.
    alone: bool,
    /// With the places in the line.
    codes: Vec<(usize, &'a str)>,
}

impl<'a> Comment<'a> {
    /// In a Dockerfile a `#` behind other text starts no comment, and `//` never does.
    fn read(line: &'a str, dockerfile: bool) -> Option<Comment<'a>> {
        let at = line.find(PRAGMA)?;
        let before = line[..at].trim_end();
        let text = before.strip_suffix('#').or_else(|| before.strip_suffix("//").filter(|_| !dockerfile))?;
        let alone = text.trim().is_empty();
        let codes = &line[at + PRAGMA.len()..];
        // What follows two dashes is the reason.
        let codes = codes.split_once("--").map_or(codes, |(codes, _)| codes);
        (alone || !dockerfile).then(|| Comment { alone, codes: split(codes, at + PRAGMA.len()) })
    }
}

/// The lines that a comment is about: its own, or, when it stands alone, the next one that is no comment. In a Dockerfile
/// that is the whole instruction.
fn reach(file: &SourceFile, dockerfile: Option<&Dockerfile>, line: usize, alone: bool) -> (usize, usize) {
    if !alone {
        return (line, line);
    }
    let is_comment = |line: &usize| {
        let text = file.line(*line).trim_start();
        text.starts_with('#') || text.starts_with("//")
    };
    let next = (line + 1..=file.line_count()).find(|line| !is_comment(line)).unwrap_or(line);
    let spans = dockerfile.into_iter().flat_map(statement_spans);
    let lines = spans.map(|span| (file.position(span.start).line, file.position(span.end).line));
    lines.into_iter().find(|(first, _)| *first == next).unwrap_or((next, next))
}

fn statement_spans(dockerfile: &Dockerfile) -> Vec<Span> {
    let args = dockerfile.global_args.iter().map(|arg| arg.span);
    let stages = dockerfile.stages.iter().flat_map(|stage| {
        std::iter::once(stage.from.span).chain(stage.instructions.iter().map(|statement| statement.span))
    });
    args.chain(stages).collect()
}

/// The codes in a list, each with its place, where the list starts at `at`.
fn split(codes: &str, mut at: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for code in codes.split([',', ' ', '\t', '\r', '\n']) {
        if !code.is_empty() {
            found.push((at, code));
        }
        at += code.len() + 1;
    }
    found
}

fn is_unknown(code: &str) -> bool {
    codes().all(|it| it != code)
}

fn codes() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.code).chain(BUILD_CHECKS.iter().map(|check| check.name))
}

fn unknown_rule(code: &str) -> Diagnostic {
    let shown: String = code.chars().take(40).collect();
    let message = format!("there is no rule '{shown}' to allow");
    let hint = match nearest(code, codes()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("the rules are {}", codes().collect::<Vec<_>>().join(", ")),
    };
    Diagnostic::without_location(Severity::Warning, "unknown-rule", message).with_hint(hint)
}
