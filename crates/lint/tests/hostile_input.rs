//! Whatever the files hold, checking them ends without a panic, and every finding has a place inside its file.

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use minato_lint::{Build, Input, check};
use minato_resource::{Diagnostic, Object, SourceFile};
use proptest::prelude::*;
use serde_json::{Value, json};

fn assert_places(diagnostics: &[Diagnostic]) {
    for location in diagnostics.iter().filter_map(|it| it.location.as_ref()) {
        let (text, span) = (location.file.text(), location.span);
        assert!(text.get(span.start..span.end).is_some(), "{span:?} is no part of {text:?}");
    }
}

fn dockerfile_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "ARG A\n",
        "ARG A=x B\n",
        "FROM a\n",
        "FROM ${A:-b} AS b\n",
        "FROM b AS B\n",
        "FROM c AS b\n",
        "COPY --from=b ",
        "COPY --from=9 ",
        "x y\n",
        "USER $A\n",
        "USER 0\n",
        "ENV A_TOKEN=$B C=${D}\n",
        "ENV K e\\\ny\n",
        "WORKDIR é\n",
        "HEALTHCHECK NONE\n",
        "CMD x\n",
        "# minato: allow root-user, x\n",
        "#minato: allow\n",
        "# minato: allow --\n",
        "RUN --mount=from=$A,target=/x x\n",
        "<<E\n",
        "E\n",
        "\r\n",
        "LABEL é=\"$A${B}\"\n",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Any JSON, with the names that rules look for.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (0_i64..3).prop_map(Value::from),
        prop::sample::select(vec!["", "nginx", "a:latest", "root", "0:0", "postgres://a:b@c", "é", "@:/"])
            .prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "containers",
        "initContainers",
        "containerDefinitions",
        "name",
        "image",
        "env",
        "environment",
        "value",
        "resources",
        "limits",
        "cpu",
        "memory",
        "securityContext",
        "runAsUser",
        "user",
        "readinessProbe",
        "loadBalancers",
        "restartPolicy",
        "template",
        "spec",
    ]);
    leaf.prop_recursive(5, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_dockerfile_is_checked(text in dockerfile_text(), target in prop::option::of("[b09]")) {
        let file = Arc::new(SourceFile::new("Dockerfile", text));
        let (dockerfile, _) = minato_dockerfile::parse(&file);
        let builds =
            [Build { target: target.as_deref(), ..Build::new(&file, &dockerfile) }];
        assert_places(&check(&Input { builds: &builds, objects: &[], allowed: &[] }));
    }

    #[test]
    fn any_object_is_checked(spec in json_value(), which in 0_usize..4) {
        let (api_version, kind) = [
            ("v1", "Pod"), ("apps/v1", "Deployment"), ("ecs.amazonaws.com/v1", "TaskDefinition"), ("batch/v1", "CronJob"),
        ][which];
        let value = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec});
        let objects = [Object::from_value(value).unwrap()];
        assert_places(&check(&Input { builds: &[], objects: &objects, allowed: &[] }));
    }
}
