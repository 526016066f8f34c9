//! Patches do what Kustomize's own libraries do with them (see `oracle/kustomize`).

#![allow(clippy::unwrap_used, reason = "a case that cannot be answered fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod oracle;

use std::cell::RefCell;

use minato_resource::emit;
use minato_resource::patch::{JsonPatch, MergeSchema, Merged, json_patch, merge_patch, strategic_merge};
use oracle::Oracle;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// A strategic merge patch gives what kyaml gives, or both refuse.
#[test]
fn strategic_merge_patches() {
    check("strategic_merge_patches", (object(false), object(true)), |oracle, (target, patch)| {
        let request = json!({"read": emit::to_yaml(target), "strategic": emit::to_yaml(patch)});
        let theirs = oracle.ask(&request).map(|text| first(&text));
        let mut ours = target.clone();
        let ours = strategic_merge(&mut ours, patch, MergeSchema::built_in()).map(|merged| match merged {
            Merged::Kept => ours,
            Merged::Deleted => Value::Null,
        });
        same(ours, theirs)
    });
}

/// A JSON patch gives what evanphx/json-patch gives, or both refuse.
#[test]
fn json_patches() {
    check("json_patches", (any_value(), operations()), |oracle, (target, patch)| {
        let target = json!({"a": target, "list": [1, {"b": 2}, "x"], "null": null});
        let request = json!({"read": emit::to_yaml(&target), "json": patch.to_string()});
        let theirs = oracle.ask(&request).map(|text| first(&text));
        let mut ours = target.clone();
        let patch = JsonPatch::from_value(patch);
        let ours = patch.and_then(|patch| json_patch(&mut ours, &patch)).map(|()| ours);
        same(ours, theirs)
    });
}

/// A merge patch gives what evanphx/json-patch gives.
#[test]
fn merge_patches() {
    check("merge_patches", (mapping(), mapping()), |oracle, (target, patch)| {
        let request = json!({"read": emit::to_yaml(target), "merge": patch.to_string()});
        let mut ours = target.clone();
        merge_patch(&mut ours, patch);
        same(Ok::<_, String>(ours), oracle.ask(&request).map(|text| first(&text)))
    });
}

/// Runs a property with fresh cases; the runner prints the smallest one that fails.
fn check<Case: std::fmt::Debug>(
    name: &str,
    cases: impl Strategy<Value = Case>,
    property: impl Fn(&mut Oracle, &Case) -> Result<(), TestCaseError>,
) {
    let Some(oracle) = Oracle::start("kustomize", name) else { return };
    let oracle = RefCell::new(oracle);
    let count = std::env::var("MINATO_PATCH_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(500);
    let config = ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&cases, |case| property(&mut oracle.borrow_mut(), &case));
    assert!(result.is_ok(), "{}", result.err().map(|error| error.to_string()).unwrap_or_default());
}

fn same<E: std::fmt::Display>(
    ours: Result<Value, E>,
    theirs: Result<Value, String>,
) -> Result<(), TestCaseError> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
        (Err(_), Err(_)) => {}
        (Ok(ours), Err(theirs)) => prop_assert!(false, "the reference refuses: {theirs}\nours: {ours}"),
        (Err(ours), Ok(theirs)) => prop_assert!(false, "ours refuses: {ours}\nthe reference: {theirs}"),
    }
    Ok(())
}

fn first(text: &str) -> Value {
    serde_json::from_str(text.lines().next().unwrap_or("null")).unwrap()
}

/// Plain text that stands without quotes, and numbers: kyaml keeps quotes of what it replaces.
fn scalar(patch: bool) -> BoxedStrategy<Value> {
    let null = if patch { Value::Null } else { Value::from("d") };
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c", "TCP", "UDP"]).prop_map(Value::from),
        3 => prop::sample::select(vec![80, 443, 8080]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        2 => Just(null),
    ]
    .boxed()
}

/// An item of a list with merge keys, some of them missing now and then.
fn item(keys: &'static [&'static str], patch: bool) -> BoxedStrategy<Value> {
    let key = |name: &'static str| {
        let values = match name {
            "containerPort" | "port" => vec![json!(80), json!(443), json!("80")],
            "protocol" => vec![json!("TCP"), json!("UDP")],
            _ => vec![json!("a"), json!("b"), json!("c")],
        };
        prop::option::weighted(if name == "protocol" { 0.5 } else { 0.97 }, prop::sample::select(values))
            .prop_map(move |value| value.map(|value| (name, value)))
    };
    let directive = sometimes(patch, 0.15, directive());
    let keys: Vec<_> = keys.iter().map(|name| key(name)).collect();
    (
        keys,
        directive,
        prop::collection::vec((prop::sample::select(vec!["x", "y", "value"]), scalar(patch)), 0..3),
    )
        .prop_map(|(keys, directive, fields)| {
            let mut item = Map::new();
            item.extend(keys.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
            item.extend(directive.map(|directive| ("$patch".to_owned(), directive)));
            item.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
            Value::Object(item)
        })
        .boxed()
}

