//! Dying at each named point leaves nothing that asking once more does not finish.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "only tests use it")]

mod stage;

use minato_resource::{Object, ResourceKey};
use minato_sync::{Context, Target as _};
use serde_json::json;
use stage::{Stage, context, object, owner};

/// What is asked of the target when it dies.
#[derive(Clone, Copy)]
enum Asked {
    Apply,
    Retry,
    Delete,
}

fn deployment() -> Object {
    object(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
        "spec": {"replicas": 1, "template": {"spec": {"image": "web:1"}}}}),
    )
}

fn job() -> Object {
    object(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load", "namespace": "a"}}))
}

fn settings() -> Object {
    object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "new"},
        "data": {"a": "1"}}))
}

#[tokio::test]
async fn at_each_point_asking_again_finishes() {
    if !fail::has_failpoints() {
        eprintln!("SKIPPED at_each_point_asking_again_finishes: built without the feature failpoints");
        return;
    }
    let cases = [
        ("kubernetes.object.applied", deployment(), Asked::Apply),
        ("kubernetes.namespace.created", settings(), Asked::Apply),
        ("kubernetes.object.adopted", settings(), Asked::Apply),
        ("kubernetes.object.restarted", deployment(), Asked::Retry),
        ("kubernetes.object.cleared", job(), Asked::Retry),
        ("kubernetes.object.deleting", deployment(), Asked::Delete),
    ];
    for (point, desired, asked) in cases {
        let stage = Stage::with(|options| {
            options.namespace = "new".to_owned();
            options.create_namespace = true;
        })
        .await;
        prepare(&stage, &desired, point, asked).await;
        fail::cfg(point, "panic").unwrap();
        assert!(ask(&stage, &desired, asked).await.is_err(), "{point} was not reached");
        fail::remove(point);
        ask(&stage, &desired, asked).await.unwrap();
        check(&stage, &desired, point, asked).await;
    }
}

/// What is there before: for another try the failed one, for an adoption what kubectl applied.
async fn prepare(stage: &Stage, desired: &Object, point: &str, asked: Asked) {
    if point == "kubernetes.object.adopted" {
        stage.cluster.put("/api/v1/namespaces/new", json!({"metadata": {"name": "new"}}));
        let kubectl = json!({"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
            "fieldsV1": {"f:data": {"f:old": {}}}});
        stage.cluster.put(
            "/api/v1/namespaces/new/configmaps/c",
            json!({"metadata": {"name": "c", "namespace": "new", "managedFields": [kubectl]}, "data": {"old": "1"}}),
        );
    }
    if matches!(asked, Asked::Retry | Asked::Delete) {
        ask(stage, desired, Asked::Apply).await.unwrap();
    }
}

/// By a target of its own, as a process of its own would; an error is its death.
async fn ask(stage: &Stage, desired: &Object, asked: Asked) -> Result<(), tokio::task::JoinError> {
    let target = stage.another("new").await;
    let (desired, context) = (desired.clone(), asking(desired, asked));
    let asking = async move {
        match asked {
            Asked::Apply | Asked::Retry => drop(target.apply(&desired, &context).await.unwrap()),
            Asked::Delete => target.delete(desired.key(), &owner()).await.unwrap(),
        }
    };
    tokio::spawn(asking).await
}

fn asking(desired: &Object, asked: Asked) -> Context {
    let mut context = context(std::slice::from_ref(desired));
    context.retry.extend(matches!(asked, Asked::Retry).then(|| desired.key().clone()));
    context
}

async fn check(stage: &Stage, desired: &Object, point: &str, asked: Asked) {
    let live = stage.target.live(&owner()).await.unwrap();
    let keys: Vec<&ResourceKey> = live.iter().map(Object::key).collect();
    match asked {
        Asked::Delete => assert!(keys.is_empty(), "{point}: {keys:?}"),
        Asked::Apply | Asked::Retry => {
            assert_eq!(keys, [desired.key()], "{point}");
            let predicted = stage.target.predict(desired, live.first(), &context(&[])).await.unwrap();
            assert_eq!(predicted.value(), live[0].value(), "{point}");
        }
    }
    if point == "kubernetes.object.adopted" {
        assert_eq!(live[0].get("/data"), Some(&json!({"a": "1"})));
    }
}
