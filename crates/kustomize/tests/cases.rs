//! Every case of `testdata` is rendered as `kubectl kustomize` rendered it (`oracle/kustomizations`), or refused as it
//! was refused.

#![allow(clippy::unwrap_used, reason = "a case that cannot be read fails the test")]

use std::path::Path;

use minato_kustomize::{FilePath, MemoryFiles, build};
use minato_resource::{Diagnostic, Object, emit};

/// Cases where we answer otherwise, on purpose: the case and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("resources/duplicate-field", "the first of the two would silently be lost"),
    ("labels/key-like-boolean", "Kustomize cannot read what it wrote itself; the label is right"),
];

#[test]
fn every_case_is_rendered_as_kubectl_renders_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut cases = Vec::new();
    for feature in std::fs::read_dir(&root).unwrap() {
        cases.extend(std::fs::read_dir(feature.unwrap().path()).unwrap().map(|case| case.unwrap().path()));
    }
    cases.sort();
    assert!(cases.len() >= 250, "there are only {} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| difference(&root, case)).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// One case: its files, and what kubectl prints; nothing when kubectl refuses.
struct Case {
    files: Vec<(String, String)>,
    expected: Option<String>,
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        let mut parts: Vec<(String, String)> = Vec::new();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("-- ").and_then(|line| line.strip_suffix(" --\n")) {
                Some(name) => parts.push((name.to_owned(), String::new())),
                None => parts.iter_mut().last().into_iter().for_each(|(_, content)| content.push_str(line)),
            }
        }
        let answer = parts.pop().unwrap();
        assert!(matches!(answer.0.as_str(), "expected" | "refused"), "{}: no answer", path.display());
        Case { files: parts, expected: (answer.0 == "expected").then_some(answer.1) }
    }

    fn render(&self) -> Result<String, String> {
        let files = MemoryFiles::new(self.files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
        let overlay = self.files.iter().any(|(path, _)| path.starts_with("overlay/"));
        let start = FilePath::parse(if overlay { "overlay" } else { "" }).unwrap();
        let (objects, diagnostics) = build(&files, &start);
        let errors: Vec<String> =
            diagnostics.iter().filter(|found| found.is_error()).map(Diagnostic::to_string).collect();
        match errors.is_empty() {
            true => Ok(emit::to_yaml_documents(objects.iter().map(Object::value))),
            false => Err(errors.join("; ")),
        }
    }
}

/// What differs in one case, if anything.
fn difference(root: &Path, path: &Path) -> Option<String> {
    let case = Case::read(path);
    let name = path.strip_prefix(root).unwrap().with_extension("").display().to_string();
    let found = match (case.render(), &case.expected) {
        (Err(_), None) => None,
        (Err(error), Some(_)) => Some(format!("{name}: refused, and kubectl renders it: {error}")),
        (Ok(_), None) => Some(format!("{name}: rendered, and kubectl refuses it")),
        (Ok(found), Some(expected)) => {
            (found != *expected).then(|| format!("{name}:\n{}", first_difference(&found, expected)))
        }
    };
    match (found, DIFFERENT.iter().any(|(case, _)| *case == name)) {
        (Some(_), true) => None,
        (None, true) => Some(format!("{name} no longer differs: take it off the list")),
        (found, false) => found,
    }
}

/// The first lines that differ.
fn first_difference(found: &str, expected: &str) -> String {
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.lines().collect(), expected.lines().collect());
    let same = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
    let part = |lines: &[&str]| {
        let from = same.saturating_sub(3).min(lines.len());
        lines[from..lines.len().min(same + 5)].join("\n    ")
    };
    format!("  ours, line {}:\n    {}\n  kubectl's:\n    {}", same + 1, part(&found), part(&expected))
}
