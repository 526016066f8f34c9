//! Resources of Kustomize are typed as Kustomize types them (see `oracle/kustomize`).

#![allow(clippy::unwrap_used, reason = "a case that cannot be answered fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod oracle;

use std::path::Path;
use std::sync::Arc;

use minato_resource::SourceFile;
use minato_resource::document::{Dialect, read_yaml_as};
use oracle::Oracle;
use serde_json::{Value, json};

const HEAD: &str = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n";

/// Where Minato answers otherwise, on purpose: the case and why.
const DIFFERENT: &[(&str, &str)] = &[
    (r#""<<""#, "a quoted key is text; Kustomize loses the entry"),
    ("'<<'", "the same"),
    ("!", "a tag without a name makes text of what it stands before"),
    ("! 12", "the same"),
    ("!!binary /w==", "bytes that are not text would silently become U+FFFD"),
    ("!!timestamp 2001-01-01", "kubectl reads it as it is written"),
];

#[test]
fn scalars() {
    check("scalars", "scalars.txt", |text| format!("{HEAD}v: {text}\n"));
}

#[test]
fn keys() {
    check("keys", "keys.txt", |text| format!("{HEAD}v:\n  {text}: 1\n"));
}

#[test]
fn documents() {
    let Some(mut oracle) = Oracle::start("kustomize", "documents") else { return };
    let wrong: Vec<String> = [
        "v: {a: , b: , c: [1, ]}\n",
        "v: {a, b: ~}\n",
        "v: [{a: }, {b: !!str }]\n",
        "v: &a {x: 1}\nw: {<<: *a, x: 2, y: 3}\n",
        "v: &a {x: 1}\nw: {x: 2, <<: *a}\n",
        "v: &a {x: 1, y: 2}\nw: &b {x: 3, z: 4}\nu:\n  <<: [*a, *b]\n  z: 5\n",
        "v: &a\n  x: 1\nw:\n  <<: *a\n  x: 2\nu: *a\n",
        "v: \"a\\/b\"\n",
        "v: \"a\\\\/b\"\n",
        "v: {a: 1, a: 2}\n",
        "v: a\nv: b\n",
        "v: |\n  a\n  b\n\nw: >-\n  a\n  b\n",
        "5: x\n",
        "true: x\n",
        "v:\n  ? a\n  : 1\n",
        "v: *nothing\n",
        "v: .inf\n",
        "v: !!set {a, b}\n",
        "v: 9223372036854775807.0\nw: 12345678901234567890.0\n",
        "v: \"\\ud83d\\ude00\"\n",
    ]
    .iter()
    .filter_map(|text| difference(&mut oracle, text, &format!("{HEAD}{text}")))
    .collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(name: &str, file: &str, document: impl Fn(&str) -> String) {
    let Some(mut oracle) = Oracle::start("kustomize", name) else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/yaml");
    let cases = std::fs::read_to_string(folder.join(file)).unwrap();
    let wrong: Vec<String> =
        cases.lines().filter_map(|text| difference(&mut oracle, text, &document(text))).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.lines().count(), wrong.join("\n"));
}

fn difference(oracle: &mut Oracle, name: &str, text: &str) -> Option<String> {
    if DIFFERENT.iter().any(|(case, _)| *case == name) {
        return None;
    }
    let theirs = oracle.ask(&json!({"read": text}));
    let (documents, diagnostics) =
        read_yaml_as(&Arc::new(SourceFile::new("case.yaml", text)), Dialect::Kustomize);
    let errors: Vec<String> =
        diagnostics.iter().filter(|found| found.is_error()).map(ToString::to_string).collect();
    let ours = documents.first().map_or(Value::Null, |node| node.to_value());
    let same = match &theirs {
        Err(_) => !errors.is_empty(),
        Ok(theirs) => {
            let theirs: Value = serde_json::from_str(theirs.lines().next().unwrap_or("null")).unwrap();
            errors.is_empty() && equal(&ours, &theirs)
        }
    };
    (!same).then(|| format!("{name:?}: ours {} {errors:?}, Kustomize's {theirs:?}", ours["v"]))
}

/// Equal as JSON: the spelling of numbers does not count.
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
