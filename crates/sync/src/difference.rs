//! Field-level differences between two documents.

use minato_resource::pointer;
use serde::Serialize;
use serde_json::Value;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// JSON pointer of the field.
    pub pointer: String,
    /// What is live; `None` when the field is not there.
    pub live: Option<Value>,
    /// What is desired; `None` when the field is to go.
    pub desired: Option<Value>,
}

/// Every field in which two documents differ, in the order of `desired`. Lists of different length are compared
/// item by item as far as they go, and by their names where every item has one.
pub fn differences(live: &Value, desired: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("", Some(live), Some(desired), &mut found);
    found
}

fn walk(at: &str, live: Option<&Value>, desired: Option<&Value>, found: &mut Vec<Difference>) {
    match (live, desired) {
        (Some(live), Some(desired)) if same(live, desired) => {}
        (Some(Value::Object(live)), Some(Value::Object(desired))) => {
            for (name, value) in desired {
                walk(&pointer::join(at, name), live.get(name), Some(value), found);
            }
            for (name, value) in live.iter().filter(|(name, _)| !desired.contains_key(*name)) {
                walk(&pointer::join(at, name), Some(value), None, found);
            }
        }
        (Some(Value::Array(live)), Some(Value::Array(desired))) => walk_list(at, live, desired, found),
        (live, desired) => {
            found.push(Difference { pointer: at.to_owned(), live: live.cloned(), desired: desired.cloned() })
        }
    }
}

fn walk_list(at: &str, live: &[Value], desired: &[Value], found: &mut Vec<Difference>) {
    let before = found.len();
    for (index, value) in desired.iter().enumerate() {
        let partner = partner(live, index, value);
        walk(&pointer::join(at, &index.to_string()), partner, Some(value), found);
    }
    for (index, value) in live.iter().enumerate() {
        if partner_index(desired, index, value).is_none() {
            walk(&pointer::join(at, &index.to_string()), Some(value), None, found);
        }
    }
    if found.len() == before {
        // Every item has its equal, so what differs is their order.
        found.push(Difference {
            pointer: at.to_owned(),
            live: Some(Value::Array(live.to_vec())),
            desired: Some(Value::Array(desired.to_vec())),
        });
    }
}

fn partner<'a>(others: &'a [Value], index: usize, item: &Value) -> Option<&'a Value> {
    others.get(partner_index(others, index, item)?)
}

/// The item of the other list that this one became: the one of the same name, else of the same place.
fn partner_index(others: &[Value], index: usize, item: &Value) -> Option<usize> {
    let name = |value: &Value| value.get("name").cloned();
    match name(item) {
        Some(wanted) => others.iter().position(|other| name(other).as_ref() == Some(&wanted)),
        None => others.get(index).filter(|other| name(other).is_none()).map(|_| index),
    }
}

/// Equal, with 1 and 1.0 the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(live: Value, desired: Value, expected: &[&str]) {
        let found: Vec<String> = differences(&live, &desired).into_iter().map(|d| d.pointer).collect();
        assert_eq!(found, expected, "{live} → {desired}");
    }

    #[test]
    fn a_difference_names_the_smallest_field() {
        check(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1, "c": 3}}), &["/a/c"]);
        check(json!({"a": 1}), json!({"b": 1}), &["/b", "/a"]);
        check(json!({"a/b": 1}), json!({"a/b": 2}), &["/a~1b"]);
        check(json!({"n": 1}), json!({"n": 1.0}), &[]);
        check(json!({"l": [1, 2, 3]}), json!({"l": [1, 4]}), &["/l/1", "/l/2"]);
        check(json!({"a": null}), json!({}), &["/a"]);
    }

    #[test]
    fn named_items_are_compared_with_their_namesake() {
        let live = json!([{"name": "a", "v": 1}, {"name": "b", "v": 2}]);
        check(
            live.clone(),
            json!([{"name": "x", "v": 0}, {"name": "a", "v": 1}, {"name": "b", "v": 3}]),
            &["/0", "/2/v"],
        );
        check(live.clone(), json!([{"name": "b", "v": 2}]), &["/0"]);
        check(live, json!([{"name": "b", "v": 2}, {"name": "a", "v": 1}]), &[""]);
    }

    fn document() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3i64).prop_map(Value::from),
            "[ab]".prop_map(Value::from)
        ];
        scalar.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(name|a|b)", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_difference_means_equal_and_equal_means_no_difference(left in document(), right in document()) {
            prop_assert_eq!(differences(&left, &right).is_empty(), left == right);
            prop_assert!(differences(&left, &left).is_empty());
        }
    }
}
