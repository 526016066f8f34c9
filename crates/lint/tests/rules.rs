//! Every rule on the cases in testdata/RULE: files in, findings out.
//!
//! A case is one text file: `--- NAME` starts a file, `--- built IMAGE…` names what the Dockerfiles make,
//! `--- allow CODE…` is the caller's list, and `--- expected` ends it with the findings, one a line.
//! `MINATO_UPDATE_EXPECTED=1` writes the findings into the cases, to be read before they are committed.

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minato_dockerfile::Dockerfile;
use minato_lint::{Build, Input, RULES, check};
use minato_resource::{Diagnostic, Object, SourceFile};

#[derive(Default)]
struct Case {
    dockerfiles: Vec<(Arc<SourceFile>, Dockerfile)>,
    objects: Vec<Object>,
    built: Vec<String>,
    allowed: Vec<String>,
    input: String,
    expected: String,
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = std::fs::read_to_string(path).unwrap();
        let (input, expected) = text.split_once("--- expected\n").expect("a case ends with --- expected");
        let mut case = Case { input: input.to_owned(), expected: expected.to_owned(), ..Case::default() };
        for section in format!("\n{input}").split("\n--- ").skip(1) {
            let (title, body) = section.split_once('\n').unwrap_or((section, ""));
            let mut words = title.split(' ').map(str::to_owned);
            match words.next().unwrap().as_str() {
                "built" => case.built.extend(words),
                "allow" => case.allowed.extend(words),
                name => case.add_file(name, &format!("{body}\n")),
            }
        }
        case
    }

    fn add_file(&mut self, name: &str, body: &str) {
        let file = Arc::new(SourceFile::new(name, body));
        let (objects, diagnostics) = match name.rsplit('.').next().unwrap() {
            "yaml" => minato_resource::parse_yaml(&file),
            "json" => minato_task_definition::parse(&file),
            _ => {
                let (dockerfile, diagnostics) = minato_dockerfile::parse(&file);
                self.dockerfiles.push((file, dockerfile));
                (Vec::new(), diagnostics)
            }
        };
        let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|it| it.is_error()).collect();
        assert!(errors.is_empty(), "{name} can't be parsed: {errors:?}");
        self.objects.extend(objects);
    }

    fn findings(&self) -> String {
        let images: Vec<_> = self.built.iter().map(|image| image.parse().unwrap()).collect();
        let build = |(file, dockerfile)| Build { images: images.clone(), ..Build::new(file, dockerfile) };
        let builds: Vec<Build<'_>> =
            self.dockerfiles.iter().map(|(file, parsed)| build((file, parsed))).collect();
        let findings = check(&Input { builds: &builds, objects: &self.objects, allowed: &self.allowed });
        findings.iter().map(|it| format!("{it}\n    {}\n", it.hint.as_deref().unwrap())).collect()
    }
}

fn cases() -> BTreeMap<String, Vec<PathBuf>> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = |folder: &Path| {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
        files.sort();
        files
    };
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    // What BuildKit says is compared by another test.
    let folders = files(&testdata).into_iter().filter(|folder| !folder.ends_with("as-buildkit"));
    folders.map(|folder| (name(&folder), files(&folder))).collect()
}

#[test]
fn every_case_has_the_findings_it_expects() {
    let mut wrong = Vec::new();
    for path in cases().into_values().flatten() {
        let case = Case::read(&path);
        let findings = case.findings();
        if std::env::var_os("MINATO_UPDATE_EXPECTED").is_some() {
            std::fs::write(&path, format!("{}--- expected\n{findings}", case.input)).unwrap();
        } else if findings != case.expected {
            wrong.push(format!("{}\nfound\n{findings}expected\n{}", path.display(), case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_case_that_finds_something_and_one_that_does_not() {
    let cases = cases();
    for rule in RULES {
        let empty = Vec::new();
        let of_rule = cases.get(rule.code).unwrap_or(&empty);
        let finds = |path: &&PathBuf| Case::read(path).expected.contains(&format!("[{}]", rule.code));
        let found = of_rule.iter().filter(finds).count();
        assert!(found > 0 && found < of_rule.len(), "the rule {} needs cases of both kinds", rule.code);
    }
}

#[test]
fn codes_are_short_kebab_case_and_unique() {
    for (index, rule) in RULES.iter().enumerate() {
        let kebab = rule.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(kebab && rule.code.len() <= 20, "{}", rule.code);
        assert!(RULES[..index].iter().all(|other| other.code != rule.code), "{} stands twice", rule.code);
        assert!(!rule.summary.is_empty());
    }
}
