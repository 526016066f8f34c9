//! Which fields are ours, as the server's `managedFields` tell (Kubernetes, FieldsV1).
//!
//! FieldsV1 is a tree whose keys say what they select: `f:NAME` a field, `k:{…}` the list items with these keys,
//! `v:…` the list items of this value, `i:N` the N-th item, `.` the thing itself. A leaf owns all below it.

use serde_json::{Map, Value};

/// Deepest tree that is followed.
const DEPTH: usize = 100;

/// What the manager of this name applied last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owned<'a> {
    /// The version it was applied in.
    pub api_version: &'a str,
    fields: &'a Value,
}

/// The fields that a manager holds by server-side apply.
pub(crate) fn owned<'a>(object: &'a Value, manager: &str) -> Option<Owned<'a>> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let entry = entries.iter().find(|entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        text("manager") == Some(manager)
            && text("operation") == Some("Apply")
            && text("subresource").is_none()
    })?;
    Some(Owned { api_version: entry.get("apiVersion")?.as_str()?, fields: entry.get("fieldsV1")? })
}

/// Whether applying `desired` would change nothing: the manager holds exactly its fields, in its version, and each
/// has its value. `false` only means that the server has to be asked.
pub(crate) fn unchanged(desired: &Value, live: &Value, manager: &str) -> bool {
    let Some(owned) = owned(live, manager) else { return false };
    let version = desired.get("apiVersion").and_then(Value::as_str);
    version == Some(owned.api_version) && same(&without_identity(desired), &extract(live, &owned))
}

/// What an object holds in the manager's fields.
pub(crate) fn extract(object: &Value, owned: &Owned<'_>) -> Value {
    part(object, owned.fields, 0).unwrap_or(Value::Null)
}

/// What applying `desired` makes of `live`, as far as that can be told without the server: `desired` laid over it,
/// without the fields that the manager holds and no longer desires. Lists that differ in length are taken whole.
pub(crate) fn overlay(live: &Value, desired: &Value, manager: &str) -> Value {
    let kept = match owned(live, manager) {
        Some(owned) => without(live, desired, owned.fields),
        None => live.clone(),
    };
    lay(kept, desired)
}

/// Identity is never in FieldsV1.
fn without_identity(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.shift_remove("apiVersion");
        map.shift_remove("kind");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.shift_remove("name");
            metadata.shift_remove("namespace");
            if metadata.is_empty() {
                map.shift_remove("metadata");
            }
        }
    }
    object
}

fn part(value: &Value, fields: &Value, depth: usize) -> Option<Value> {
    let fields = fields.as_object()?;
    if depth > DEPTH {
        return None;
    }
    if fields.keys().all(|key| key == ".") {
        // `{".": {}}` owns the thing, but nothing in it.
        let empty = match value {
            Value::Object(_) if !fields.is_empty() => Value::Object(Map::new()),
            Value::Array(_) if !fields.is_empty() => Value::Array(Vec::new()),
            whole => whole.clone(),
        };
        return Some(empty);
    }
    match value {
        Value::Object(map) => Some(part_of_map(map, fields, depth)),
        Value::Array(items) => Some(part_of_list(items, fields, depth)),
        _ => None,
    }
}

fn part_of_map(map: &Map<String, Value>, fields: &Map<String, Value>, depth: usize) -> Value {
    let owned = map.iter().filter_map(|(name, value)| {
        let fields = fields.get(&format!("f:{name}"))?;
        Some((name.clone(), part(value, fields, depth + 1)?))
    });
    Value::Object(owned.collect())
}

fn part_of_list(items: &[Value], fields: &Map<String, Value>, depth: usize) -> Value {
    let owned = items.iter().enumerate().filter_map(|(index, item)| {
        let (_, fields) = fields.iter().find(|(selector, _)| selects(selector, index, item))?;
        part(item, fields, depth + 1)
    });
    Value::Array(owned.collect())
}

fn selects(selector: &str, index: usize, item: &Value) -> bool {
    let Some((how, what)) = selector.split_once(':') else { return false };
    match how {
        "i" => what.parse() == Ok(index),
        "v" => serde_json::from_str::<Value>(what).is_ok_and(|value| same(&value, item)),
        "k" => match serde_json::from_str(what) {
            Ok(Value::Object(keys)) => {
                keys.iter().all(|(name, value)| item.get(name).is_some_and(|item| same(item, value)))
            }
            _ => false,
        },
        _ => false,
    }
}

fn without(live: &Value, desired: &Value, fields: &Value) -> Value {
    let (Some(map), Some(desired), Some(fields)) =
        (live.as_object(), desired.as_object(), fields.as_object())
    else {
        return live.clone();
    };
    let kept = map.iter().filter_map(|(name, value)| {
        let below = fields.get(&format!("f:{name}"));
        match (desired.get(name), below) {
            (Some(desired), Some(fields)) => Some((name.clone(), without(value, desired, fields))),
            (None, Some(fields)) if fields.as_object().is_some_and(Map::is_empty) => None,
            (None, Some(fields)) => {
                let rest = without(value, &Value::Object(Map::new()), fields);
                let empty = rest.as_object().is_some_and(Map::is_empty);
                (!empty).then(|| (name.clone(), rest))
            }
            (_, None) => Some((name.clone(), value.clone())),
        }
    });
    Value::Object(kept.collect())
}

