//! The target against Kubernetes' own control plane: what server-side apply, dry runs, webhooks and controllers really do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "only tests use it")]

mod plane;

use std::time::Duration;

use futures_util::StreamExt as _;
use minato_sync::{Health, Outcome, RollbackPolicy, SyncError, Target as _};
use plane::{Plane, Shop};

/// Kinds with defaults, merge keys, quantities and several spellings of one thing.
const FILES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, creationTimestamp: null}
data: {COLOR: blue, EMPTY: ""}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: hush hush, user: me}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "NAME:reader"}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}, annotations: {}}
spec:
  replicas: 2
  progressDeadlineSeconds: 20
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: runner
      containers:
        - name: web
          image: example.com/web:1
          ports: [{containerPort: 8080}]
          resources: {requests: {cpu: 1000m, memory: 0.5Gi}, limits: {memory: 1024Mi}}
          env: [{name: A, value: "1"}, {name: B, valueFrom: {secretKeyRef: {name: db, key: password}}}]
          readinessProbe: {httpGet: {path: /, port: 8080}}
          volumeMounts: [{name: settings, mountPath: /settings}, {name: scratch, mountPath: /tmp}]
      volumes: [{name: settings, configMap: {name: settings}}, {name: scratch, emptyDir: {}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  replicas: 1
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: example.com/store:1}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: load}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: load, image: example.com/load:1}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tidy}
spec:
  schedule: "*/5 * * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: tidy, image: example.com/tidy:1}]}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 50%, selector: {matchLabels: {app: web}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}]}]}
"#;

const DEFINED: &str = r#"
apiVersion: example.com/v1
kind: Shop
metadata: {name: corner}
spec: {open: true}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.example.com}
spec:
  group: example.com
  names: {kind: Shop, plural: shops, singular: shop, listKind: ShopList}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {open: {type: boolean}}}}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: defined-too}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inside, namespace: defined-too}
"#;

fn files(name: &str) -> String {
    FILES.replace("NAME", name)
}

fn pointers(comparison: &minato_sync::Comparison) -> Vec<String> {
    let text = |object: &minato_sync::Compared| match &object.state {
        minato_sync::ObjectState::OutOfSync { differences } => {
            differences.iter().map(|difference| format!("{} {}", object.key, difference.pointer)).collect()
        }
        minato_sync::ObjectState::Synced => Vec::new(),
        other => vec![format!("{} {other:?}", object.key)],
    };
    comparison.objects.iter().flat_map(text).collect()
}

/// One control plane for all of them: it takes seconds to start.
#[tokio::test]
async fn the_real_api_server_agrees() {
    let Some(plane) = Plane::start("the_real_api_server_agrees") else { return };
    an_application_lives_and_goes(&plane).await;
    what_others_change_is_told_apart(&plane).await;
    what_kubectl_applied_is_taken_over(&plane).await;
    a_bad_change_fails_with_its_cause(&plane).await;
    a_failure_is_tried_again_when_asked(&plane).await;
    a_change_wakes_who_follows(&plane).await;
    a_webhook_makes_no_difference(&plane).await;
    a_kind_and_its_objects_come_in_one_sync(&plane).await;
    mistakes_are_refused_before_any_write(&plane).await;
}

async fn an_application_lives_and_goes(plane: &Plane) {
    let shop = plane.application("life", |_| {}).await;
    let outcome = shop.sync(&files("life")).await.unwrap();
    assert!(matches!(outcome, Outcome::Deployed(_)), "{outcome:?}");
    plane.asked();
    let start = std::time::Instant::now();
    assert_eq!(shop.sync(&files("life")).await.unwrap(), Outcome::Unchanged);
    let took = start.elapsed();
    let (writes, dry_runs, reads) = plane.asked();
    eprintln!("a sync with nothing to do: {took:?}, {dry_runs} dry runs, {reads} reads");
    assert_eq!(writes, [""; 0]);
    assert_eq!(pointers(&shop.diff(&files("life")).await), [""; 0]);
    let status = shop.status().await;
    assert_eq!((status.health, status.synced), (Health::Healthy, true), "{:?}", status.objects);
    kubectl_sees_it(plane);
    let changed = it_changes(&shop).await;
    it_shrinks_and_goes(plane, &shop, &changed).await;
}

fn kubectl_sees_it(plane: &Plane) {
    let annotation = "jsonpath={.metadata.annotations.argocd\\.argoproj\\.io/tracking-id}";
    let tracked = plane.kubectl(&["get", "deployment", "web", "-n", "life", "-o", annotation]);
    assert_eq!(tracked, "life:apps/Deployment:life/web");
    let password = plane.kubectl(&["get", "secret", "db", "-n", "life", "-o", "jsonpath={.data.password}"]);
    assert_eq!(password, "aHVzaCBodXNo");
}

