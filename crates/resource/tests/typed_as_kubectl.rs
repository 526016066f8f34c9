//! YAML is typed as kubectl types it: every case was answered by sigs.k8s.io/yaml (see `oracle/yaml`).

#![allow(clippy::unwrap_used, reason = "a case that cannot be read fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minato_resource::SourceFile;
use minato_resource::document::read_yaml;
use serde_json::Value;

/// Where Minato answers otherwise, on purpose: the case and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("scalars/!!binary /w==", "bytes that are not text would silently become U+FFFD"),
    (r#"scalars/"\/""#, "JSON knows this escape, and JSON is YAML"),
    (r#"scalars/"a\/b""#, "the same"),
    (r#"keys/"a\/b""#, "the same"),
    ("documents/json-slash", "the same"),
    ("documents/yaml-slash", "the same"),
    ("keys/9223372036854775808", "a key of 64 unsigned bits has a text like any other number"),
    ("keys/18446744073709551615", "the same"),
    ("documents/directive-12", "files that say YAML 1.2 are common and mean the same to all other readers"),
    ("documents/merge-alias-list", "an alias of a list of mappings is a list of mappings"),
    ("documents/key-int-collision", "`1` and `\"1\"` are one key of an object, so one of them would be lost"),
];

#[test]
fn scalars() {
    check_lines("scalars", |text| format!("v: {text}\n"));
}

#[test]
fn keys() {
    check_lines("keys", |text| format!("{text}: 1\n"));
}

#[test]
fn documents() {
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder().join("documents")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
            let expected = read_value(&path.with_extension("json"));
            let name = format!("documents/{}", path.file_stem().unwrap().display());
            wrong.extend(difference(&name, &text, &expected));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn check_lines(name: &str, document: impl Fn(&str) -> String) {
    let answers = read_value(&folder().join(format!("{name}.json")));
    let answers = answers.as_object().unwrap();
    assert!(answers.len() > 100, "the cases are there");
    let wrong = answers
        .iter()
        .filter_map(|(text, expected)| difference(&format!("{name}/{text}"), &document(text), expected));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}

/// What is wrong with our answer, if anything.
fn difference(name: &str, text: &str, expected: &Value) -> Option<String> {
    let (documents, diagnostics) = read_yaml(&Arc::new(SourceFile::new("case.yaml", text)));
    let errors: Vec<String> =
        diagnostics.iter().filter(|found| found.is_error()).map(ToString::to_string).collect();
    let ours = documents.first().map_or(Value::Null, |node| node.to_value());
    let same = match expected.get("error") {
        Some(_) => !errors.is_empty(),
        None => errors.is_empty() && equal(&ours, expected.get("value").unwrap_or(&Value::Null)),
    };
    let accepted = DIFFERENT.iter().any(|(case, _)| *case == name);
    match (same, accepted) {
        (true, false) | (false, true) => None,
        (true, true) => Some(format!("{name:?} no longer differs: take it off the list")),
        (false, false) => Some(format!("{name:?}: ours {ours} {errors:?}, kubectl's {expected}")),
    }
}

/// Equal as JSON: the order of keys and the spelling of numbers do not count.
fn equal(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours == theirs || ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| equal(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, value)| theirs.get(key).is_some_and(|theirs| equal(value, theirs)))
        }
        _ => ours == theirs,
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/yaml")
}

fn read_value(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
