//! What is live and what applying would make of it: normal form, dry runs, and when none is needed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

mod stage;

use minato_resource::Object;
use minato_sync::{Progress, Target as _, TargetError, differences};
use serde_json::{Value, json};
use stage::{Fault, Stage, context, object, owner};

fn deployment(image: &str) -> Object {
    object(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
        "spec": {"replicas": 2, "template": {"spec": {"image": image}}}}),
    )
}

fn secret(field: &str, value: &str) -> Object {
    object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "a"},
        field: {"password": value}}))
}

/// Applies, then compares as `sync` does; the pointers that differ.
async fn differing(stage: &Stage, desired: &Object) -> Vec<String> {
    let context = context(std::slice::from_ref(desired));
    let live = stage.target.live(&owner()).await.unwrap();
    let live = live.iter().find(|live| live.key() == desired.key()).expect("it was applied");
    let predicted = stage.target.predict(desired, Some(live), &context).await.unwrap();
    differences(live.value(), predicted.value()).into_iter().map(|difference| difference.pointer).collect()
}

async fn apply(stage: &Stage, desired: &Object) {
    stage.target.apply(desired, &context(std::slice::from_ref(desired))).await.unwrap();
}

#[tokio::test]
async fn what_was_applied_is_live_and_not_even_asked_for_again() {
    let stage = Stage::new().await;
    apply(&stage, &deployment("web:1")).await;
    stage.cluster.change("/apis/apps/v1/namespaces/a/deployments/web", |live| {
        live["spec"]["paused"] = json!(false);
        live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("1");
        live["status"] = json!({"replicas": 2});
    });
    stage.cluster.asked();
    assert_eq!(differing(&stage, &deployment("web:1")).await, [""; 0]);
    let patched = stage.cluster.asked().into_iter().filter(|asked| asked.method == "PATCH").count();
    assert_eq!(patched, 0, "nothing had to be dry-run");
    assert_eq!(differing(&stage, &deployment("web:2")).await, ["/spec/template/spec/image"]);
    assert_eq!(stage.cluster.writes(), [""; 0]);
}

#[tokio::test]
async fn the_health_of_what_was_just_looked_at_costs_no_request() {
    let stage = Stage::new().await;
    let applied = stage.target.apply(&deployment("web:1"), &context(&[])).await.unwrap();
    let path = "/apis/apps/v1/namespaces/a/deployments/web";
    let out = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    stage.cluster.change(path, |live| live["status"] = out);
    stage.target.live(&owner()).await.unwrap();
    stage.cluster.asked();
    assert_eq!(stage.target.progress(&applied.token).await.unwrap(), Progress::Healthy);
    assert_eq!(stage.cluster.asked().len(), 0);
    // A new change is never judged by what was seen before it.
    let next = stage.target.apply(&deployment("web:2"), &context(&[])).await.unwrap();
    assert!(matches!(stage.target.progress(&next.token).await.unwrap(), Progress::Progressing { .. }));
}

#[tokio::test]
async fn a_webhook_that_adds_and_reorders_makes_no_difference() {
    fn webhook(object: &mut Value) {
        object["metadata"]["annotations"]["mesh"] = json!("in");
        if let Some(list) = object["spec"]["args"].as_array_mut() {
            list.sort_by_key(|item| std::cmp::Reverse(item.to_string()));
        }
        if object["spec"]["sidecar"].is_null() {
            object["spec"]["sidecar"] = json!({"image": "proxy"});
        }
    }
    let stage = Stage::new().await;
    stage.cluster.webhook(webhook);
    let desired = deployment("web:1").with("/spec/args", json!(["a", "b", "c"])).unwrap();
    apply(&stage, &desired).await;
    assert_eq!(differing(&stage, &desired).await, [""; 0]);
}

#[tokio::test]
async fn what_others_changed_of_ours_is_a_difference_and_what_they_added_is_not() {
    let stage = Stage::new().await;
    apply(&stage, &deployment("web:1")).await;
    stage.cluster.change("/apis/apps/v1/namespaces/a/deployments/web", |live| {
        live["spec"]["replicas"] = json!(9);
        live["spec"]["minReadySeconds"] = json!(5);
    });
    assert_eq!(differing(&stage, &deployment("web:1")).await, ["/spec/replicas"]);
}

