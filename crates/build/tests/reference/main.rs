//! Every Dockerfile of `testdata/` is built by Minato and by the `BuildKit` in Debian's docker.io 26.1.5, and the two
//! images must be the same: each file's type, mode, owner, link target, hard links, capability and content, and the
//! whole config. What differs by design is left out: times, and the digests that contain them.
//!
//! A case is a folder: `Dockerfile`, `context/`, and if needed `prepare` (a shell script run in a copy of the context,
//! for what Git does not keep), `arguments` (`--build-arg`, one a line), `target`, `capabilities` (paths that get the
//! extended attribute), `Dockerfile.dockerignore`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)] // A test program with a main of its own.

mod cases;
mod docker;
mod image;
mod minato;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use cases::Case;
use docker::Docker;
use minato::Minato;

fn main() -> ExitCode {
    // A step's shim is this program again.
    minato_runtime::reexec();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let filter = words.iter().find(|word| !word.starts_with('-'));
    let cases = Case::all();
    let chosen: Vec<&Case> =
        cases.iter().filter(|case| filter.is_none_or(|filter| case.name.contains(filter.as_str()))).collect();
    if words.iter().any(|word| word == "--list") {
        chosen.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let folder =
        tempfile::Builder::new().prefix("minato-build-").tempdir_in(fast_folder()).expect("a folder");
    let docker = match Docker::start(&folder.path().join("docker")) {
        Ok(docker) => docker,
        Err(missing) => {
            chosen.iter().for_each(|case| eprintln!("SKIPPED {}: {missing}", case.name));
            return report(chosen.len(), 0);
        }
    };
    let minato = Minato::new(folder.path());
    image::make_bases(&docker, &minato, &folder.path().join("bases"));
    let failed = chosen.iter().filter(|case| !run(case, &docker, &minato, folder.path())).count();
    report(chosen.len() - failed, failed)
}

/// The line that `./test` counts; a skipped test is among the passed ones, as in the standard runner.
fn report(passed: usize, failed: usize) -> ExitCode {
    let (word, code) = if failed == 0 { ("ok", ExitCode::SUCCESS) } else { ("FAILED", ExitCode::from(101)) };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored");
    code
}

fn run(case: &Case, docker: &Docker, minato: &Minato, folder: &Path) -> bool {
    let context = case.prepare(&folder.join("contexts"));
    let differences = compare(case, docker, minato, &context);
    println!("test {} ... {}", case.name, if differences.is_empty() { "ok" } else { "FAILED" });
    differences.iter().take(40).for_each(|difference| println!("    {difference}"));
    differences.is_empty()
}

fn compare(case: &Case, docker: &Docker, minato: &Minato, context: &Path) -> Vec<String> {
    let expected = match docker.build(case, context) {
        Ok(image) => image,
        Err(error) => return vec![format!("docker: {error}")],
    };
    let expected = minato.import(&docker.save(&expected));
    let found = match minato.build(case, context) {
        Ok(image) => image,
        Err(error) => return vec![format!("minato: {error}")],
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
