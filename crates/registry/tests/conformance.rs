//! The conformance tests of the OCI distribution specification, run against our registry.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and name what they skip"
)]

mod served;

use std::process::Command;

/// What `distribution` 3.1 passes of version 1.1.
const REFERENCE: u32 = 738;

#[test]
fn every_conformance_test_passes() {
    let test = "every_conformance_test_passes";
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/distribution-conformance");
    let fetched = Command::new(tool).arg("fetch").output().unwrap();
    if fetched.status.code() == Some(3) {
        eprintln!("SKIPPED {test}: {}", String::from_utf8_lossy(&fetched.stderr).trim());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let registry = served::Registry::start(folder.path());
    for version in ["1.1", "dev"] {
        let run = Command::new(tool).args(["run", &registry.address.to_string(), version]).output().unwrap();
        let text = String::from_utf8(run.stdout).unwrap();
        let number = |name: &str| -> u32 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
            line.trim().parse().unwrap_or_else(|_| panic!("no number of {name}: {text}"))
        };
        eprintln!("{test}: version {version}: {} passed of {}", number("Pass "), number("Total "));
        assert_eq!((number("FAIL "), number("Error "), number("Skip ")), (0, 0, 0), "{text}");
        assert!(number("Pass ") > REFERENCE, "{text}");
    }
}
