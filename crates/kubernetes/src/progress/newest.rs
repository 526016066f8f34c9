//! The pods that belong to this change, not to the one before it.

use minato_sync::TargetError;
use serde_json::Value;

use crate::api::{Api, ApiError, JSON, Place, Query};
use crate::handle::Handle;

/// More pods than these say nothing new.
const LIMIT: &str = "50";

/// Pods of the newest revision of a workload; none for kinds without pods, and none when they may not be read.
pub(super) async fn pods(api: &Api, handle: &Handle, object: &Value) -> Result<Vec<Value>, TargetError> {
    let key = &handle.key;
    match (key.group.as_str(), key.kind.as_str()) {
        ("", "Pod") => Ok(vec![object.clone()]),
        ("apps", "Deployment") => {
            let sets = listed(api, handle, object, ("apps", "replicasets")).await?;
            let Some(set) = newest_set(&sets, &handle.uid) else { return Ok(Vec::new()) };
            let pods = listed(api, handle, object, ("", "pods")).await?;
            Ok(pods.into_iter().filter(|pod| is_owned_by(pod, set)).collect())
        }
        ("apps", "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            let pods = listed(api, handle, object, ("", "pods")).await?;
            Ok(pods.into_iter().filter(|pod| is_of_revision(pod, object, &handle.uid)).collect())
        }
        _ => Ok(Vec::new()),
    }
}

async fn listed(
    api: &Api,
    handle: &Handle,
    object: &Value,
    (group, plural): (&str, &str),
) -> Result<Vec<Value>, TargetError> {
    let place = Place { group, version: "v1", plural, namespace: &handle.key.namespace };
    let query = Query::new().with("labelSelector", &selector(object)).with("limit", LIMIT);
    match api.get(&query.after(&place.list()), JSON).await {
        Ok(mut answer) => match answer.value.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(Vec::new()),
        },
        Err(ApiError::Refused(refusal)) if refusal.code == 403 => Ok(Vec::new()),
        Err(error) => Err(error.asked(format!("the {plural} of {}", handle.key))),
    }
}

/// `spec.selector.matchLabels` as a query; expressions can be left out, because owners are compared too.
fn selector(object: &Value) -> String {
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let pairs =
        labels.into_iter().flatten().filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

/// The ReplicaSet that the Deployment made, or took again, last.
fn newest_set<'a>(sets: &'a [Value], deployment: &str) -> Option<&'a str> {
    let revision = |set: &Value| {
        let annotations = set.pointer("/metadata/annotations")?;
        annotations.get("deployment.kubernetes.io/revision")?.as_str()?.parse::<u64>().ok()
    };
    let ours = sets.iter().filter(|set| is_owned_by(set, deployment));
    ours.max_by_key(|set| revision(set))?.pointer("/metadata/uid")?.as_str()
}

fn is_owned_by(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner.get("uid").and_then(Value::as_str) == Some(uid))
}

/// Whether a pod runs what its owner says now. Jobs and ReplicaSets have one revision only.
fn is_of_revision(pod: &Value, owner: &Value, uid: &str) -> bool {
    let text =
        |value: &'_ Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let label = |name: &str| text(pod, &format!("/metadata/labels/{name}"));
    let wanted = text(owner, "/status/updateRevision");
    let generation = text(owner, "/metadata/annotations/deprecated.daemonset.template.generation");
    is_owned_by(pod, uid)
        && wanted.is_none_or(|wanted| label("controller-revision-hash").as_ref() == Some(&wanted))
        && generation
            .is_none_or(|wanted| label("pod-template-generation").is_none_or(|label| label == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owned(uid: &str, name: &str, labels: Value) -> Value {
        json!({"metadata": {"uid": name, "labels": labels, "ownerReferences": [{"uid": uid}]}})
    }

    #[test]
    fn the_newest_set_is_the_one_of_the_highest_revision() {
        let set = |name: &str, owner: &str, revision: &str| {
            let mut set = owned(owner, name, json!({}));
            set["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": revision});
            set
        };
        let sets =
            [set("old", "d", "9"), set("new", "d", "10"), set("other", "e", "11"), set("odd", "d", "x")];
        assert_eq!(newest_set(&sets, "d"), Some("new"));
        assert_eq!(newest_set(&sets, "nobody"), None);
    }

    #[test]
    fn only_pods_of_the_owners_revision_count() {
        let check = |owner: Value, labels: Value, expected: bool| {
            assert_eq!(is_of_revision(&owned("o", "p", labels), &owner, "o"), expected);
        };
        let stateful = json!({"status": {"updateRevision": "b"}});
        check(stateful.clone(), json!({"controller-revision-hash": "b"}), true);
        check(stateful.clone(), json!({"controller-revision-hash": "a"}), false);
        check(stateful, json!({}), false);
        let daemon = json!({"metadata": {"annotations": {"deprecated.daemonset.template.generation": "2"}}});
        check(daemon.clone(), json!({"pod-template-generation": "2"}), true);
        check(daemon, json!({"pod-template-generation": "1"}), false);
        check(json!({}), json!({}), true);
        assert!(!is_of_revision(&owned("other", "p", json!({})), &json!({}), "o"));
    }

    #[test]
    fn labels_become_a_query() {
        let object =
            json!({"spec": {"selector": {"matchLabels": {"app": "web", "example.com/tier": "front"}}}});
        assert_eq!(selector(&object), "app=web,example.com/tier=front");
    }
}
