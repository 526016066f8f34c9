//! Whether an object's change is out, told from the object alone: one rule per kind, as Argo CD's built-in health
//! (gitops-engine, `health`), except where a comment says otherwise.

mod runs;
mod supporting;
mod workloads;

use jiff::Timestamp;
use minato_resource::ResourceKey;
use serde_json::Value;

/// How far a change is, by its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Out and healthy.
    Healthy,
    /// Not yet; what it waits for.
    Progressing(String),
    /// It will not become healthy; why.
    Failed(String),
}

/// Applies the rule of the object's kind. A kind without one is healthy when it is applied.
pub(crate) fn stand(key: &ResourceKey, object: &Value, now: Timestamp) -> Stand {
    let seen = Seen { object, now };
    if seen.text("/metadata/deletionTimestamp").is_some() {
        return Stand::Progressing("it is being deleted".to_owned());
    }
    match (key.group.as_str(), key.kind.as_str()) {
        ("apps", "Deployment") => workloads::deployment(&seen),
        ("apps", "StatefulSet") => workloads::stateful_set(&seen),
        ("apps", "DaemonSet") => workloads::daemon_set(&seen),
        ("apps", "ReplicaSet") => workloads::replica_set(&seen),
        ("batch", "Job") => runs::job(&seen),
        ("", "Pod") => runs::pod(&seen),
        ("", "PersistentVolumeClaim") => supporting::claim(&seen),
        ("", "Service") => supporting::service(&seen),
        ("networking.k8s.io", "Ingress") => supporting::ingress(&seen),
        ("autoscaling", "HorizontalPodAutoscaler") => supporting::autoscaler(&seen),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => supporting::definition(&seen),
        ("apiregistration.k8s.io", "APIService") => supporting::api_service(&seen),
        ("", "Namespace") => supporting::namespace(&seen),
        _ => Stand::Healthy,
    }
}

/// An object at a moment of the server's clock.
struct Seen<'a> {
    object: &'a Value,
    now: Timestamp,
}

impl<'a> Seen<'a> {
    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.object.pointer(pointer)?.as_str()
    }

    fn number(&self, pointer: &str) -> Option<i64> {
        self.object.pointer(pointer)?.as_i64()
    }

    fn count(&self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or_default()
    }

    fn flag(&self, pointer: &str) -> bool {
        self.object.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
    }

    fn list(&self, pointer: &str) -> &'a [Value] {
        self.object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Whether the controller has not looked at the last change yet, so that the status speaks of an older one.
    fn is_unobserved(&self) -> bool {
        self.count("/status/observedGeneration") < self.count("/metadata/generation")
    }

    fn condition(&self, kind: &str) -> Option<Condition<'a>> {
        let conditions = self.list("/status/conditions");
        let found = conditions
            .iter()
            .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))?;
        let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
        let since = text("lastTransitionTime").parse::<Timestamp>().ok();
        Some(Condition {
            holds: text("status") == "True",
            denied: text("status") == "False",
            reason: text("reason"),
            message: text("message"),
            seconds: since.map_or(0, |since| self.now.duration_since(since).as_secs()),
        })
    }
}

/// One entry of `status.conditions`.
struct Condition<'a> {
    holds: bool,
    denied: bool,
    reason: &'a str,
    message: &'a str,
    /// How long it has been so.
    seconds: i64,
}

impl Condition<'_> {
    /// Its message, or its reason where it has none.
    fn said(&self) -> &str {
        if self.message.is_empty() { self.reason } else { self.message }
    }
}

fn unobserved() -> Stand {
    Stand::Progressing("the cluster has not come to it yet".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_resource::Object;
    use proptest::prelude::*;
    use std::path::Path;

    /// Every file of `testdata/health` is one kind: `[{case, object, expected}]`, seen at one o'clock.
    #[test]
    fn each_kind_has_argo_cds_health() {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/health");
        let mut checked = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            for case in cases {
                let object = Object::from_value(case["object"].clone()).unwrap();
                let told = match stand(object.key(), object.value(), now) {
                    Stand::Healthy => "healthy".to_owned(),
                    Stand::Progressing(message) => format!("progressing: {message}"),
                    Stand::Failed(message) => format!("failed: {message}"),
                };
                assert_eq!(told, case["expected"].as_str().unwrap(), "{}: {}", path.display(), case["case"]);
                checked += 1;
            }
        }
        assert!(checked > 60, "only {checked} cases were found");
    }

    fn document() -> impl Strategy<Value = Value> {
        let names =
            "(status|spec|metadata|conditions|type|reason|phase|replicas|generation|lastTransitionTime)";
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-zA-Z]{0,9}".prop_map(Value::from)
        ];
        scalar.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(names, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_object_breaks_a_rule(object in document(), seconds in any::<i32>()) {
            let now = Timestamp::from_second(i64::from(seconds)).unwrap();
            for key in ["apps/Deployment a/x", "apps/StatefulSet a/x", "apps/DaemonSet a/x", "apps/ReplicaSet a/x",
                "batch/Job a/x", "Pod a/x", "autoscaling/HorizontalPodAutoscaler a/x"] {
                let _ = stand(&key.parse().unwrap(), &object, now);
            }
            let pods = [object];
            let _ = (crate::progress::pods::hopeless(&pods, now), crate::progress::pods::worst(&pods, now));
        }
    }
}
