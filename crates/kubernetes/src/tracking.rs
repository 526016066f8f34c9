//! Whose an object is: Argo CD's tracking annotation, written and read as Argo CD does.

use minato_resource::ResourceKey;
use minato_sync::{Owner, TRACKING_ANNOTATION};
use serde_json::{Map, Value};

/// The tracking id of an Object. For cluster-scoped ones Argo CD writes the Application's namespace in it.
pub(crate) fn tracking_id(owner: &Owner, key: &ResourceKey, application_namespace: &str) -> String {
    if key.namespace.is_empty() {
        owner.tracking_id(&key.in_namespace(application_namespace))
    } else {
        owner.tracking_id(key)
    }
}

/// The owner that a tracking id names. An id that was copied from another object names nobody.
pub(crate) fn owner_of(id: &str, found_on: &ResourceKey) -> Option<Owner> {
    if !found_on.namespace.is_empty() {
        return Owner::from_tracking_id(id, found_on);
    }
    let place = id.splitn(3, ':').nth(2)?;
    let (namespace, _) = place.split_once('/')?;
    Owner::from_tracking_id(id, &found_on.in_namespace(namespace))
}

/// Writes the tracking id on an object.
pub(crate) fn track(value: &mut Value, id: String) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(TRACKING_ANNOTATION.to_owned(), Value::String(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owner() -> Owner {
        Owner::new("shop".parse().unwrap())
    }

    #[test]
    fn ids_are_argo_cds_and_read_back() {
        let check = |key: &str, id: &str| {
            let key = key.parse().unwrap();
            assert_eq!(tracking_id(&owner(), &key, "prod"), id);
            assert_eq!(owner_of(id, &key), Some(owner()));
        };
        check("apps/Deployment a/web", "shop:apps/Deployment:a/web");
        check("Service a/web", "shop:/Service:a/web");
        check("Namespace a", "shop:/Namespace:prod/a");
        check(
            "rbac.authorization.k8s.io/ClusterRole system:reader",
            "shop:rbac.authorization.k8s.io/ClusterRole:prod/system:reader",
        );
    }

    #[test]
    fn a_copied_or_odd_id_names_nobody() {
        let check = |key: &str, id: &str| assert_eq!(owner_of(id, &key.parse().unwrap()), None, "{id}");
        check("apps/Deployment a/copy", "shop:apps/Deployment:a/web");
        check("apps/Deployment b/web", "shop:apps/Deployment:a/web");
        check("Namespace a", "shop:/Namespace:prod/b");
        check("Namespace a", "shop:/Namespace");
        check("Namespace a", "");
        check("Namespace a", "../x:/Namespace:prod/a");
    }

    #[test]
    fn the_annotation_is_added_whatever_is_there() {
        for annotations in [json!(null), json!({}), json!("odd"), json!({TRACKING_ANNOTATION: "stale"})] {
            let mut value = json!({"metadata": {"name": "x", "annotations": annotations}});
            track(&mut value, "id".to_owned());
            assert_eq!(value["metadata"]["annotations"][TRACKING_ANNOTATION], "id");
        }
    }
}
