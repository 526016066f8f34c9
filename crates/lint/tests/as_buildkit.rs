//! The build checks name the rules and the lines that BuildKit's own linter does.
//!
//! `testdata/as-buildkit/expected.jsonl` is what BuildKit 0.34 says of the cases in `cases.txt` and of some hundred random
//! Dockerfiles (`oracle/buildkit/regenerate`). A finding here underlines a word; it must lie in the instruction that
//! BuildKit names. Nothing differs.

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use minato_dockerfile::Dockerfile;
use minato_dockerfile::ignore::Ignore;
use minato_lint::{BUILD_CHECKS, BaseImage, BaseImages, Build, CheckedStages, build_checks};
use minato_resource::{Diagnostic, SourceFile};
use serde_json::Value;

/// What the oracle says of base images.
#[derive(Debug)]
struct Bases;

impl BaseImages for Bases {
    fn base_image(&self, image: &str) -> Option<BaseImage> {
        let environment = [("PATH", "/bin"), ("BASE_VERSION", "1")];
        let architecture = if image.contains("arm") { "arm64" } else { "amd64" };
        Some(BaseImage {
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            platform: Some(format!("linux/{architecture}").parse().unwrap()),
            has_shell: image.contains("shell"),
        })
    }
}

/// Rule, and the first line of the instruction.
type Findings = BTreeSet<(String, usize)>;

struct Case {
    title: String,
    file: Arc<SourceFile>,
    dockerfile: Dockerfile,
    value: Value,
}

impl Case {
    fn read(line: &str) -> Case {
        let value: Value = serde_json::from_str(line).unwrap();
        let file = Arc::new(SourceFile::new("Dockerfile", value["text"].as_str().unwrap()));
        let (dockerfile, _) = minato_dockerfile::parse(&file);
        Case { title: value["title"].as_str().unwrap().to_owned(), file, dockerfile, value }
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        let ignore = self.value["ignore"].as_str().unwrap_or("");
        let (ignore, _) = Ignore::parse(&Arc::new(SourceFile::new(".dockerignore", ignore)));
        let arguments = self.value["arguments"].as_object().into_iter().flatten();
        let build = Build {
            target: self.value["target"].as_str(),
            arguments: arguments
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            ignore: Some(&ignore),
            bases: &Bases,
            platform: Some("linux/amd64".parse().unwrap()),
            stages: CheckedStages::All,
            ..Build::new(&self.file, &self.dockerfile)
        };
        build_checks(&build, &[])
    }

    fn found(&self) -> Findings {
        let known = |it: &&Diagnostic| BUILD_CHECKS.iter().any(|check| check.name == it.code);
        let diagnostics = self.diagnostics();
        let found = diagnostics.iter().filter(known);
        found
            .map(|it| (it.code.clone(), self.instruction_at(it.location.as_ref().unwrap().position().line)))
            .collect()
    }

    fn expected(&self) -> Findings {
        let warnings = self.value["warnings"].as_array().unwrap().iter();
        let line = |it: &Value| it["first"].as_u64().and_then(|line| usize::try_from(line).ok()).unwrap();
        warnings.map(|it| (it["rule"].as_str().unwrap().to_owned(), self.instruction_at(line(it)))).collect()
    }

    /// The first line of the instruction that has this line.
    fn instruction_at(&self, line: usize) -> usize {
        let args = self.dockerfile.global_args.iter().map(|it| it.span);
        let stages = self.dockerfile.stages.iter().flat_map(|stage| {
            std::iter::once(stage.from.span).chain(stage.instructions.iter().map(|it| it.span))
        });
        let starts = args.chain(stages).map(|span| self.file.position(span.start).line);
        starts.filter(|start| *start <= line).max().unwrap_or(line)
    }
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/as-buildkit/expected.jsonl");
    std::fs::read_to_string(path).unwrap().lines().map(Case::read).collect()
}

#[test]
fn the_same_rules_at_the_same_instructions() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (found, expected) = (case.found(), case.expected());
        if found != expected {
            let missing: Vec<_> = expected.difference(&found).collect();
            let extra: Vec<_> = found.difference(&expected).collect();
            let error = case.value["error"].as_str().unwrap_or("");
            let text = case.file.text();
            wrong.push(format!("== {}: missing {missing:?}, extra {extra:?} {error}\n{text}", case.title));
        }
    }
    assert!(wrong.is_empty(), "{} of them\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_check_is_found_somewhere() {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases() {
        for (rule, _) in case.expected() {
            *count.entry(rule).or_default() += 1;
        }
    }
    let never: Vec<_> =
        BUILD_CHECKS.iter().filter(|it| !count.contains_key(it.name)).map(|it| it.name).collect();
    assert!(never.is_empty(), "{never:?}");
    let unknown: Vec<_> =
        count.keys().filter(|name| BUILD_CHECKS.iter().all(|it| it.name != **name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn findings_are_errors_where_the_file_says_so() {
    for case in cases().iter().filter(|case| case.title == "error" || case.title == "skip and error") {
        let refused = case.value["error"].as_str().is_some_and(|error| error.contains("lint violation"));
        assert_eq!(case.diagnostics().iter().any(Diagnostic::is_error), refused, "{}", case.title);
    }
}

#[test]
fn options_that_do_not_exist_are_refused() {
    for case in cases().iter().filter(|case| case.title.starts_with("an option")) {
        let diagnostics = case.diagnostics();
        let refused: Vec<_> = diagnostics.iter().filter(|it| it.code == "bad-check-option").collect();
        assert!(refused.len() == 1 && refused[0].is_error(), "{}: {diagnostics:?}", case.title);
        assert_eq!(refused[0].location.as_ref().unwrap().position().line, 1, "{}", case.title);
    }
}
