//! Expansion gives what `BuildKit` gives, for every case in testdata/expand (see oracle/dockerfile).

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use minato_dockerfile::{Word, expand, expand_text, expand_words};
use serde_json::Value;

/// The environment of the oracle's `expandEnv`.
fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "A" => "a",
        "B" => "bb",
        "EMPTY" => "",
        "PATH" => "/usr/bin:/bin",
        "FILE" => "a.tar.gz",
        "WORDS" => "one two  three",
        "STAR" => "a*b",
        "DOLLAR" => "$0-$$-$A",
        "SLASH" => "a/b/c",
        "QUOTE" => "\"it's\"",
        "BACK" => "a\\b",
        "UNICODE" => "äöü",
        "LINES" => "one\ntwo",
        "VERSION" => "1.2.3-rc1",
        "X" => "aaa",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn every_case_expands_as_in_buildkit() {
    let cases: Vec<Value> = include_str!("../testdata/expand/expected.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.len() > 1000, "the cases are missing");
    let wrong: Vec<String> = cases.iter().filter_map(difference).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn difference(case: &Value) -> Option<String> {
    let text = case["word"].as_str().unwrap();
    let escape = case["escape"].as_str().unwrap().chars().next().unwrap();
    let word = Word { raw: text.to_owned(), span: (0..text.len()).into() };
    let result = expand(&word, escape, &lookup);
    let mut ours = serde_json::json!({"result": result.as_ref().ok()});
    let mut theirs = serde_json::json!({"result": case["result"]});
    // Without words the case has none to compare: a split that found nothing is left out by the oracle too.
    if result.is_ok() && !text.contains("${") {
        ours["words"] = expand_words(&word, escape, &lookup).unwrap().into();
        theirs["words"] = case.get("words").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    }
    if escape == '\\' {
        ours["text"] = expand_text(text, &lookup).ok().into();
        theirs["text"] = case.get("text").cloned().unwrap_or(Value::Null);
    }
    (ours != theirs)
        .then(|| format!("{escape} {text:?}\n  ours   {ours}\n  theirs {theirs} {}", case["error"]))
}
