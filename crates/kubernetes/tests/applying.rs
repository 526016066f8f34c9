//! Applying and removing: tokens, namespaces, retries, ownership.
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

mod stage;

use minato_resource::Object;
use minato_sync::{Target as _, TargetError};
use serde_json::json;
use stage::{Fault, Stage, context, object, owner};

const WEB: &str = "/apis/apps/v1/namespaces/a/deployments/web";

fn deployment(image: &str) -> Object {
    object(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
        "spec": {"replicas": 1, "template": {"spec": {"image": image}}}}),
    )
}

#[tokio::test]
async fn the_same_change_has_the_same_token_and_another_one_another() {
    let stage = Stage::new().await;
    let first = stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap();
    let again = stage.again().await.apply(&deployment("web:1"), &context(&[])).await.unwrap();
    let other = stage.target.apply(&deployment("web:2"), &context(&[])).await.unwrap();
    assert_eq!(first, again);
    assert_ne!(first.token, other.token);
    assert_eq!(first.identity, other.identity);
}

#[tokio::test]
async fn an_object_is_sent_tracked_and_without_what_the_server_writes() {
    let stage = Stage::new().await;
    let exported = deployment("web:1")
        .with("/status", json!({"replicas": 1}))
        .unwrap()
        .with("/metadata/uid", json!("x"))
        .unwrap();
    stage.target.apply(&exported, &context(&[])).await.unwrap();
    let sent = stage.cluster.asked().into_iter().find(|asked| asked.method == "PATCH").unwrap();
    assert_eq!(
        sent.body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"],
        "shop:apps/Deployment:a/web"
    );
    assert_eq!((sent.body.get("status"), sent.body["metadata"].get("uid")), (None, None));
    let query: Vec<(&str, &str)> =
        sent.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(query, [("fieldManager", "minato"), ("fieldValidation", "Strict"), ("force", "true")]);
    assert_eq!(sent.token, "Bearer hush");
}

#[tokio::test]
async fn the_applications_namespace_is_made_when_that_is_asked_for() {
    let new = object(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "new"}}),
    );
    let stage = Stage::with(|options| {
        options.namespace = "new".to_owned();
        options.create_namespace = true;
    })
    .await;
    stage.target.predict(&new, None, &context(&[])).await.unwrap();
    assert_eq!(stage.cluster.writes(), [""; 0]);
    stage.target.apply(&new, &context(&[])).await.unwrap();
    let namespace = stage.cluster.get("/api/v1/namespaces/new").unwrap();
    assert_eq!(namespace["metadata"].get("annotations"), None, "it is nobody's, so it is never pruned");

    let stage = Stage::new().await;
    let refused = stage.target.apply(&new, &context(&[])).await.unwrap_err();
    assert!(refused.to_string().contains("CreateNamespace=true"), "{refused}");
}

#[tokio::test]
async fn another_try_of_a_failed_workload_starts_its_pods_anew_without_a_difference() {
    let stage = Stage::new().await;
    let desired = deployment("web:1");
    let first = stage.target.apply(&desired, &context(&[])).await.unwrap();
    let mut context = context(std::slice::from_ref(&desired));
    context.retry.push(desired.key().clone());
    let again = stage.target.apply(&desired, &context).await.unwrap();
    assert_ne!(first.token, again.token);
    let live = stage.cluster.get(WEB).unwrap();
    assert_eq!(
        live["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"],
        "2026-01-01T01:00:00Z"
    );
    let live = stage.target.live(&owner()).await.unwrap();
    assert_eq!(stage.target.predict(&desired, live.first(), &context).await.unwrap(), live[0]);
    // One that is out meanwhile is left alone.
    stage.cluster.change(WEB, |live| {
        let generation = live["metadata"]["generation"].clone();
        live["status"] =
            json!({"observedGeneration": generation, "updatedReplicas": 1, "availableReplicas": 1});
    });
    stage.cluster.asked();
    stage.target.apply(&desired, &context).await.unwrap();
    assert_eq!(stage.cluster.writes().len(), 1);
}

#[tokio::test]
async fn another_try_of_a_failed_job_is_a_new_job() {
    let stage = Stage::new().await;
    let job = object(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load", "namespace": "a"}}),
    );
    let first = stage.target.apply(&job, &context(&[])).await.unwrap();
    let mut context = context(std::slice::from_ref(&job));
    context.retry.push(job.key().clone());
    let again = stage.target.apply(&job, &context).await.unwrap();
    assert_ne!(first.identity, again.identity);
}