#[tokio::test]
async fn a_secret_is_compared_by_marks_whichever_way_it_is_written() {
    let stage = Stage::new().await;
    apply(&stage, &secret("stringData", "hush hush")).await;
    let sent = stage.cluster.get("/api/v1/namespaces/a/secrets/db").unwrap();
    assert_eq!(sent["data"]["password"], "aHVzaCBodXNo");
    assert_eq!(differing(&stage, &secret("stringData", "hush hush")).await, [""; 0]);
    assert_eq!(differing(&stage, &secret("data", "aHVzaCBodXNo")).await, [""; 0]);
    assert_eq!(differing(&stage, &secret("stringData", "loud")).await, ["/data/password"]);
    let live = stage.target.live(&owner()).await.unwrap();
    let shown = serde_json::to_string(&live).unwrap();
    assert!(!shown.contains("aHVzaCBodXNo") && !shown.contains("hush hush"), "{shown}");
}

#[tokio::test]
async fn a_remembered_secret_is_compared_without_its_values() {
    let stage = Stage::new().await;
    apply(&stage, &secret("stringData", "hush hush")).await;
    let redactor = minato_sync::Redactor::new([7; 32]);
    let remembered = object(redactor.redact(&secret("stringData", "hush hush")));
    stage.cluster.asked();
    assert_eq!(differing(&stage, &remembered).await, [""; 0]);
    let other = object(redactor.redact(&secret("stringData", "loud")));
    assert_eq!(differing(&stage, &other).await, ["/data/password"]);
    assert!(stage.cluster.asked().iter().all(|asked| asked.method == "GET"), "marks are never sent");
    let refused = stage.target.apply(&remembered, &context(&[])).await.unwrap_err();
    assert!(matches!(refused, TargetError::Refused { .. }), "{refused}");
}

#[tokio::test]
async fn live_is_everything_of_the_owner_and_nothing_else() {
    let stage = Stage::new().await;
    stage.cluster.page(3);
    let role = object(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "system:reader"}}));
    apply(&stage, &role).await;
    for number in 0..12 {
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{number:02}"), "namespace": "a"}});
        apply(&stage, &object(value)).await;
    }
    let put = |namespace: &str, name: &str, id: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        let annotations = json!({"argocd.argoproj.io/tracking-id": id});
        stage.cluster.put(
            &path,
            json!({"metadata": {"name": name, "namespace": namespace, "annotations": annotations}}),
        );
    };
    put("a", "others", "other:/ConfigMap:a/others");
    put("a", "copied", "shop:/ConfigMap:a/c00");
    put("b", "elsewhere", "shop:/ConfigMap:b/elsewhere");
    let live = stage.target.live(&owner()).await.unwrap();
    let keys: Vec<String> = live.iter().map(|object| object.key().to_string()).collect();
    assert_eq!(keys.len(), 14, "{keys:?}");
    assert!(keys.contains(&"ConfigMap b/elsewhere".to_owned()), "{keys:?}");
    assert!(keys.contains(&"rbac.authorization.k8s.io/ClusterRole system:reader".to_owned()));
}

#[tokio::test]
async fn an_object_is_live_in_the_version_it_was_applied_in() {
    let stage = Stage::new().await;
    let scaler = object(json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "a"}, "spec": {"maxReplicas": 3}}));
    let path = "/apis/autoscaling/v1/namespaces/a/horizontalpodautoscalers/web";
    apply(&stage, &scaler).await;
    // One object is served under both versions.
    let stored = stage.cluster.get(path).unwrap();
    stage.cluster.put(&path.replace("v1", "v2"), stored);
    let live = stage.target.live(&owner()).await.unwrap();
    assert_eq!(live[0].api_version(), "autoscaling/v1");
    assert_eq!(differing(&stage, &scaler).await, [""; 0]);
}

#[tokio::test]
async fn a_kind_that_may_not_be_listed_everywhere_is_listed_in_the_namespace() {
    let stage = Stage::new().await;
    apply(&stage, &deployment("web:1")).await;
    let forbidden = json!({"reason": "Forbidden", "message": "user cannot list"});
    for path in ["/apis/apps/v1/deployments", "/clusterroles", "/namespaces/a/services", "/api/v1/services"] {
        stage.cluster.fail(Fault { method: "GET", path, code: 403, body: forbidden.clone(), times: 1 });
    }
    let live = stage.target.live(&owner()).await.unwrap();
    assert_eq!(
        live.iter().map(|object| object.key().to_string()).collect::<Vec<_>>(),
        ["apps/Deployment a/web"]
    );
}

