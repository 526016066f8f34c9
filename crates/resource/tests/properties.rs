//! Whatever the text, reading ends without a panic and every place lies in the file; what is written reads back.

#![allow(clippy::unwrap_used, reason = "a case that cannot be read fails the test")]

use std::sync::Arc;

use minato_resource::document::{Comments, Data, Dialect, Node, read_json, read_yaml, read_yaml_as};
use minato_resource::patch::{JsonPatch, MergeSchema, json_patch, merge_patch, strategic_merge};
use minato_resource::{Diagnostic, SourceFile, emit, parse_yaml};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

/// What YAML and JSON are made of.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "a", "b: ", "- ", "? ", ": ", "\n", "\n  ", "\n    ", "&x ", "*x", "<<: ", "[", "]", "{", "}", ", ",
    "\"", "'", "|", ">", "|-\n", "#", " ", "\t", "---\n", "...\n", "!!int ", "!t ", "%YAML 1.1\n", "\\",
    "\\u00e9", "é", "😀", "\u{feff}", "\u{2028}", "\r\n", "0x1F", "1.5", "yes", "~", "/*", "*/", "//",
    "kind: List\n", "items:\n", "apiVersion: v1\n", "metadata: {name: a}\n", "null", "true", "-", "1e9",
];

/// Texts that a careless writer leaves without quotes.
#[rustfmt::skip]
const TRICKY: &[&str] = &[
    "", "~", "null", "yes", "0777", "1_000", ".inf", "1.0", "1:30", "2001-01-01", "2001-01- \"x", "<<", "=", "- a", "a: b",
    "a #b", "a\nb", "a\n", "\n", "a\n\n", " a\nb", "a\n b\n", "a \nb", "\ta", "#a", "'a'", "\"a\"", "---",
    "...", "a:", "-", "?", "@a", "%a", "`a", "{a", "[a", "*a", "&a", "!a", "|", ">", "\u{85}", "\u{2028}",
    "a\u{feff}",
];

/// Text of those pieces, so that it gets past the first character.
fn document() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(PIECES).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Values as JSON holds them after YAML was read: integral floats are integers.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![document(), prop::sample::select(TRICKY).prop_map(str::to_owned),];
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("finite with a fraction", |value| {
            if value.fract() == 0.0 { None } else { Number::from_f64(value) }
        }),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(Value::Number),
        text.clone().prop_map(Value::String),
    ];
    // kubectl writes the key `<<` without quotes, so it is another thing when it is read.
    let key = text.prop_filter("not a merge", |key| key != "<<");
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn places_lie_in(file: &SourceFile, node: &Node) {
    assert!(node.span.start <= node.span.end && node.span.end <= file.text().len(), "{:?}", node.span);
    assert!(file.text().is_char_boundary(node.span.start) && file.text().is_char_boundary(node.span.end));
    match &node.data {
        Data::Sequence(items) => items.iter().for_each(|item| places_lie_in(file, item)),
        Data::Mapping(entries) => entries.iter().for_each(|entry| {
            assert!(entry.key_span.end <= file.text().len());
            places_lie_in(file, &entry.value);
        }),
        _ => {}
    }
}

fn check(file: &SourceFile, documents: &[Node], diagnostics: &[Diagnostic]) {
    documents.iter().for_each(|document| places_lie_in(file, document));
    for diagnostic in diagnostics {
        let span = diagnostic.location.as_ref().unwrap().span;
        assert!(span.start <= span.end && span.end <= file.text().len(), "{diagnostic} {span:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in document()) {
        let file = Arc::new(SourceFile::new("a.yaml", text));
        let (documents, diagnostics) = read_yaml(&file);
        check(&file, &documents, &diagnostics);
        let (documents, diagnostics) = read_yaml_as(&file, Dialect::Kustomize);
        check(&file, &documents, &diagnostics);
        let (documents, diagnostics) = read_json(&file, Comments::Allowed);
        check(&file, &documents, &diagnostics);
        parse_yaml(&file);
    }

    #[test]
    fn what_is_written_as_yaml_reads_back(value in value()) {
        let text = emit::to_yaml(&value);
        let (documents, diagnostics) = read_yaml(&Arc::new(SourceFile::new("a.yaml", text.clone())));
        prop_assert!(diagnostics.is_empty(), "{text}\n{}", diagnostics[0]);
        prop_assert_eq!(documents[0].to_value(), value, "{}", text);
    }

    #[test]
    fn what_is_written_as_json_reads_back(value in value()) {
        let text = emit::json(&value);
        let (documents, diagnostics) = read_json(&Arc::new(SourceFile::new("a.json", text.clone())), Comments::Refused);
        prop_assert!(diagnostics.is_empty(), "{text}");
        prop_assert_eq!(documents[0].to_value(), value, "{}", text);
    }

    #[test]
    fn any_patch_ends_without_a_panic(target in value(), patch in value(), kind in "Pod|Service|Thing") {
        let named = |value: &Value| {
            let mut object = serde_json::json!({"apiVersion": "v1", "kind": kind, "metadata": value, "spec": value});
            object["spec"] = serde_json::json!({"containers": value, "ports": [value, value]});
            object
        };
        for (target, patch) in [(target.clone(), patch.clone()), (named(&target), named(&patch))] {
            drop(strategic_merge(&mut target.clone(), &patch, MergeSchema::built_in()));
            merge_patch(&mut target.clone(), &patch);
            if let Ok(patch) = JsonPatch::from_value(&patch) {
                drop(json_patch(&mut target.clone(), &patch));
            }
            drop(MergeSchema::from_openapi(&serde_json::json!({"definitions": {"a": patch}})));
        }
    }
}
