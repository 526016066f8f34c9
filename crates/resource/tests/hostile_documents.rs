//! Documents made to exhaust the reader are refused, quickly and with a place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use minato_resource::SourceFile;
use minato_resource::document::{Comments, MAX_DEPTH, read_json, read_yaml};

/// The first diagnostic; the reader must not take long for it.
fn first(text: &str) -> String {
    let start = Instant::now();
    let (_, diagnostics) = read_yaml(&Arc::new(SourceFile::new("a.yaml", text)));
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    diagnostics.first().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn aliases_of_aliases_are_bounded() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let previous = level - 1;
        let aliases = vec![format!("*a{previous}"); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(
        first(&text).contains("error[yaml-alias]: aliases make this file larger than 16 MiB"),
        "{}",
        first(&text)
    );
}

#[test]
fn one_large_text_named_often_is_bounded() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 10_000].join(","));
    assert!(first(&text).contains("yaml-alias"));
}

#[test]
fn merges_are_bounded_too() {
    let mut text = "a0: &a0 {x: 1}\n".to_owned();
    for level in 1..2000 {
        let previous = level - 1;
        text.push_str(&format!("a{level}: &a{level} {{<<: *a{previous}, k{level}: 1}}\n"));
    }
    assert!(first(&text).contains("yaml-alias"));
}

#[test]
fn depth_is_bounded() {
    let deep = |depth: usize| format!("a: {}{}\n", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(first(&deep(MAX_DEPTH)), "");
    assert!(first(&deep(MAX_DEPTH + 1)).contains("document-depth"));
    assert!(first(&"[".repeat(1_000_000)).contains("document-depth"));
    assert!(first(&"- ".repeat(100_000)).contains("document-depth"));
    assert!(first(&"{a: ".repeat(100_000)).contains("document-depth"));
    assert!(first(&"? ".repeat(100_000)).contains("document-depth"));
}

#[test]
fn depth_through_aliases_is_bounded() {
    let mut text = "a0: &a0 [1]\n".to_owned();
    for level in 1..MAX_DEPTH + 1 {
        let previous = level - 1;
        text.push_str(&format!("a{level}: &a{level} [*a{previous}]\n"));
    }
    assert!(first(&text).contains("document-depth"), "{}", first(&text));
}

#[test]
fn aliases_that_cannot_be_are_refused() {
    assert_eq!(
        first("a: *b\n"),
        "a.yaml:1:4: error[yaml-alias]: `*b` names no anchor above it in this document"
    );
    assert_eq!(first("a: &a [*a]\n"), "a.yaml:1:8: error[yaml-alias]: `*a` stands inside the value it names");
    assert_eq!(
        first("a: &a 1\n---\nb: *a\n"),
        "a.yaml:3:4: error[yaml-alias]: `*a` names no anchor above it in this document"
    );
}

#[test]
fn many_keys_and_many_documents_are_read_in_time() {
    let keys: String = (0..200_000).map(|index| format!("k{index}: {index}\n")).collect();
    assert_eq!(first(&keys), "");
    assert_eq!(first(&"---\n".repeat(200_000)), "");
}

#[test]
fn texts_on_which_the_parser_fails_are_refused() {
    for text in ["a: \"\\", "a: [!t, b]\n"] {
        assert!(first(text).contains("error[yaml-syntax]: this cannot be read as YAML"), "{}", first(text));
    }
}

#[test]
fn json_is_bounded_as_well() {
    let first = |text: &str| {
        let (_, diagnostics) = read_json(&Arc::new(SourceFile::new("a.json", text)), Comments::Allowed);
        diagnostics.first().map(ToString::to_string).unwrap_or_default()
    };
    assert!(first(&"[".repeat(1_000_000)).contains("document-depth"));
    assert!(first(&"{\"a\":".repeat(1_000_000)).contains("document-depth"));
    assert_eq!(
        first("{\"a\": 1, \"a\": 2}"),
        "a.json:1:10: error[duplicate-key]: the key `a` appears twice in this mapping"
    );
    assert_eq!(first("[1,]"), "a.json:1:4: error[json-syntax]: expected a value, found `]`");
    assert_eq!(first("[1 /* "), "a.json:1:4: error[json-syntax]: this comment has no closing `*/`");
    assert_eq!(first("/*/"), "a.json:1:1: error[json-syntax]: this comment has no closing `*/`");
    assert_eq!(
        first("\"\\ud800\""),
        "a.json:1:2: error[json-syntax]: `\\u` does not start an escape of JSON"
    );
    assert_eq!(first("01"), "a.json:1:1: error[json-syntax]: `01` is not a number of JSON");
    assert_eq!(first("1e999"), "a.json:1:1: error[json-syntax]: `1e999` is too large for a number");
    assert_eq!(
        first("{'a': 1}"),
        "a.json:1:2: error[json-syntax]: expected a key in double quotes, found `'`"
    );
    assert_eq!(
        first("[nul]"),
        "a.json:1:2: error[json-syntax]: expected a value, found `nul`; text needs double quotes"
    );
    assert_eq!(
        first("\"a\nb\""),
        "a.json:1:1: error[json-syntax]: a line break or control character must be written as an escape"
    );
    assert_eq!(first("// only a comment"), "");
    assert_eq!(first("{\"a\": 1} // x\n/* y */ [2, 3.0, -0, 1E2]"), "");
}
