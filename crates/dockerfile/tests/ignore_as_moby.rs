//! `.dockerignore` leaves out what moby's `patternmatcher` leaves out, for every case in testdata/ignore.

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;

use minato_dockerfile::ignore::{Ignore, Matched};
use minato_resource::SourceFile;
use serde_json::Value;

/// The oracle's `tree`: folders end in a slash and stand before their content.
const TREE: [&str; 35] = [
    "a",
    "ab",
    "b/",
    "b/a",
    "b/c/",
    "b/c/a",
    "b/c/x.md",
    "README.md",
    "README-secret.md",
    "docs/",
    "docs/README.md",
    "docs/img/",
    "docs/img/a.png",
    ".git/",
    ".git/HEAD",
    ".env",
    "node_modules/",
    "node_modules/x/",
    "node_modules/x/index.js",
    "src/",
    "src/main.rs",
    "src/a b.txt",
    "src/x[1].txt",
    "src/é.txt",
    "target/",
    "target/debug/",
    "target/debug/app",
    "x.md",
    "src/deep/",
    "src/deep/er/",
    "src/deep/er/a",
    "src/deep/er/x.md",
    "#hash",
    "!bang",
    "*star",
];

fn cases() -> Vec<Value> {
    let cases: Vec<Value> = include_str!("../testdata/ignore/expected.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.len() > 500, "the cases are missing");
    cases
}

#[test]
fn every_case_excludes_the_same_paths_as_in_moby() {
    let wrong: Vec<String> = cases().iter().filter_map(difference).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn difference(case: &Value) -> Option<String> {
    let text = case["text"].as_str().unwrap();
    let (ignore, diagnostics) = Ignore::parse(&Arc::new(SourceFile::new(".dockerignore", text)));
    let refused = diagnostics.first().map(ToString::to_string);
    if let Some(error) = case["error"].as_str() {
        return refused.is_none().then(|| format!("{text:?} is taken, moby refuses it: {error}"));
    }
    let ours = walk(&ignore);
    let theirs: Vec<&str> =
        case["excluded"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    (refused.is_some() || ours != theirs)
        .then(|| format!("{text:?}\n  ours   {ours:?} {refused:?}\n  theirs {theirs:?}"))
}

/// The excluded paths of the tree, and on the way: one path alone gives the same answer, and a folder that may
/// be skipped has nothing in it that stays.
fn walk(ignore: &Ignore) -> Vec<&'static str> {
    let mut folders = BTreeMap::from([("", Matched::root())]);
    let mut skipped: Vec<&str> = Vec::new();
    let mut excluded = Vec::new();
    for entry in TREE {
        let path = entry.trim_end_matches('/');
        let parent = &folders[path.rsplit_once('/').map_or("", |(parent, _)| parent)];
        let matched = ignore.enter(parent, path);
        assert_eq!(matched.is_excluded(), ignore.is_excluded(path), "{path} in {ignore:?}");
        if matched.is_excluded() {
            excluded.push(path);
        } else if let Some(folder) = skipped.iter().find(|folder| entry.starts_with(**folder)) {
            panic!("{folder} was skipped, but {path} stays in {ignore:?}");
        }
        if entry.ends_with('/') {
            if ignore.may_skip_folder(&matched, path) {
                skipped.push(entry);
            }
            folders.insert(path, matched);
        }
    }
    excluded
}

#[test]
fn a_folder_is_skipped_unless_an_exception_reaches_into_it() {
    let check = |text: &str, folder: &str, expected: bool| {
        let (ignore, _) = Ignore::parse(&Arc::new(SourceFile::new(".dockerignore", text)));
        let matched = ignore.enter(&Matched::root(), folder);
        assert_eq!(ignore.may_skip_folder(&matched, folder), expected, "{folder} with {text:?}");
    };
    check("docs", "docs", true);
    check("docs", "src", false);
    check("docs\n!src", "docs", true);
    check("docs\n!docs/keep.md", "docs", false);
    check("docs\n!docs-too/keep.md", "docs", true);
    check("docs\n!*/keep.md", "docs", false);
    check("docs\n!**/keep.md", "docs", false);
    check("!docs/keep.md\ndocs", "docs", true);
    // moby does not ask the last pattern for a folder that is excluded already, so the exception stands.
    check("*\n!docs/a/*\ndocs", "docs", false);
    check("docs/**\n!docs/a", "docs", false);
}

#[test]
fn a_wrong_pattern_is_reported_at_its_place() {
    let text = "a\n  [b  \n!\n";
    let (ignore, diagnostics) = Ignore::parse(&Arc::new(SourceFile::new(".dockerignore", text)));
    let shown: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            ".dockerignore:2:3: error[bad-ignore-pattern]: the pattern '[b' can't be read: a '[' is not closed",
            ".dockerignore:3:1: error[bad-ignore-pattern]: '!' needs a pattern behind it; write '!path' to take back \
             an exclusion",
        ]
    );
    assert!(ignore.is_excluded("a"), "the other patterns still count");
}
