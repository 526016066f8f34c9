//! Taking over what was applied by a tool that this one replaces.
//!
//! A field stays in an object as long as one manager holds it. What `kubectl apply` or Argo CD applied would so stay for
//! ever, even when Git no longer has it; their fields become ours, as `kubectl apply --server-side` and Argo CD's
//! `ClientSideApplyMigration` do it.

use serde_json::{Map, Value, json};

/// (manager, operation) of tools that apply whole objects from files.
const REPLACED: &[(&str, &str)] = &[
    ("kubectl-client-side-apply", "Update"),
    ("argocd-controller", "Update"),
    ("argocd-controller", "Apply"),
];

/// The object's `managedFields` with the fields of replaced tools as the manager's; `None` when there are none.
/// `object` is one that the manager has applied.
pub(crate) fn adopted(object: &Value, manager: &str) -> Option<Value> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let (theirs, mut rest): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|entry| is_replaced(entry));
    if theirs.is_empty() {
        return None;
    }
    let place = rest.iter().position(|entry| is_by(entry, manager, "Apply"))?;
    let mut ours = rest.remove(place).clone();
    let version = ours.get("apiVersion").cloned();
    // Fields of another version of the kind may have other names: those stay whose they are.
    let (theirs, others): (Vec<&Value>, Vec<&Value>) =
        theirs.into_iter().partition(|entry| entry.get("apiVersion").cloned() == version);
    if theirs.is_empty() {
        return None;
    }
    for entry in theirs {
        let fields = entry.get("fieldsV1").cloned().unwrap_or_else(|| json!({}));
        let union = union(ours.get("fieldsV1").cloned().unwrap_or_else(|| json!({})), fields);
        ours.as_object_mut()?.insert("fieldsV1".to_owned(), union);
    }
    let all = rest.into_iter().chain(others).cloned().chain([ours]);
    Some(Value::Array(all.collect()))
}

fn is_replaced(entry: &Value) -> bool {
    REPLACED.iter().any(|(manager, operation)| is_by(entry, manager, operation))
}

fn is_by(entry: &Value, manager: &str, operation: &str) -> bool {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    text("manager") == Some(manager) && text("operation") == Some(operation) && text("subresource").is_none()
}

/// Both trees of fields.
fn union(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            for (name, below) in right {
                let own = left.get(&name).cloned().unwrap_or_else(|| Value::Object(Map::new()));
                left.insert(name, union(own, below));
            }
            Value::Object(left)
        }
        (left, _) => left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, version: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": version, "fieldsV1": fields})
    }

    fn check(entries: Vec<Value>, expected: Option<Value>) {
        let object = json!({"metadata": {"managedFields": entries}});
        assert_eq!(adopted(&object, "minato"), expected);
    }

    #[test]
    fn fields_of_replaced_tools_become_ours() {
        let ours = entry("minato", "Apply", "apps/v1", json!({"f:spec": {"f:a": {}}}));
        let controller = entry("kube-controller-manager", "Update", "apps/v1", json!({"f:status": {}}));
        let kubectl = entry(
            "kubectl-client-side-apply",
            "Update",
            "apps/v1",
            json!({"f:spec": {"f:a": {}, "f:b": {}}}),
        );
        let union = entry("minato", "Apply", "apps/v1", json!({"f:spec": {"f:a": {}, "f:b": {}}}));
        check(vec![kubectl, controller.clone(), ours.clone()], Some(json!([controller.clone(), union])));
        check(vec![controller, ours], None);
    }

    #[test]
    fn what_was_applied_in_another_version_or_to_a_part_is_left() {
        let ours = entry("minato", "Apply", "autoscaling/v2", json!({"f:spec": {}}));
        let other = entry("argocd-controller", "Apply", "autoscaling/v1", json!({"f:spec": {"f:old": {}}}));
        let mut status = entry("argocd-controller", "Update", "autoscaling/v2", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        check(vec![other, ours.clone()], None);
        check(vec![status, ours], None);
        check(vec![], None);
    }
}