fn lay(live: Value, desired: &Value) -> Value {
    match (live, desired) {
        (Value::Object(mut live), Value::Object(desired)) => {
            for (name, value) in desired {
                let below = live.get(name).cloned().unwrap_or(Value::Null);
                live.insert(name.clone(), lay(below, value));
            }
            Value::Object(live)
        }
        (Value::Array(live), Value::Array(desired)) if live.len() == desired.len() => {
            Value::Array(live.into_iter().zip(desired).map(|(live, desired)| lay(live, desired)).collect())
        }
        (_, desired) => desired.clone(),
    }
}

/// Equal, with 1 and 1.0 the same number and mappings in any order.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn live(fields: Value, value: Value) -> Value {
        let mut live = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "managedFields": [
            {"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {}}},
            {"manager": "minato", "operation": "Apply", "apiVersion": "apps/v1", "subresource": "status", "fieldsV1": {}},
            {"manager": "minato", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": fields}]}});
        live.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        live
    }

    fn desired(value: Value) -> Value {
        let mut desired = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        desired.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        desired
    }

    fn containers() -> Value {
        live(
            json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}, "f:args": {}}}}}},
                "f:finalizers": {"v:\"a\"": {}}}),
            json!({"finalizers": ["b", "a"], "spec": {"replicas": 2, "paused": false,
                "selector": {"app": "web"}, "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [
                    {"name": "sidecar", "image": "proxy"},
                    {"name": "web", "image": "web:1", "args": ["a"], "terminationMessagePath": "/x",
                        "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}}),
        )
    }

    fn of_containers(image: &str) -> Value {
        json!({"finalizers": ["a"], "spec": {"replicas": 2, "selector": {"app": "web"}, "template": {"spec": {
            "containers": [{"name": "web", "image": image, "ports": [{"containerPort": 80}], "args": ["a"]}]}}}})
    }

    #[test]
    fn only_what_the_manager_applied_is_ours() {
        let live = containers();
        assert_eq!(extract(&live, &owned(&live, "minato").unwrap()), of_containers("web:1"));
        assert!(owned(&live, "somebody").is_none());
        assert!(owned(&live, "kubectl").is_none());
    }

    #[test]
    fn an_object_is_unchanged_when_our_fields_are_the_desired_ones_with_the_desired_values() {
        let check = |change: fn(&mut Value), expected: bool| {
            let live = live(
                json!({"f:spec": {"f:replicas": {}, "f:image": {}}, "f:data": {"f:a": {}, "f:b": {}}}),
                json!({"spec": {"replicas": 2, "image": "x", "others": true}, "data": {"a": "1", "b": "2", "c": "3"}}),
            );
            let mut wanted =
                desired(json!({"spec": {"replicas": 2, "image": "x"}, "data": {"a": "1", "b": "2"}}));
            change(&mut wanted);
            assert_eq!(unchanged(&wanted, &live, "minato"), expected, "{wanted}");
        };
        check(|_| {}, true);
        check(|wanted| wanted["spec"]["replicas"] = json!(2.0), true);
        check(|wanted| wanted["spec"]["replicas"] = json!(3), false);
        check(|wanted| wanted["spec"]["others"] = json!(true), false);
        check(|wanted| wanted["data"] = json!({"a": "1"}), false);
        check(|wanted| wanted["apiVersion"] = json!("apps/v2"), false);
    }

    #[test]
    fn an_overlay_takes_away_what_was_ours_and_is_no_longer_desired() {
        let live = live(
            json!({"f:data": {"f:a": {}, "f:b": {}}, "f:gone": {"f:x": {}}}),
            json!({"data": {"a": "1", "b": "2", "c": "theirs"}, "gone": {"x": 1}, "list": [{"n": 1, "d": 2}]}),
        );
        let made = overlay(&live, &desired(json!({"data": {"a": "9"}, "list": [{"n": 3}]})), "minato");
        assert_eq!(made["data"], json!({"a": "9", "c": "theirs"}));
        assert_eq!(made["list"], json!([{"n": 3, "d": 2}]));
        assert_eq!(made.get("gone"), None);
        assert_eq!(overlay(&live, &desired(json!({"list": [1, 2]})), "nobody")["list"], json!([1, 2]));
    }

    #[test]
    fn a_bottomless_tree_ends() {
        let mut fields = json!({});
        let mut value = json!(1);
        for _ in 0..(DEPTH * 3) {
            fields = json!({"f:a": fields});
            value = json!({"a": value});
        }
        let live = live(fields, value.clone());
        assert!(!unchanged(&desired(value), &live, "minato"));
    }

    fn document() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..3i64).prop_map(Value::from),
            "[ab]".prop_map(Value::from)
        ];
        scalar.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 1..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// FieldsV1 of a document whose lists are atomic.
    fn fields_of(value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(
                map.iter().map(|(name, value)| (format!("f:{name}"), fields_of(value))).collect(),
            ),
            _ => json!({}),
        }
    }

    proptest! {
        #[test]
        fn what_was_applied_is_unchanged_and_its_overlay_is_live(spec in document()) {
            let live = live(json!({"f:spec": fields_of(&spec)}), json!({"spec": spec.clone(), "theirs": 1}));
            let wanted = desired(json!({"spec": spec.clone()}));
            prop_assert!(unchanged(&wanted, &live, "minato"));
            prop_assert_eq!(overlay(&live, &wanted, "minato"), live);
        }

        #[test]
        fn no_tree_of_fields_breaks_it(fields in document(), spec in document()) {
            let live = live(fields, json!({"spec": spec.clone()}));
            let _ = (unchanged(&desired(json!({"spec": spec.clone()})), &live, "minato"), overlay(&live, &desired(json!({"spec": spec})), "minato"));
        }
    }
}
