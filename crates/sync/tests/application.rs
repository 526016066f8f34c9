//! Reading Applications: `testdata/application/CASE/input.yaml` → `expected.txt`. With `MINATO_BLESS=1` the expected
//! files are written anew, to be looked at before they are committed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use minato_resource::{SourceFile, parse_yaml};
use minato_sync::Application;

#[test]
fn every_case_is_read_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/application");
    let mut cases = 0;
    for case in fs::read_dir(folder).unwrap() {
        check(&case.unwrap().path());
        cases += 1;
    }
    assert!(cases >= 3);
}

fn check(case: &Path) {
    let text = fs::read_to_string(case.join("input.yaml")).unwrap();
    let (objects, mistakes) = parse_yaml(&Arc::new(SourceFile::new("input.yaml", text)));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let (application, diagnostics) = Application::parse(&objects[0]);
    let mut actual = String::new();
    for diagnostic in diagnostics {
        writeln!(actual, "{diagnostic}").unwrap();
    }
    writeln!(actual, "{application:#?}").unwrap();
    let expected = case.join("expected.txt");
    if std::env::var("MINATO_BLESS").is_ok() {
        fs::write(&expected, &actual).unwrap();
    }
    assert_eq!(actual, fs::read_to_string(&expected).unwrap(), "{}", case.display());
}