/// In patches alone, and there with a probability.
fn sometimes(
    patch: bool,
    probability: f64,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<Value>> {
    if patch { prop::option::weighted(probability, value).boxed() } else { Just(None).boxed() }
}

fn directive() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!("delete")),
        4 => Just(json!("replace")),
        2 => Just(json!("merge")),
        1 => Just(json!("unknown")),
    ]
}

fn list(items: impl Strategy<Value = Value> + 'static, patch: bool) -> BoxedStrategy<Value> {
    let whole = prop_oneof![Just(json!({"$patch": "replace"})), Just(json!({"$patch": "delete"}))];
    let directive = sometimes(patch, 0.1, whole);
    let items = (prop::collection::vec(items, 0..4), directive).prop_map(|(mut items, directive)| {
        items.extend(directive);
        Value::Array(items)
    });
    let null = if patch { Value::Null } else { json!([]) };
    prop_oneof![9 => items, 1 => Just(null)].boxed()
}

fn fields(fields: Vec<(&'static str, BoxedStrategy<Value>)>, patch: bool) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| prop::option::weighted(0.6, value).prop_map(move |value| (name, value)))
        .collect();
    let directive = sometimes(patch, 0.05, directive());
    (fields, directive)
        .prop_map(|(fields, directive)| {
            let mut mapping: Map<String, Value> =
                fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            mapping.extend(directive.map(|directive| ("$patch".to_owned(), directive)));
            Value::Object(mapping)
        })
        .boxed()
}

/// A Deployment, a Service or a custom resource.
fn object(patch: bool) -> impl Strategy<Value = Value> {
    let kinds = vec![
        ("apps/v1", "Deployment"),
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("example.com/v1", "Thing"),
    ];
    (prop::sample::select(kinds), metadata(patch), spec(patch), fields(vec![("a", scalar(patch)), ("b", any_value().boxed())], patch)).prop_map(
        |((api_version, kind), metadata, spec, data)| {
            json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "data": data})
        },
    )
}

fn metadata(patch: bool) -> BoxedStrategy<Value> {
    let labels = fields(vec![("app", scalar(patch)), ("tier", scalar(patch))], patch);
    fields(
        vec![
            ("labels", labels),
            ("finalizers", list(prop::sample::select(vec!["a", "b", "c"]).prop_map(Value::from), patch)),
            ("name", Just(json!("n")).boxed()),
        ],
        false,
    )
}

fn spec(patch: bool) -> BoxedStrategy<Value> {
    let args = prop::collection::vec(scalar(false), 0..3).prop_map(Value::Array).boxed();
    let container = (
        item(&["name"], patch),
        fields(
            vec![
                ("env", list(item(&["name"], patch), patch)),
                ("ports", list(item(&["containerPort", "protocol"], patch), patch)),
                ("args", args),
                ("image", scalar(patch)),
            ],
            false,
        ),
    )
        .prop_map(|(mut item, more)| {
            item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            item
        });
    let pod = fields(
        vec![
            ("containers", list(container, patch)),
            ("volumes", list(item(&["name"], patch), patch)),
            ("topologySpreadConstraints", list(item(&["topologyKey", "whenUnsatisfiable"], patch), patch)),
        ],
        patch,
    );
    let template = fields(vec![("metadata", metadata(patch)), ("spec", pod)], patch);
    fields(
        vec![
            ("template", template),
            ("ports", list(item(&["port", "protocol"], patch), patch)),
            ("replicas", scalar(patch)),
        ],
        patch,
    )
}

fn any_value() -> impl Strategy<Value = Value> {
    scalar(false).prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(vec!["a", "b", "c/d", "e~f"]), inner), 0..3)
                .prop_map(|entries| entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()),
        ]
    })
}

fn mapping() -> impl Strategy<Value = Value> {
    let value = prop_oneof![4 => any_value(), 1 => Just(Value::Null), 1 => Just(json!({"a": null, "b": {"a": null}}))];
    prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), value), 1..4)
        .prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn operations() -> impl Strategy<Value = Value> {
    let token = prop::sample::select(vec![
        "a", "b", "c~1d", "e~0f", "list", "null", "0", "1", "-1", "-", "3", "01", "", "x",
    ]);
    let path = prop::collection::vec(token, 0..4)
        .prop_map(|tokens| tokens.into_iter().map(|token| format!("/{token}")).collect::<String>());
    let name = prop::sample::select(vec![
        "add", "remove", "replace", "move", "copy", "test", "add", "replace", "test", "nothing",
    ]);
    let operation =
        (name, prop::option::weighted(0.97, path.clone()), path, prop::option::weighted(0.9, any_value()))
            .prop_map(|(name, path, from, value)| {
                let mut operation = json!({"op": name, "from": from});
                if let Some(path) = path {
                    operation["path"] = json!(path);
                }
                if let Some(value) = value {
                    operation["value"] = value;
                }
                operation
            });
    prop::collection::vec(operation, 1..4).prop_map(Value::Array)
}
