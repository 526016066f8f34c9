//! Random objects that refer to each other by the few names that there are.

use serde_json::{Value, json};

use crate::random::chance::Chance;

/// Every base has these, so that what changes them finds them.
pub const ALWAYS: [&str; 3] = ["Deployment", "Service", "ConfigMap"];

const MORE: [&str; 14] = [
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Job",
    "Secret",
    "ServiceAccount",
    "RoleBinding",
    "ClusterRole",
    "Ingress",
    "HorizontalPodAutoscaler",
    "PersistentVolumeClaim",
    "Namespace",
    "Widget",
    "NetworkPolicy",
];

/// The objects of a base.
pub fn base(chance: &mut Chance) -> Vec<Value> {
    let mut kinds: Vec<&str> = ALWAYS.to_vec();
    kinds.extend(MORE.iter().filter(|_| chance.percent(22)));
    kinds.into_iter().map(|kind| object(chance, kind)).collect()
}

fn object(chance: &mut Chance, kind: &str) -> Value {
    let labels = json!({"app": "web", "tier": *chance.pick(&["front", "back"])});
    let mut object = match kind {
        "Deployment" => json!({"apiVersion": "apps/v1", "metadata": {"name": "web"}, "spec": {
            "replicas": chance.below(4), "selector": {"matchLabels": {"app": "web"}}, "template": pod(chance)}}),
        "StatefulSet" => json!({"apiVersion": "apps/v1", "metadata": {"name": "db"}, "spec": {
            "serviceName": "web", "replicas": 1, "selector": {"matchLabels": {"app": "db"}}, "template": pod(chance),
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]}}),
        "DaemonSet" => json!({"apiVersion": "apps/v1", "metadata": {"name": "agent"}, "spec": {
            "selector": {"matchLabels": {"app": "agent"}}, "template": pod(chance)}}),
        "CronJob" => json!({"apiVersion": "batch/v1", "metadata": {"name": "nightly"}, "spec": {
            "schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": pod(chance)}}}}),
        "Job" => {
            json!({"apiVersion": "batch/v1", "metadata": {"name": "once"}, "spec": {"template": pod(chance)}})
        }
        "Service" => json!({"apiVersion": "v1", "metadata": {"name": "web"}, "spec": {
            "selector": {"app": "web"}, "ports": ports(chance, "port")}}),
        "ConfigMap" => json!({"apiVersion": "v1", "metadata": {"name": "settings"}, "data": {
            "host": "web", "text": text(chance), "number": "8080"}}),
        "Secret" => {
            json!({"apiVersion": "v1", "metadata": {"name": "keys"}, "type": "Opaque", "data": {"key": "aHVzaA=="}})
        }
        "ServiceAccount" => json!({"apiVersion": "v1", "metadata": {"name": "runner"}}),
        "RoleBinding" => json!({"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "runner"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": *chance.pick(&["runner", "default"]), "namespace": "default"}]}),
        "ClusterRole" => {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader"}, "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"], "resourceNames": ["web"]}]})
        }
        "Ingress" => {
            json!({"apiVersion": "networking.k8s.io/v1", "metadata": {"name": "web"}, "spec": {"rules": [
            {"host": "example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}})
        }
        "HorizontalPodAutoscaler" => {
            json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "web"}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5}})
        }
        "PersistentVolumeClaim" => json!({"apiVersion": "v1", "metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
        "Namespace" => json!({"apiVersion": "v1", "metadata": {"name": "site"}}),
        "NetworkPolicy" => {
            json!({"apiVersion": "networking.k8s.io/v1", "metadata": {"name": "web"}, "spec": {
            "podSelector": {"matchLabels": {"app": "web"}}}})
        }
        _ => json!({"apiVersion": "example.com/v1", "metadata": {"name": "gadget"}, "spec": {
            "serviceName": "web", "list": ["a", {"name": "b"}], "image": "nginx:1", "number": 1.5, "text": text(chance)}}),
    };
    object["kind"] = json!(if kind == "Widget" { "Widget" } else { kind });
    if chance.percent(60) {
        object["metadata"]["labels"] = labels;
    }
    if chance.percent(20) {
        object["metadata"]["annotations"] = json!({"note": text(chance)});
    }
    if chance.percent(8) && !matches!(kind, "Namespace" | "ClusterRole") {
        object["metadata"]["namespace"] = json!("default");
    }
    object
}

fn pod(chance: &mut Chance) -> Value {
    let mut containers = vec![container(chance, "web")];
    if chance.percent(40) {
        containers.push(container(chance, "side"));
    }
    let mut spec = json!({"containers": containers});
    if chance.percent(50) {
        spec["volumes"] =
            json!([{"name": "settings", "configMap": {"name": "settings"}}, {"name": "tmp", "emptyDir": {}}]);
    }
    if chance.percent(30) {
        spec["serviceAccountName"] = json!("runner");
    }
    if chance.percent(20) {
        spec["initContainers"] = json!([container(chance, "init")]);
    }
    json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
}

fn container(chance: &mut Chance, name: &str) -> Value {
    let images = [
        "nginx",
        "nginx:1.25",
        "registry.example.com:5000/team/app:v1",
        "busybox@sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3",
    ];
    let mut container = json!({"name": name, "image": *chance.pick(&images)});
    if chance.percent(60) {
        container["ports"] = ports(chance, "containerPort");
    }
    if chance.percent(60) {
        container["env"] = json!([
            {"name": "HOST", "value": "web"},
            {"name": "TEXT", "value": text(chance)},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
        ]);
    }
    if chance.percent(30) {
        container["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
    }
    if chance.percent(30) {
        container["args"] = json!(["--host", "$(HOST)", text(chance)]);
    }
    if chance.percent(30) {
        container["resources"] = json!({"limits": {"cpu": "500m", "memory": "64Mi"}});
    }
    container
}

fn ports(chance: &mut Chance, name: &str) -> Value {
    let mut ports = vec![json!({name: 80, "name": "http"})];
    if chance.percent(40) {
        ports[0]["protocol"] = json!("TCP");
    }
    if chance.percent(40) {
        ports.push(json!({name: 53, "protocol": "UDP", "name": "dns"}));
    }
    json!(ports)
}

/// Text that YAML writes in every way that it has.
pub fn text(chance: &mut Chance) -> String {
    let texts = [
        "plain",
        "two words",
        "yes",
        "0777",
        "1e3",
        "a: b",
        "- x",
        "#x",
        "line\nline\n",
        "line\n",
        " space",
        "tab\there",
        "{}",
        "é ü",
        "2001-01-01",
        "null",
        "",
        "a long line of many words that is folded when it is written because it does not fit into eighty columns at all",
        "key=value\n\n# comment\n  indented\n",
    ];
    (*chance.pick(&texts)).to_owned()
}
