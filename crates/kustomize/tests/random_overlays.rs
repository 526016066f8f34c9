//! Random overlays over random bases are rendered as `kubectl kustomize` renders them, or both refuse.
//!
//! Every run has a fresh seed and prints it. `MINATO_RANDOM_SEED` runs one again, `MINATO_RANDOM_CASES=5000` runs more of
//! them than the 300 that there are otherwise:
//!
//! ```text
//! MINATO_RANDOM_CASES=5000 cargo test -p minato-kustomize --test random_overlays -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "a case that cannot be written fails the test")]
#![allow(clippy::print_stderr, reason = "the seed and what was skipped are said")]

mod random;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use minato_kustomize::{FilePath, MemoryFiles, build};
use minato_resource::{Diagnostic, Object, emit};
use random::case::Case;

const NAME: &str = "random_kustomizations";

#[test]
fn random_kustomizations() {
    let Some(kubectl) = kubectl() else { return };
    let cases = number("MINATO_RANDOM_CASES").unwrap_or(300);
    let seed = number("MINATO_RANDOM_SEED").unwrap_or_else(fresh_seed);
    eprintln!("{NAME}: {cases} cases, MINATO_RANDOM_SEED={seed}");
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for index in 0..cases {
        let case = Case::new(seed.wrapping_add(index));
        let outcome = Outcome::of(&kubectl, &case);
        tally.count(&case, &outcome);
        if !outcome.is_same() {
            wrong.push(smallest(&kubectl, case));
            if wrong.len() == 3 {
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "seed {seed}\n{}",
        wrong.iter().map(|case| shown(&kubectl, case)).collect::<String>()
    );
    tally.check(cases);
}

/// How often what was asked for.
#[derive(Default)]
struct Tally {
    features: BTreeMap<&'static str, u64>,
    refused: u64,
}

impl Tally {
    fn count(&mut self, case: &Case, outcome: &Outcome) {
        case.features().into_iter().for_each(|feature| *self.features.entry(feature).or_default() += 1);
        if let Err(reason) = &outcome.theirs {
            self.refused += 1;
            // The message's end says why; its start is about paths.
            let start = reason.len().saturating_sub(100);
            eprintln!(
                "{NAME}: refused by kubectl: …{}",
                reason.get(start..).unwrap_or(reason).replace('\n', " ")
            );
        }
    }

    /// Refusals say little, so they must be few; and what is never asked for is never tested.
    fn check(&self, cases: u64) {
        eprintln!("{NAME}: {} of {cases} refused by both", self.refused);
        for (feature, count) in &self.features {
            eprintln!("{NAME}: {:5.1} % {feature}", *count as f64 * 100.0 / cases as f64);
        }
        assert!(self.refused * 10 <= cases, "{} of {cases} cases are refusals", self.refused);
        let rare: Vec<&str> = random::names()
            .filter(|name| self.features.get(name).copied().unwrap_or(0) * 100 < cases * 3)
            .collect();
        // Of few cases, a rare feature may be in too few by chance.
        assert!(rare.is_empty() || cases < 300, "in less than 3 % of the cases: {}", rare.join(", "));
    }
}

/// What both make of a case.
struct Outcome {
    ours: Result<String, String>,
    theirs: Result<String, String>,
}

impl Outcome {
    fn of(kubectl: &Path, case: &Case) -> Outcome {
        let files = case.files();
        Outcome { ours: ours(&files, &case.root()), theirs: theirs(kubectl, &files, &case.root()) }
    }

    fn is_same(&self) -> bool {
        match (&self.ours, &self.theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(_), Err(_)) => true,
            _ => false,
        }
    }
}

fn ours(files: &BTreeMap<String, String>, root: &str) -> Result<String, String> {
    let files = MemoryFiles::new(files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
    let (objects, diagnostics) = build(&files, &FilePath::parse(root).unwrap());
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    match errors.first() {
        Some(error) => Err(error.to_string()),
        None => Ok(emit::to_yaml_documents(objects.iter().map(Object::value))),
    }
}

fn theirs(kubectl: &Path, files: &BTreeMap<String, String>, root: &str) -> Result<String, String> {
    let folder = std::env::temp_dir().join(format!("minato-random-{}", std::process::id()));
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output = Command::new(kubectl).arg("kustomize").arg(folder.join(root)).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Takes away what the difference does not need.
fn smallest(kubectl: &Path, mut case: Case) -> Case {
    while let Some(smaller) = case.smaller().into_iter().find(|case| !Outcome::of(kubectl, case).is_same()) {
        case = smaller;
    }
    case
}

fn shown(kubectl: &Path, case: &Case) -> String {
    let files: String =
        case.files().iter().map(|(path, text)| format!("-- {path} --\n{}\n", text.trim_end())).collect();
    let outcome = Outcome::of(kubectl, case);
    let side = |name: &str, result: &Result<String, String>| match result {
        Ok(text) => format!("-- {name} --\n{text}"),
        Err(error) => format!("-- {name}: refused --\n{error}\n"),
    };
    format!("{files}{}{}==========\n", side("ours", &outcome.ours), side("kubectl", &outcome.theirs))
}

/// The reference, which says itself why it is not there.
fn kubectl() -> Option<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reference-kubectl");
    let output = Command::new(tool).output().unwrap();
    if !output.status.success() {
        eprintln!("SKIPPED {NAME}: no kubectl 1.32: {}", String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}