#[tokio::test]
async fn odd_answers_of_a_server_are_told_and_end() {
    let stage = Stage::new().await;
    let fault = |path, body, times| Fault { method: "GET", path, code: 200, body, times };
    let check = |error: TargetError, expected: &str| {
        assert!(
            matches!(&error, TargetError::Broken { .. }) && error.to_string().contains(expected),
            "{error}"
        );
    };
    stage.cluster.fail(fault("/apis", json!({"kind": "APIGroupList", "groups": []}), 1));
    check(stage.again().await.live(&owner()).await.unwrap_err(), "Kubernetes 1.27 or later is needed");
    let endless = json!({"metadata": {"continue": "more"}, "items": []});
    stage.cluster.fail(fault("/configmaps", endless, usize::MAX));
    check(stage.target.live(&owner()).await.unwrap_err(), "does not end after 1000 pages");
    let stage = Stage::new().await;
    stage.cluster.fail(fault("/configmaps", json!({"items": {"not": "a list"}}), 1));
    check(stage.target.live(&owner()).await.unwrap_err(), "not a list");
}

#[tokio::test]
async fn what_this_sync_makes_first_is_not_missed() {
    let stage = Stage::new().await;
    let definition =
        object(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "shops.example.com"},
        "spec": {"group": "example.com", "names": {"kind": "Shop"}, "scope": "Namespaced"}}));
    let shop = object(
        json!({"apiVersion": "example.com/v1", "kind": "Shop", "metadata": {"name": "x", "namespace": "a"}}),
    );
    let namespace = object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}));
    let settings = object(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "new"}}),
    );
    let all = [definition.clone(), shop.clone(), namespace.clone(), settings.clone()];
    let context = context(&all);
    for desired in &all {
        stage.target.predict(desired, None, &context).await.unwrap();
    }
    assert_eq!(stage.cluster.writes(), [""; 0]);
    // A new schema counts a moment after it was applied.
    let misfit =
        json!({"message": "failed to create typed patch object: .spec.owner: field not declared in schema"});
    stage.cluster.fail(Fault { method: "PATCH", path: "/shops/x", code: 500, body: misfit, times: 2 });
    for desired in [&definition, &shop, &namespace, &settings] {
        stage.target.apply(desired, &context).await.unwrap();
    }
    // Without the definition and the namespace the same objects are refused before anything is written.
    let other = Stage::new().await;
    for (desired, why) in [(&shop, "knows no Shop"), (&settings, "namespaces \"new\" not found")] {
        let refused = other.target.predict(desired, None, &stage::context(&[])).await.unwrap_err();
        assert!(
            matches!(&refused, TargetError::Refused { message, .. } if message.contains(why)),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn an_object_of_another_application_is_refused_before_anything_is_written() {
    let stage = Stage::new().await;
    let path = "/apis/apps/v1/namespaces/a/deployments/web";
    stage.cluster.put(
        path,
        json!({"metadata": {"name": "web", "namespace": "a",
        "annotations": {"argocd.argoproj.io/tracking-id": "other:apps/Deployment:a/web"}}}),
    );
    let refused = stage.target.predict(&deployment("web:1"), None, &context(&[])).await.unwrap_err();
    assert!(refused.to_string().contains("belongs to the application other"), "{refused}");
    // One that nobody tracks is taken over.
    stage.cluster.put(path, json!({"metadata": {"name": "web", "namespace": "a"}}));
    stage.target.predict(&deployment("web:1"), None, &context(&[])).await.unwrap();
}

#[tokio::test]
async fn every_object_gets_the_namespace_that_its_kind_asks_for() {
    let stage = Stage::new().await;
    let named = |version: &str, kind: &str, namespace: Value| {
        object(
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": namespace}}),
        )
    };
    let objects = vec![
        named("v1", "ConfigMap", Value::Null),
        named("v1", "ConfigMap", json!("b")),
        named("rbac.authorization.k8s.io/v1", "ClusterRole", json!("b")),
        named("example.com/v1", "Unknown", Value::Null),
        named("autoscaling/v3", "HorizontalPodAutoscaler", Value::Null),
    ];
    let (resolved, diagnostics) = stage.target.resolve(objects).await.unwrap();
    let namespaces: Vec<&str> = resolved.iter().map(Object::namespace).collect();
    assert_eq!(namespaces, ["a", "b", "", "a", "a"]);
    let hints: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.hint.as_deref().unwrap()).collect();
    assert!(diagnostics.iter().all(minato_resource::Diagnostic::is_error));
    assert!(
        hints[0].contains("CustomResourceDefinition")
            && hints[1] == "it serves HorizontalPodAutoscaler in autoscaling/v2",
        "{hints:?}"
    );
}
