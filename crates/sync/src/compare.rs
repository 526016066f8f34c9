//! Desired and live, side by side.

use std::collections::BTreeMap;

use minato_resource::{Object, ResourceKey, pointer};
use serde::Serialize;
use serde_json::Value;

use crate::application::IgnoreDifference;
use crate::difference::{Difference, differences};

/// How one Object stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub enum ObjectState {
    /// Live is what applying it would make.
    Synced,
    /// Live, but different.
    OutOfSync {
        /// What differs, secrets as marks.
        differences: Vec<Difference>,
    },
    /// Desired and not live.
    Missing,
    /// Live, owned by this Application, and no longer desired.
    Extra,
}

/// One Object with its state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The Object.
    pub key: ResourceKey,
    /// How it stands.
    #[serde(flatten)]
    pub state: ObjectState,
}

/// Every Object, desired ones first in their order, then the extra ones by key.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(transparent)]
pub struct Comparison {
    /// The Objects.
    pub objects: Vec<Compared>,
}

impl Comparison {
    /// Whether nothing would be applied.
    pub fn is_synced(&self) -> bool {
        self.objects.iter().all(|object| matches!(object.state, ObjectState::Synced | ObjectState::Extra))
    }

    /// Live Objects that are no longer desired.
    pub fn extra(&self) -> impl Iterator<Item = &ResourceKey> {
        self.objects.iter().filter(|object| object.state == ObjectState::Extra).map(|object| &object.key)
    }

    /// The state of one Object.
    pub fn state(&self, key: &ResourceKey) -> Option<&ObjectState> {
        self.objects.iter().find(|object| object.key == *key).map(|object| &object.state)
    }
}

/// Compares what applying would make (`predicted`, one for each desired Object, in their order) with what is
/// live. Both are in the target's normal form with secrets redacted.
pub fn compare(predicted: &[Object], live: &[Object], ignore: &[IgnoreDifference]) -> Comparison {
    let live_by_key: BTreeMap<&ResourceKey, &Object> =
        live.iter().map(|object| (object.key(), object)).collect();
    let desired = predicted.iter().map(|object| Compared {
        key: object.key().clone(),
        state: live_by_key
            .get(object.key())
            .map_or(ObjectState::Missing, |live| compare_one(object, live, ignore)),
    });
    let mut objects: Vec<Compared> = desired.collect();
    let wanted: std::collections::BTreeSet<&ResourceKey> = predicted.iter().map(Object::key).collect();
    let extra = live_by_key.keys().filter(|key| !wanted.contains(*key));
    let extra: Vec<Compared> =
        extra.map(|key| Compared { key: (*key).clone(), state: ObjectState::Extra }).collect();
    objects.extend(extra);
    Comparison { objects }
}

fn compare_one(predicted: &Object, live: &Object, ignore: &[IgnoreDifference]) -> ObjectState {
    let ignored: Vec<&String> =
        ignore.iter().filter(|rule| applies(rule, predicted.key())).flat_map(|rule| &rule.pointers).collect();
    let found = if ignored.is_empty() {
        differences(live.value(), predicted.value())
    } else {
        let without = |object: &Object| {
            let mut value = object.value().clone();
            ignored.iter().for_each(|pointer| remove(&mut value, pointer));
            value
        };
        differences(&without(live), &without(predicted))
    };
    if found.is_empty() { ObjectState::Synced } else { ObjectState::OutOfSync { differences: found } }
}

fn applies(rule: &IgnoreDifference, key: &ResourceKey) -> bool {
    let matches = |rule: Option<&str>, actual: &str| rule.is_none_or(|rule| rule == "*" || rule == actual);
    matches(Some(&rule.group), &key.group)
        && matches(Some(&rule.kind), &key.kind)
        && matches(rule.name.as_deref(), &key.name)
        && matches(rule.namespace.as_deref(), &key.namespace)
}

fn remove(value: &mut Value, at: &str) {
    let Some(parent) = pointer::parent(at) else { return };
    let Some(last) = pointer::tokens(&at[parent.len()..]).next() else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.shift_remove(&last);
        }
        Some(Value::Array(items)) => {
            if let Some(index) = last.parse().ok().filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, spec: Value) -> Object {
        let value =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec});
        Object::from_value(value).unwrap()
    }

    #[test]
    fn every_object_has_one_of_four_states() {
        let desired = [object("same", json!(1)), object("other", json!({"r": 2})), object("new", json!(1))];
        let live = [object("old", json!(1)), object("other", json!({"r": 1})), object("same", json!(1))];
        let comparison = compare(&desired, &live, &[]);
        let states: Vec<String> = comparison
            .objects
            .iter()
            .map(|compared| {
                let state = serde_json::to_value(&compared.state).unwrap();
                format!("{} {}", compared.key.name, state["state"].as_str().unwrap())
            })
            .collect();
        assert_eq!(states, ["same Synced", "other OutOfSync", "new Missing", "old Extra"]);
        assert!(!comparison.is_synced());
        assert_eq!(comparison.extra().count(), 1);
    }

    #[test]
    fn ignored_fields_do_not_count() {
        let rule = |kind: &str, name: Option<&str>| IgnoreDifference {
            group: "apps".into(),
            kind: kind.into(),
            name: name.map(str::to_owned),
            namespace: None,
            pointers: vec!["/spec/replicas".into(), "/spec/list/0".into(), "/nothing/here".into()],
        };
        let check = |rule: IgnoreDifference, synced: bool| {
            let desired = [object("web", json!({"replicas": 3, "list": [1, 5]}))];
            let live = [object("web", json!({"replicas": 7, "list": [2, 5]}))];
            assert_eq!(compare(&desired, &live, &[rule]).is_synced(), synced);
        };
        check(rule("Deployment", None), true);
        check(rule("*", Some("web")), true);
        check(rule("Deployment", Some("other")), false);
        check(rule("StatefulSet", None), false);
    }
}
