//! Following one change until it is out or has failed, with its cause.
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

mod stage;

use minato_resource::Object;
use minato_sync::{Applied, Cause, Progress, Target as _, Token};
use serde_json::{Value, json};
use stage::{Stage, context, object};

const WEB: &str = "/apis/apps/v1/namespaces/a/deployments/web";
const POD: &str = "/api/v1/namespaces/a/pods/web-2-x";

fn deployment(image: &str) -> Object {
    object(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "a"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"image": image}}}}),
    )
}

async fn applied(stage: &Stage, image: &str) -> Applied {
    stage.target.apply(&deployment(image), &context(&[])).await.unwrap()
}

async fn told(stage: &Stage, token: &Token) -> String {
    match stage.target.progress(token).await.unwrap() {
        Progress::Healthy => "healthy".to_owned(),
        Progress::Progressing { message } => format!("progressing: {message}"),
        Progress::Failed { cause } | Progress::RolledBackByTarget { cause } => format!("failed: {cause}"),
    }
}

async fn cause(stage: &Stage, token: &Token) -> Cause {
    match stage.target.progress(token).await.unwrap() {
        Progress::Failed { cause } => cause,
        other => panic!("{other:?}"),
    }
}

fn status(stage: &Stage, status: Value) {
    stage.cluster.change(WEB, |live| {
        let generation = live["metadata"]["generation"].clone();
        live["status"] = status;
        live["status"]["observedGeneration"] = generation;
    });
}

/// Two ReplicaSets with a pod each: the old one's is ready, the new one's is as given.
fn pods(stage: &Stage, uid: &str, new: Value) {
    let labels = json!({"app": "web"});
    for (name, revision) in [("web-1", "1"), ("web-2", "2")] {
        stage.cluster.put(
            &format!("/apis/apps/v1/namespaces/a/replicasets/{name}"),
            json!({"metadata": {"name": name, "uid": name, "labels": labels, "ownerReferences": [{"uid": uid}],
                "annotations": {"deployment.kubernetes.io/revision": revision}}}),
        );
    }
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    for (name, set, status) in [("web-1-x", "web-1", ready), ("web-2-x", "web-2", new)] {
        stage.cluster.put(
            &format!("/api/v1/namespaces/a/pods/{name}"),
            json!({"metadata": {"name": name, "labels": labels, "ownerReferences": [{"uid": set}]}, "status": status}),
        );
    }
}

