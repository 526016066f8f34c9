//! Dockerfiles built by Minato and by a reference give the same image: each file's type, mode, owner, link target, hard
//! links, capability and content, and the whole config with its history. What differs by design is left out: times, and
//! the digests that contain them.
//!
//! The reference is a current `BuildKit` (`tools/reference-buildkit`); docker makes the base images and lends its runc.
//!
//! A case of `testdata/` is a folder: `Dockerfile`, `context/`, and if needed `prepare` (a shell script run in a copy of
//! the context, for what Git does not keep), `arguments` (`--build-arg`, one a line), `target`, `capabilities` (paths that
//! get the extended attribute), `Dockerfile.dockerignore`. Those of `flags/` are every flag of every instruction and its
//! edges; see `sections.rs`. A case that differs says why.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)] // A test program with a main of its own.

mod buildkit;
mod cases;
mod docker;
mod image;
mod minato;
mod sections;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use buildkit::BuildKit;
use cases::Case;
use docker::Docker;
use minato::Minato;
use minato_oci::Image;

fn main() -> ExitCode {
    // A step's shim is this program again.
    minato_runtime::reexec();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let filter = words.iter().find(|word| !word.starts_with('-'));
    let folder =
        tempfile::Builder::new().prefix("minato-build-").tempdir_in(fast_folder()).expect("a folder");
    let mut cases = Case::all();
    cases.extend(sections::cases(&folder.path().join("flags")));
    cases.retain(|case| filter.is_none_or(|filter| case.name.contains(filter.as_str())));
    if words.iter().any(|word| word == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let minato = Minato::new(folder.path());
    let bases = Docker::start(&folder.path().join("docker"))
        .map(|docker| image::make_bases(&docker, &minato, &folder.path().join("bases")));
    let buildkit = bases.and_then(|bases| BuildKit::start(&folder.path().join("buildkit"), bases));
    let failed = match buildkit {
        Ok(buildkit) => cases.iter().filter(|case| !run(case, &buildkit, &minato, folder.path())).count(),
        Err(missing) => {
            cases.iter().for_each(|case| eprintln!("SKIPPED {}: {missing}", case.name));
            0
        }
    };
    report(cases.len() - failed, failed)
}

/// The line that `./test` counts; a skipped test is among the passed ones, as in the standard runner.
fn report(passed: usize, failed: usize) -> ExitCode {
    let (word, code) = if failed == 0 { ("ok", ExitCode::SUCCESS) } else { ("FAILED", ExitCode::from(101)) };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored");
    code
}

fn run(case: &Case, reference: &BuildKit, minato: &Minato, folder: &Path) -> bool {
    let context = case.prepare(&folder.join("contexts"));
    let (expected, found) = (reference.build(case, &context), minato.build(case, &context));
    let problems = if case.is_refused() {
        let built = [("the reference", expected.is_ok()), ("minato", found.is_ok())];
        built.iter().filter(|(_, built)| *built).map(|(who, _)| format!("{who} builds it")).collect()
    } else {
        let differences = compare(minato, expected, found);
        match (case.differs(), differences.is_empty()) {
            (None, _) => differences,
            (Some(_), false) => Vec::new(),
            (Some(reason), true) => vec![format!("no longer differs: {reason}")],
        }
    };
    println!("test {} ... {}", case.name, if problems.is_empty() { "ok" } else { "FAILED" });
    problems.iter().take(40).for_each(|problem| println!("    {problem}"));
    problems.is_empty()
}

fn compare(minato: &Minato, expected: Result<PathBuf, String>, found: Result<Image, String>) -> Vec<String> {
    let (expected, found) = match (expected, found) {
        (Ok(expected), Ok(found)) => (minato.import(&expected), found),
        (expected, found) => {
            let errors = [("reference", expected.err()), ("minato", found.err())];
            return errors
                .into_iter()
                .filter_map(|(who, error)| Some(format!("{who}: {}", error?)))
                .collect();
        }
    };
    let mut differences = image::config_differences(&expected.config, &found.config);
    let (expected, found) = (minato.mount(&expected), minato.mount(&found));
    differences.extend(tree::differences(expected.path(), found.path()));
    differences
}

/// Memory where there is some: the disk would be most of the test's time.
fn fast_folder() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}
