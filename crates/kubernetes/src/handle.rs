//! What a token of this target holds: which change of which object.

use minato_resource::ResourceKey;
use minato_sync::Token;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::ownership::{extract, owned};

const VERSION: u32 = 1;

/// One change of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Handle {
    version: u32,
    pub key: ResourceKey,
    pub api_version: String,
    /// Another object of the same name has another one.
    pub uid: String,
    /// `metadata.generation` after the change; 0 for kinds that have none.
    pub generation: i64,
    /// Hash of what the change wrote into the pod template, for kinds that have one.
    pub template: Option<String>,
}

impl Handle {
    /// The change after which the server answered `object`.
    pub(crate) fn of(key: &ResourceKey, object: &Value, manager: &str) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            version: VERSION,
            key: key.clone(),
            api_version: text("/apiVersion"),
            uid: text("/metadata/uid"),
            generation: generation(object),
            template: template_hash(object, manager),
        }
    }

    /// Reads a token; `None` for one that is not of this target, or of a later version of it.
    pub(crate) fn parse(token: &Token) -> Option<Self> {
        let handle: Self = serde_json::from_str(token.as_str()).ok()?;
        (handle.version == VERSION).then_some(handle)
    }

    pub(crate) fn token(&self) -> Token {
        Token::new(serde_json::to_string(self).expect("keys and texts can always be written as JSON"))
    }

    /// Whether `object` was read after the change.
    pub(crate) fn is_in(&self, object: &Value) -> bool {
        generation(object) >= self.generation
    }

    /// Why `object` no longer holds this change; `None` while it does. Scaling, restarts, labels and what other
    /// managers add don't replace it; another object of the name and another pod template do.
    pub(crate) fn replaced(&self, object: &Value, manager: &str) -> Option<String> {
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        if uid != self.uid {
            return Some("was deleted and made again by somebody else".to_owned());
        }
        let same = self.template.is_none() || self.template == template_hash(object, manager);
        (!same).then(|| match last_writer(object) {
            Some(writer) => format!("was changed by somebody else ({writer})"),
            None => "was changed by somebody else".to_owned(),
        })
    }
}

fn generation(object: &Value) -> i64 {
    object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default()
}

/// Hash of the fields of the pod template that the manager holds, in canonical form.
fn template_hash(object: &Value, manager: &str) -> Option<String> {
    object.pointer("/spec/template")?;
    let ours = owned(object, manager).map_or(Value::Null, |owned| extract(object, &owned));
    let template = ours.pointer("/spec/template").cloned().unwrap_or(Value::Null);
    let mut canonical = String::new();
    write_sorted(&template, &mut canonical);
    let hash = hex::encode(Sha256::digest(canonical));
    Some(hash[..16].to_owned())
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in entries {
                text.push_str(&format!("{name:?}:"));
                write_sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// `MANAGER at TIME` of the last write that was no status.
fn last_writer(object: &Value) -> Option<String> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let writes = entries.iter().filter(|entry| entry.get("subresource").is_none());
    let last = writes.max_by_key(|entry| text(entry, "time"))?;
    Some(format!("{} at {}", text(last, "manager")?, text(last, "time")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(image: &str, replicas: i64, uid: &str) -> Value {
        json!({"apiVersion": "apps/v1", "metadata": {"uid": uid, "generation": 3, "managedFields": [
            {"manager": "minato", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:image": {}}}}},
            {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-02T00:00:00Z",
                "fieldsV1": {}},
            {"manager": "controller", "operation": "Update", "subresource": "status", "time": "2026-01-03T00:00:00Z"}]},
            "spec": {"replicas": replicas, "template": {"image": image, "restartedAt": replicas}}})
    }

    fn handle() -> Handle {
        Handle::of(&"apps/Deployment a/web".parse().unwrap(), &deployment("web:1", 2, "u"), "minato")
    }

    #[test]
    fn a_token_reads_back_and_others_do_not() {
        let handle = handle();
        assert_eq!((handle.uid.as_str(), handle.generation), ("u", 3));
        assert_eq!(Handle::parse(&handle.token()), Some(handle.clone()));
        assert_eq!(Handle::parse(&Token::new("change-1")), None);
        let later = Handle { version: 2, ..handle };
        assert_eq!(Handle::parse(&later.token()), None);
    }

    #[test]
    fn a_change_is_replaced_by_another_template_or_object_only() {
        let check = |object: Value, expected: Option<&str>| {
            assert_eq!(handle().replaced(&object, "minato").as_deref(), expected);
        };
        check(deployment("web:1", 2, "u"), None);
        check(deployment("web:1", 9, "u"), None);
        check(
            deployment("web:2", 2, "u"),
            Some("was changed by somebody else (kubectl-edit at 2026-01-02T00:00:00Z)"),
        );
        check(deployment("web:1", 2, "v"), Some("was deleted and made again by somebody else"));
    }

    #[test]
    fn a_kind_without_pods_has_no_template() {
        let service = json!({"apiVersion": "v1", "metadata": {"uid": "u"}});
        let handle = Handle::of(&"Service a/web".parse().unwrap(), &service, "minato");
        assert_eq!((handle.template.as_ref(), handle.generation), (None, 0));
        assert_eq!(handle.replaced(&service, "minato"), None);
    }
}