fn crashing(restarts: i64) -> Value {
    json!({"containerStatuses": [{"name": "web", "ready": false, "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 3}}}]})
}

#[tokio::test]
async fn a_change_is_followed_until_it_is_out() {
    let stage = Stage::new().await;
    let applied = applied(&stage, "web:1").await;
    assert_eq!(told(&stage, &applied.token).await, "progressing: the cluster has not come to it yet");
    status(&stage, json!({"replicas": 1, "updatedReplicas": 1}));
    assert_eq!(told(&stage, &applied.token).await, "progressing: 0 of 1 replicas ready");
    status(&stage, json!({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}));
    assert_eq!(told(&stage, &applied.token).await, "healthy");
}

#[tokio::test]
async fn a_crash_is_told_at_once_and_given_up_when_it_repeats() {
    let stage = Stage::new().await;
    let applied = applied(&stage, "web:2").await;
    status(&stage, json!({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 1}));
    pods(&stage, &applied.identity, crashing(1));
    assert_eq!(
        told(&stage, &applied.token).await,
        "progressing: 1 of 1 new replicas ready, 1 old to replace; container web exited with code 3 twice"
    );
    stage.cluster.put(POD, {
        let mut pod = stage.cluster.get(POD).unwrap();
        pod["status"] = crashing(3);
        pod
    });
    stage.cluster.log("web-2-x", "first\nlast\u{1b}[31m words\n");
    stage.cluster.put(
        "/api/v1/namespaces/a/events/e",
        json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "web-2-x"}, "type": "Warning",
            "reason": "BackOff", "message": "Back-off restarting failed container"}),
    );
    let cause = cause(&stage, &applied.token).await;
    assert_eq!(cause.summary, "container web exited with code 3 4 times");
    assert_eq!(cause.log_lines, ["first", "last [31m words"]);
    let facts: Vec<&str> = cause.facts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(facts, ["replica", "container", "exit", "restarts", "event"]);
    assert!(cause.hint.is_some());
    let log = stage.cluster.asked().into_iter().find(|asked| asked.path.ends_with("/log")).unwrap();
    assert_eq!((log.query["tailLines"].as_str(), log.query["previous"].as_str()), ("20", "true"));
}

#[tokio::test]
async fn a_missed_deadline_is_explained_by_the_new_pods() {
    let stage = Stage::new().await;
    let applied = applied(&stage, "web:2").await;
    pods(
        &stage,
        &applied.identity,
        json!({"containerStatuses": [{"name": "web", "ready": false, "restartCount": 0,
        "state": {"running": {}}}]}),
    );
    stage.cluster.put(
        "/api/v1/namespaces/a/events/e",
        json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "web-2-x"}, "type": "Warning",
            "reason": "Unhealthy", "message": "Readiness probe failed: HTTP probe failed with statuscode: 503"}),
    );
    status(
        &stage,
        json!({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 1,
        "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}),
    );
    let cause = cause(&stage, &applied.token).await;
    assert_eq!(cause.summary, "no progress for 600 s: container web runs but is not ready");
    assert!(
        cause.facts.contains(&("answer".to_owned(), "HTTP probe failed with statuscode: 503".to_owned())),
        "{cause:?}"
    );
}

#[tokio::test]
async fn another_change_of_the_template_is_never_this_ones_success() {
    let stage = Stage::new().await;
    let first = applied(&stage, "web:1").await;
    let healthy = json!({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    // Scaled by somebody: still this change.
    stage.cluster.change(WEB, |live| {
        live["spec"]["replicas"] = json!(1);
        live["metadata"]["generation"] = json!(7);
    });
    status(&stage, healthy.clone());
    assert_eq!(told(&stage, &first.token).await, "healthy");
    stage.cluster.change(WEB, |live| live["spec"]["template"]["spec"]["image"] = json!("web:9"));
    assert!(
        told(&stage, &first.token)
            .await
            .starts_with("failed: apps/Deployment a/web was changed by somebody else")
    );
    stage.cluster.remove(WEB);
    assert!(told(&stage, &first.token).await.starts_with("failed: apps/Deployment a/web is gone"));
    applied(&stage, "web:1").await;
    status(&stage, healthy);
    assert_eq!(
        told(&stage, &first.token).await,
        "failed: apps/Deployment a/web was deleted and made again by somebody else"
    );
    assert_eq!(told(&stage, &Token::new("change-1")).await, "failed: \"change-1\" is no change of a cluster");
}

#[tokio::test]
async fn a_claim_that_waits_for_its_first_pod_holds_nobody_up() {
    let stage = Stage::new().await;
    let claim = |class: &str| {
        object(
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": class, "namespace": "a"},
            "spec": {"storageClassName": class}}),
        )
    };
    let class = |name: &str, mode: &str| {
        stage.cluster.put(
            &format!("/apis/storage.k8s.io/v1/storageclasses/{name}"),
            json!({"metadata": {"name": name}, "volumeBindingMode": mode}),
        );
    };
    class("late", "WaitForFirstConsumer");
    class("now", "Immediate");
    for (name, expected) in [
        ("late", "healthy"),
        ("now", "progressing: no volume is bound to it yet"),
        ("none", "progressing: no volume is bound to it yet"),
    ] {
        let applied = stage.target.apply(&claim(name), &context(&[])).await.unwrap();
        assert_eq!(told(&stage, &applied.token).await, expected, "{name}");
    }
}