#[tokio::test]
async fn an_object_that_is_still_going_is_applied_later() {
    let stage = Stage::new().await;
    stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap();
    stage.cluster.change(WEB, |live| live["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:59:00Z"));
    let error = stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap_err();
    assert!(error.may_pass() && error.to_string().contains("still being deleted"), "{error}");
}

#[tokio::test]
async fn only_the_owners_objects_are_removed() {
    let stage = Stage::new().await;
    let (web, key) = (deployment("web:1"), deployment("web:1").key().clone());
    stage.target.apply(&web, &context(&[])).await.unwrap();
    stage.target.delete(&key, &owner()).await.unwrap();
    let deleted = stage.cluster.asked().into_iter().find(|asked| asked.method == "DELETE").unwrap();
    assert_eq!(deleted.body["propagationPolicy"], "Foreground");
    assert_eq!(deleted.body["preconditions"]["uid"], "u1");
    // Gone already is success, and so is a kind that nobody serves any more.
    stage.target.delete(&key, &owner()).await.unwrap();
    stage.target.delete(&"example.com/Gone a/x".parse().unwrap(), &owner()).await.unwrap();

    for tracking in [json!({}), json!({"argocd.argoproj.io/tracking-id": "other:apps/Deployment:a/web"})] {
        stage
            .cluster
            .put(WEB, json!({"metadata": {"name": "web", "namespace": "a", "annotations": tracking}}));
        stage.cluster.asked();
        stage.target.delete(&key, &owner()).await.unwrap();
        assert_eq!(stage.cluster.writes(), [""; 0]);
    }
}

#[tokio::test]
async fn a_busy_or_broken_cluster_may_pass_and_a_refusal_does_not() {
    let stage = Stage::new().await;
    let fault = |code, message: &str| Fault {
        method: "PATCH",
        path: "deployments",
        code,
        body: json!({"message": message}),
        times: 1,
    };
    for code in [429, 500, 503, 504] {
        stage.cluster.fail(fault(code, "not now"));
        let error = stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap_err();
        assert!(
            matches!(&error, TargetError::Unavailable { message, .. } if message.contains("not now")),
            "{error}"
        );
    }
    stage.cluster.fail(fault(422, "spec.replicas: must not be negative"));
    let error = stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap_err();
    assert!(
        matches!(&error, TargetError::Refused { message, .. } if message.contains("negative")),
        "{error}"
    );
    stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap();
    stage.cluster.fail(Fault {
        method: "GET",
        path: "/api",
        code: 503,
        body: json!({"message": "etcd"}),
        times: 1,
    });
    let error = stage.again().await.live(&owner()).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
}

#[tokio::test]
async fn a_cluster_that_is_gone_is_named_by_its_address() {
    let stage = Stage::new().await;
    stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap();
    stage.end();
    tokio::task::yield_now().await;
    let error = stage.target.apply(&deployment("web:2"), &context(&[])).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    let told = error.to_string();
    assert!(told.contains("no answer from http://127.0.0.1:") && told.contains("refused"), "{told}");
}

#[tokio::test]
async fn a_secrets_value_is_not_in_the_servers_refusal() {
    let stage = Stage::new().await;
    let secret =
        object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "a"},
        "stringData": {"password": "hush hush"}}));
    let body = json!({"message": "data.password: expected string, got aHVzaCBodXNo (hush hush)"});
    stage.cluster.fail(Fault { method: "PATCH", path: "secrets", code: 422, body, times: 1 });
    let error = stage.target.apply(&secret, &context(&[])).await.unwrap_err().to_string();
    assert!(error.contains("got … (…)") && !error.contains("hush"), "{error}");
}

#[tokio::test]
async fn a_credential_plugin_gives_the_token_and_its_failure_is_told_without_one() {
    let stage = Stage::new().await;
    let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"fresh"}}"#;
    let plugin = |script: &str| {
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: ['-c', {}]}}}}",
            serde_json::to_string(script).unwrap()
        )
    };
    let target = stage.as_user(&plugin(&format!("echo '{credential}'"))).await;
    target.live(&owner()).await.unwrap();
    assert_eq!(stage.cluster.asked()[0].token, "Bearer fresh");
    let script = "echo '{\"token\": \"half-a-token\"}'; echo 'log in again' >&2; exit 1";
    let failing = stage.try_as_user(&plugin(script)).await;
    assert!(failing.contains("log in again") && !failing.contains("half-a-token"), "{failing}");
}
