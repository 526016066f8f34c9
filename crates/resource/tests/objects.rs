//! Files become objects, and what is wrong is told at its line.

#![allow(clippy::unwrap_used, reason = "a case that cannot be read fails the test")]

use std::sync::Arc;

use minato_resource::{Object, SourceFile, parse_json, parse_yaml};

/// The keys of the objects, then the diagnostics.
fn read(text: &str) -> Vec<String> {
    let (objects, diagnostics) = parse_yaml(&Arc::new(SourceFile::new("a.yaml", text)));
    let keys = objects.iter().map(|object| object.key().to_string());
    keys.chain(diagnostics.iter().map(ToString::to_string)).collect()
}

#[test]
fn a_file_may_hold_several_documents() {
    let text = "# head\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n# nothing\n---\n\
                apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: b\n  namespace: c\n...\n";
    assert_eq!(read(text), ["Service a", "apps/Deployment c/b"]);
}

#[test]
fn the_items_of_a_list_stand_for_themselves() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\
                - {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: b}}]}\n";
    assert_eq!(read(text), ["Pod a", "Pod b"]);
}

#[test]
fn a_typed_list_says_the_kind_of_its_items() {
    let text = "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- {metadata: {name: a}}\n";
    assert_eq!(read(text), ["apps/Deployment a"]);
}

#[test]
fn a_kind_that_ends_in_list_without_items_is_an_object() {
    assert_eq!(read("apiVersion: x.y/v1\nkind: AllowList\nmetadata: {name: a}\n"), ["x.y/AllowList a"]);
}

#[test]
fn what_is_not_an_object_is_told_and_the_rest_is_read() {
    let text = "kind: Pod\nmetadata: {name: a}\n---\n- 1\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n---\n\
                apiVersion: v1\nkind: Pod\nmetadata: {name: ok}\n";
    assert_eq!(
        read(text),
        [
            "Pod ok",
            "a.yaml:1:1: error[not-an-object]: the object has no `apiVersion` (kind Pod)",
            "a.yaml:4:1: error[not-an-object]: expected an object (a mapping with `apiVersion`, `kind` and \
             `metadata.name`), found a list",
            "a.yaml:8:1: error[not-an-object]: the object has no `metadata.name` (kind Pod)",
        ]
    );
}

#[test]
fn json_in_a_yaml_file_is_read_as_json() {
    let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": {"u": "\/\ud83d\ude00"}}}"#;
    let (objects, diagnostics) = parse_yaml(&Arc::new(SourceFile::new("a.yaml", text)));
    assert!(diagnostics.is_empty());
    assert_eq!(objects[0].annotations()["u"], "/😀");
}

#[test]
fn flow_yaml_that_only_looks_like_json_is_read_as_yaml() {
    assert_eq!(read("{apiVersion: v1, kind: Pod, metadata: {name: a}} # comment\n"), ["Pod a"]);
}

#[test]
fn a_json_file_may_hold_several_values_and_no_comments() {
    let read = |text: &str| {
        let (objects, diagnostics) = parse_json(&Arc::new(SourceFile::new("a.json", text)));
        (objects.len(), diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let one = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}"#;
    assert_eq!(read(&format!("{one}\n{one}")), (2, vec![]));
    assert_eq!(
        read(&format!("// x\n{one}")),
        (0, vec!["a.json:1:1: error[json-syntax]: JSON has no comments".into()])
    );
}

#[test]
fn mistakes_of_syntax_have_a_place_and_advice() {
    let check = |text: &str, expected: &str, advice: Option<&str>| {
        let (_, diagnostics) = parse_yaml(&Arc::new(SourceFile::new("a.yaml", text)));
        assert_eq!(diagnostics[0].to_string(), expected);
        assert_eq!(diagnostics[0].hint.as_deref(), advice, "{text}");
    };
    check(
        "a: b: c\n",
        "a.yaml:1:5: error[yaml-syntax]: mapping values are not allowed in this context",
        Some("quote a value that has `: ` in it, and check the indentation"),
    );
    check(
        "a:\n\tb: 1\n",
        "a.yaml:2:1: error[yaml-syntax]: found character that cannot start any token while scanning for the next \
         token that starts on line 2",
        Some("indent with spaces: YAML does not allow tabs"),
    );
    check(
        "a: 1\nb: 2\na: 3\n",
        "a.yaml:3:1: error[duplicate-key]: the key `a` appears twice in this mapping",
        Some("remove one of the two; which of them is taken differs between tools"),
    );
    check(
        "a: .inf\n",
        "a.yaml:1:4: error[yaml-value]: `.inf` cannot be written as JSON, so no object can hold it; \
         quote it if it is text",
        None,
    );
    check(
        "a: \"\u{1}\"\n",
        "a.yaml:1:5: error[yaml-syntax]: the control character U+0001 is not allowed in YAML",
        Some("remove it, or write it as an escape in a double-quoted text"),
    );
}

#[test]
fn a_merge_over_a_written_key_is_warned_of() {
    let found = read("b: &b {x: 1}\nc:\n  x: 2\n  <<: *b\n");
    assert!(found[0].starts_with("a.yaml:4:3: warning[yaml-merge]: `<<` replaces `x`"), "{found:?}");
}

#[test]
fn the_place_of_a_field_is_found_by_its_pointer() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: one\n    image: \"x:1\"\n\
                \n    env: []\n# end\n";
    let file = Arc::new(SourceFile::new("a.yaml", text));
    let object: Object = parse_yaml(&file).0.remove(0);
    let origin = object.origin().unwrap();
    let check = |pointer: &str, span: &str, value: &str| {
        assert_eq!(file.slice(origin.span(pointer)), span, "{pointer}");
        assert_eq!(file.slice(origin.value_span(pointer)), value, "{pointer}");
    };
    let container = "name: one\n    image: \"x:1\"\n\n    env: []";
    check("/spec/containers/0/image", "\"x:1\"", "\"x:1\"");
    check("/spec/containers/0/env", "env", "[]");
    check("/spec/containers/0", "name", container);
    check("/spec/containers/0/resources/limits", "name", container);
    check("/spec/containers", "containers", &format!("- {container}"));
    check("/metadata/namespace", "metadata", "{name: a}");
    assert_eq!(origin.key_span("/kind").map(|span| file.slice(span)), Some("kind"));
}

#[test]
fn an_items_place_is_the_items_own() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n";
    let file = Arc::new(SourceFile::new("a.yaml", text));
    let object = parse_yaml(&file).0.remove(0);
    assert_eq!(file.position(object.origin().unwrap().span("/metadata/name").start).line, 6);
}

#[test]
fn an_aliased_value_has_the_place_of_its_anchor() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nx: &x {v: 1}\nused:\n  z: *x\n  w: 2\n";
    let file = Arc::new(SourceFile::new("a.yaml", text));
    let object = parse_yaml(&file).0.remove(0);
    let origin = object.origin().unwrap();
    assert_eq!(file.position(origin.value_span("/used/z/v").start).line, 4);
    assert_eq!(file.slice(origin.value_span("/used")), "z: *x\n  w: 2");
}
