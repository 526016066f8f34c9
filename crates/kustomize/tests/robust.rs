//! Whatever the files hold, rendering ends with Objects or with errors.

use minato_kustomize::{FilePath, MemoryFiles, build};
use proptest::prelude::*;

const RESOURCES: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {a: b}}\nspec:\n  replicas: 1\n  template: {spec: {containers: [{name: c, image: 'i:1'}]}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n";

/// Values that fit somewhere, so that much of what is made gets past the first check.
fn scalar() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "web",
        "c",
        "r.yaml",
        "Deployment",
        "apps/v1",
        "spec.replicas",
        "data.k",
        "[name=c]",
        "a=b",
        "1",
        "-1",
        "true",
        "null",
        "~",
        ".",
        "..",
        "*",
        "'('",
        "i",
        "$(X)",
    ];
    prop_oneof![
        prop::sample::select(KNOWN).prop_map(str::to_owned),
        "[a-z:/.*$-]{0,6}".prop_map(|text| format!("'{text}'"))
    ]
}

fn mapping(fields: &'static [&'static str]) -> impl Strategy<Value = String> {
    let entry =
        (prop::sample::select(fields), scalar()).prop_map(|(field, value)| format!("{field}: {value}"));
    prop::collection::vec(entry, 0..4).prop_map(|entries| format!("{{{}}}", entries.join(", ")))
}

fn directive() -> impl Strategy<Value = String> {
    const SELECTOR: &[&str] =
        &["kind", "name", "namespace", "group", "version", "labelSelector", "fieldPath"];
    prop_oneof![
        scalar().prop_map(|text| format!("namePrefix: {text}")),
        scalar().prop_map(|text| format!("namespace: {text}")),
        mapping(&["a", "b"]).prop_map(|map| format!("commonLabels: {map}")),
        mapping(&["name", "newName", "newTag", "digest", "tagSuffix"]).prop_map(|map| format!("images: [{map}]")),
        mapping(&["name", "count"]).prop_map(|map| format!("replicas: [{map}]")),
        (mapping(SELECTOR), mapping(&["op", "path", "value", "from"]))
            .prop_map(|(target, operation)| format!("patches: [{{target: {target}, patch: '[{operation}]'}}]")),
        (mapping(SELECTOR), mapping(SELECTOR), scalar()).prop_map(|(source, select, path)| format!(
            "replacements: [{{source: {source}, targets: [{{select: {select}, fieldPaths: [{path}], options: {{create: true}}}}]}}]"
        )),
        mapping(&["name", "behavior", "literals", "files"]).prop_map(|map| format!("configMapGenerator: [{map}]")),
        (scalar(), mapping(SELECTOR)).prop_map(|(name, object)| format!("vars: [{{name: {name}, objref: {object}}}]")),
        scalar().prop_map(|text| format!("components: [{text}]")),
        scalar().prop_map(|text| format!("transformers: [{text}]")),
    ]
}

proptest! {
    #[test]
    fn rendering_ends(directives in prop::collection::vec(directive(), 1..5)) {
        let text = format!("resources: [r.yaml]\n{}\n", directives.join("\n"));
        let files = MemoryFiles::new([("kustomization.yaml", text.as_str()), ("r.yaml", RESOURCES)]);
        let (objects, diagnostics) = build(&files, &FilePath::root());
        let refused = diagnostics.iter().any(minato_resource::Diagnostic::is_error);
        prop_assert!(refused == objects.is_empty(), "{text}\n{diagnostics:?}");
    }

    #[test]
    fn any_bytes_are_rendered_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let files = MemoryFiles::new([("kustomization.yaml", bytes)]);
        let (objects, diagnostics) = build(&files, &FilePath::root());
        prop_assert!(objects.is_empty() && !diagnostics.is_empty());
    }
}