async fn it_changes(shop: &Shop) -> String {
    let changed =
        files("life").replace("web:1", "web:2").replace("user: me", "user: you").replace("COLOR: blue, ", "");
    assert_eq!(
        pointers(&shop.diff(&changed).await),
        [
            "ConfigMap life/settings /data/COLOR",
            "Secret life/db /data/user",
            "apps/Deployment life/web /spec/template/spec/containers/0/image"
        ]
    );
    assert!(matches!(shop.sync(&changed).await.unwrap(), Outcome::Deployed(_)));
    assert_eq!(pointers(&shop.diff(&changed).await), [""; 0]);
    changed
}

/// Kinds that are not in Git any more are pruned; what is somebody else's stays.
async fn it_shrinks_and_goes(plane: &Plane, shop: &Shop, files: &str) {
    plane.kubectl_apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: theirs, namespace: life}}");
    let gone = |text: &&str| text.contains("kind: CronJob") || text.contains("kind: ClusterRole");
    let fewer: Vec<&str> = files.split("---").filter(|text| !gone(text)).collect();
    assert!(matches!(shop.sync(&fewer.join("---")).await.unwrap(), Outcome::Deployed(_)));
    assert_eq!(plane.kubectl(&["get", "cronjobs", "-n", "life", "-o", "name"]), "");
    let named = ["get", "clusterrole", "-o", "name", "--field-selector", "metadata.name=life:reader"];
    assert_eq!(plane.kubectl(&named), "");
    shop.delete().await;
    let left =
        plane.kubectl(&["get", "all,configmaps,secrets,pdb,networkpolicies", "-n", "life", "-o", "name"]);
    let left: Vec<&str> = left.lines().filter(|name| !name.contains("kube-root-ca")).collect();
    assert_eq!(left, ["configmap/theirs"]);
}

async fn what_others_change_is_told_apart(plane: &Plane) {
    let shop = plane.application("drift", |_| {}).await;
    shop.sync(&files("drift")).await.unwrap();
    plane.kubectl(&["scale", "deployment/web", "-n", "drift", "--replicas=1"]);
    plane.kubectl(&["annotate", "deployment/web", "-n", "drift", "note=theirs"]);
    plane.kubectl(&["set", "env", "deployment/web", "-n", "drift", "C=theirs"]);
    assert_eq!(pointers(&shop.diff(&files("drift")).await), ["apps/Deployment drift/web /spec/replicas"]);
    plane.kubectl(&["delete", "service/web", "-n", "drift"]);
    assert!(matches!(shop.sync(&files("drift")).await.unwrap(), Outcome::Deployed(_)));
    assert_eq!(pointers(&shop.diff(&files("drift")).await), [""; 0]);
    // A restart by hand is no difference, no failure, and nothing to do.
    plane.kubectl(&["rollout", "restart", "deployment/web", "-n", "drift"]);
    plane.kubectl(&["rollout", "status", "deployment/web", "-n", "drift"]);
    plane.asked();
    assert_eq!(shop.sync(&files("drift")).await.unwrap(), Outcome::Unchanged);
    assert_eq!(plane.asked().0, [""; 0]);
}

async fn what_kubectl_applied_is_taken_over(plane: &Plane) {
    let old = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: default}, data: {COLOR: red, OLD: '1'}}";
    plane.kubectl_apply(old);
    let shop = plane.application("taken", |options| options.namespace = "default".to_owned()).await;
    let files = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {COLOR: blue}}";
    assert!(matches!(shop.sync(files).await.unwrap(), Outcome::Deployed(_)));
    let data = plane.kubectl(&["get", "configmap/settings", "-o", "jsonpath={.data}"]);
    assert_eq!(data, r#"{"COLOR":"blue"}"#);
    plane.asked();
    assert_eq!(shop.sync(files).await.unwrap(), Outcome::Unchanged);
    assert_eq!(plane.asked().0, [""; 0]);
    shop.delete().await;
}

async fn a_bad_change_fails_with_its_cause(plane: &Plane) {
    let shop = plane.application("bad", |_| {}).await;
    shop.sync(&files("bad")).await.unwrap();
    let check = |tag: &'static str, summary: &'static str| {
        let (shop, plane) = (&shop, plane);
        async move {
            let outcome = shop.sync(&files("bad").replace("web:1", &format!("web:2-{tag}"))).await.unwrap();
            let Outcome::RolledBack { cause, .. } = &outcome else { panic!("{outcome:?}") };
            assert!(cause.summary.contains(summary), "{cause:?}");
            assert!(cause.hint.is_some(), "{cause:?}");
            assert_eq!(pointers(&shop.diff(&files("bad")).await), [""; 0]);
            let ready = plane.kubectl(&[
                "get",
                "deployment/web",
                "-n",
                "bad",
                "-o",
                "jsonpath={.status.readyReplicas}",
            ]);
            assert_eq!(ready, "2");
        }
    };
    check("crash-at-start", "container web exited with code 3").await;
    check("never-ready", "container web runs but is not ready").await;
    check("out-of-memory", "over its memory limit").await;
    check("no-image", "can't be pulled").await;
}

async fn a_failure_is_tried_again_when_asked(plane: &Plane) {
    let mut shop = plane.application("again", |_| {}).await;
    shop.application.rollback = RollbackPolicy::Off;
    let bad = files("again").replace("web:1", "web:1-crash-at-start");
    let started = |plane: &Plane| {
        plane.kubectl(&["get", "deployment/web", "-n", "again", "-o", "jsonpath={.metadata.generation}"])
    };
    let outcome = shop.sync(&bad).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let first = started(plane);
    let outcome = shop.sync(&bad).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert_ne!(started(plane), first, "its pods were started anew");
    assert_eq!(pointers(&shop.diff(&bad).await), [""; 0]);
    assert!(matches!(shop.sync(&files("again")).await.unwrap(), Outcome::Deployed(_)));
    assert_eq!(shop.sync(&files("again")).await.unwrap(), Outcome::Unchanged);
}

async fn a_change_wakes_who_follows(plane: &Plane) {
    let shop = plane.application("woken", |_| {}).await;
    shop.sync(&files("woken")).await.unwrap();
    let mut changes = shop.target.watch(&shop.owner()).await.unwrap();
    let wake = async {
        while let Some(change) = changes.next().await {
            if change.key.is_some_and(|key| key.to_string() == "apps/Deployment woken/web") {
                return true;
            }
        }
        false
    };
    // What is there is told first; that is a wake, too.
    assert!(tokio::time::timeout(Duration::from_secs(20), wake).await.unwrap());
}

async fn a_webhook_makes_no_difference(plane: &Plane) {
    plane.kubectl_apply(
        "{apiVersion: v1, kind: Namespace, metadata: {name: hooked, labels: {webhook: 'on'}}}",
    );
    plane.turn_on_webhook();
    let shop = plane.application("hooked", |_| {}).await;
    shop.sync(&files("hooked")).await.unwrap();
    let env = plane.kubectl(&[
        "get",
        "deployment/web",
        "-n",
        "hooked",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].env[*].name}",
    ]);
    assert_ne!(env, "A B", "the webhook was asked");
    assert_eq!(pointers(&shop.diff(&files("hooked")).await), [""; 0]);
    plane.asked();
    assert_eq!(shop.sync(&files("hooked")).await.unwrap(), Outcome::Unchanged);
    assert_eq!(plane.asked().0, [""; 0]);
    assert!(matches!(
        shop.sync(&files("hooked").replace("web:1", "web:2")).await.unwrap(),
        Outcome::Deployed(_)
    ));
    assert_eq!(pointers(&shop.diff(&files("hooked").replace("web:1", "web:2")).await), [""; 0]);
}

async fn a_kind_and_its_objects_come_in_one_sync(plane: &Plane) {
    let shop = plane.application("defined", |_| {}).await;
    let outcome = shop.sync(DEFINED).await.unwrap();
    assert!(matches!(outcome, Outcome::Deployed(_)), "{outcome:?}");
    assert_eq!(plane.kubectl(&["get", "shops", "-n", "defined", "-o", "name"]), "shop.example.com/corner\n");
    assert_eq!(shop.sync(DEFINED).await.unwrap(), Outcome::Unchanged);
    // The schema and an object that needs the new one, together.
    let next = DEFINED
        .replace("open: true}", "open: true, owner: me}")
        .replace("{open: {type: boolean}}", "{open: {type: boolean}, owner: {type: string}}");
    assert!(matches!(shop.sync(&next).await.unwrap(), Outcome::Deployed(_)));
    assert_eq!(pointers(&shop.diff(&next).await), [""; 0]);
    shop.delete().await;
}

async fn mistakes_are_refused_before_any_write(plane: &Plane) {
    let shop = plane.application("wrong", |_| {}).await;
    shop.sync(&files("wrong")).await.unwrap();
    for (from, to, why) in [
        ("replicas: 2", "replicas: -2", "spec.replicas"),
        ("replicas: 2", "replicas: 2\n  replica: 3", "replica"),
        ("{matchLabels: {app: web}}\n  template", "{matchLabels: {app: other}}\n  template", "immutable"),
        ("example.com/load:1", "example.com/load:2", "immutable"),
    ] {
        plane.asked();
        let error = refused(&shop, &files("wrong").replace(from, to)).await;
        assert!(error.contains(why), "{error}");
        assert_eq!(plane.asked().0, [""; 0], "{error}");
    }
}

async fn refused(shop: &Shop, yaml: &str) -> String {
    match shop.sync(yaml).await {
        Err(SyncError::Target(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}
