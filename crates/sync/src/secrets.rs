//! Secret values: never in what is compared, printed or remembered, yet comparable and restorable.
//!
//! A value is replaced by a mark, `redacted:` and a keyed hash: equal values have equal marks, and without the
//! key of this machine's state a short password can't be guessed from its mark.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minato_resource::{Object, ResourceKey, pointer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const MARK: &str = "redacted:";

/// How many hex digits of the hash a mark shows: 128 bits, far beyond chance.
const MARK_DIGITS: usize = 32;

/// Annotation in which `kubectl apply` keeps a copy of the whole object, its secrets included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Replaces secret values by marks.
#[derive(Clone)]
pub struct Redactor {
    key: [u8; 32],
}

impl Redactor {
    /// A redactor with the key of this machine's state.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The mark of a value.
    pub fn mark(&self, value: &[u8]) -> String {
        // The key has a fixed length and stands before and after, so no length extension is possible.
        let hash = Sha256::new().chain_update(self.key).chain_update(value).chain_update(self.key).finalize();
        format!("{MARK}{}", &hex::encode(hash)[..MARK_DIGITS])
    }

    /// The Object with every secret value replaced. What is marked already stays, so redacting twice is
    /// redacting once. Objects that hold no secrets come back as they are.
    pub fn redact(&self, object: &Object) -> Value {
        let mut value = object.value().clone();
        if !holds_secrets(object.key()) {
            return value;
        }
        for (field, encoded) in SECRET_FIELDS {
            let Some(entries) = value.get_mut(field).and_then(Value::as_object_mut) else { continue };
            for entry in entries.values_mut() {
                *entry = Value::String(self.mark_entry(entry, encoded));
            }
        }
        if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove(LAST_APPLIED);
        }
        value
    }

    fn mark_entry(&self, entry: &Value, encoded: bool) -> String {
        match entry.as_str() {
            Some(text) if is_mark(text) => text.to_owned(),
            Some(text) if encoded => self.mark(&decode(text)),
            Some(text) => self.mark(text.as_bytes()),
            // Not a string: wrong, but not ours to print.
            None => self.mark(entry.to_string().as_bytes()),
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Redactor")
    }
}

/// Where secret values come from when no Object at hand holds them: an `.env` file, a secrets service.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The value, or `None` when the source has none under that name.
    async fn resolve(&self, reference: &SecretReference) -> Result<Option<SecretValue>, SecretError>;

    /// The keys it has for a Secret, for those who take all of them; empty when it does not know the Secret.
    async fn keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, SecretError>;
}

/// What names a secret value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretReference {
    /// Namespace of the Secret; empty for stores that have none.
    pub namespace: String,
    /// Name of the Secret, or the identifier that the file refers to it by.
    pub name: String,
    /// Key inside it; `None` for a secret that is one value.
    pub key: Option<String>,
}

impl std::fmt::Display for SecretReference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name)?;
        self.key.iter().try_for_each(|key| write!(formatter, "/{key}"))
    }
}

/// A secret value. It shows itself to nobody by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// Takes a value.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretValue(…)")
    }
}

/// Why a secret value can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The source could not be read.
    #[error("secret {reference}: {message}")]
    Unreadable {
        /// Which one.
        reference: SecretReference,
        /// What went wrong; never the value.
        message: String,
    },
    /// A remembered revision needs a value that is nowhere any more.
    #[error(
        "secret {reference} of the earlier revision is gone: give it in the files or in the secrets that minato.yaml names"
    )]
    Gone {
        /// Which one.
        reference: SecretReference,
    },
    /// Marked data that is not a Secret's.
    #[error("{key}: the remembered object can't be restored: {message}")]
    NotRestorable {
        /// The Object.
        key: ResourceKey,
        /// Why.
        message: String,
    },
}

/// A remembered Object with its secret values put back.
#[derive(Debug)]
pub struct Restored {
    /// The Object, secrets in clear.
    pub object: Object,
    /// Values that are not the ones the revision had: today's are used.
    pub changed: Vec<SecretReference>,
}

impl Redactor {
    /// Puts secret values back into a remembered Object: from `at_hand` (Objects of the files, in clear), else
    /// from `source`.
    ///
    /// # Errors
    /// A value that is in neither, or a source that can't be read.
    pub async fn restore(
        &self,
        remembered: &Value,
        at_hand: &[Object],
        source: &dyn SecretSource,
    ) -> Result<Restored, SecretError> {
        let object =
            Object::from_value(remembered.clone()).map_err(|error| not_restorable(remembered, &error))?;
        let mut restored = Restored { object, changed: Vec::new() };
        if !holds_secrets(restored.object.key()) {
            return Ok(restored);
        }
        for (field, encoded) in SECRET_FIELDS {
            for (name, mark) in marks(&restored.object, field) {
                let reference = SecretReference {
                    namespace: restored.object.namespace().to_owned(),
                    name: restored.object.name().to_owned(),
                    key: Some(name.clone()),
                };
                let value = match value_at_hand(at_hand, restored.object.key(), &name) {
                    Some(value) => value,
                    None => match source.resolve(&reference).await? {
                        Some(value) => value,
                        None => return Err(SecretError::Gone { reference }),
                    },
                };
                if self.mark(value.expose()) != mark {
                    restored.changed.push(reference);
                }
                restored.object = put(&restored.object, field, &name, &value, encoded)?;
            }
        }
        Ok(restored)
    }
}

/// (field, whether its values are base64).
const SECRET_FIELDS: [(&str, bool); 2] = [("data", true), ("stringData", false)];

fn holds_secrets(key: &ResourceKey) -> bool {
    key.is("", "Secret")
}

/// Whether a text stands for a secret value that was taken out.
pub fn is_mark(text: &str) -> bool {
    text.strip_prefix(MARK)
        .is_some_and(|hash| hash.len() == MARK_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The value behind base64; what is not base64 stands for itself, so that it is still never shown.
fn decode(text: &str) -> Vec<u8> {
    let compact: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    BASE64.decode(compact).unwrap_or_else(|_| text.as_bytes().to_vec())
}

fn marks(object: &Object, field: &str) -> Vec<(String, String)> {
    let entries = object.text_map(&format!("/{field}"));
    let marked = entries.into_iter().filter(|(_, text)| is_mark(text));
    marked.map(|(name, mark)| (name.to_owned(), mark.to_owned())).collect()
}

fn value_at_hand(at_hand: &[Object], key: &ResourceKey, name: &str) -> Option<SecretValue> {
    let secret = at_hand.iter().find(|object| object.key() == key)?;
    let clear = |field| secret.text(&pointer::join(field, name)).filter(|text| !is_mark(text));
    let string = clear("/stringData").map(|text| text.as_bytes().to_vec());
    string.or_else(|| clear("/data").map(decode)).map(SecretValue::new)
}

fn put(
    object: &Object,
    field: &str,
    name: &str,
    value: &SecretValue,
    encoded: bool,
) -> Result<Object, SecretError> {
    let not_restorable = |message: String| SecretError::NotRestorable { key: object.key().clone(), message };
    let text = if encoded {
        BASE64.encode(value.expose())
    } else {
        let text = String::from_utf8(value.expose().to_vec());
        text.map_err(|_| not_restorable(format!("`stringData.{name}` is not text any more")))?
    };
    let pointer = pointer::join(&format!("/{field}"), name);
    object.with(&pointer, Value::String(text)).map_err(|error| not_restorable(error.to_string()))
}

fn not_restorable(remembered: &Value, error: &minato_resource::ObjectError) -> SecretError {
    let text = |pointer: &str| remembered.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    let key = ResourceKey::new("", text("/kind"), "", text("/metadata/name"));
    SecretError::NotRestorable { key, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Nothing;

    #[async_trait]
    impl SecretSource for Nothing {
        async fn resolve(&self, _: &SecretReference) -> Result<Option<SecretValue>, SecretError> {
            Ok(None)
        }

        async fn keys(&self, _: &str, _: &str) -> Result<Vec<String>, SecretError> {
            Ok(Vec::new())
        }
    }

    fn secret(data: Value, string_data: Value) -> Object {
        let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
            "data": data, "stringData": string_data});
        Object::from_value(value).unwrap()
    }

    #[test]
    fn marks_hide_values_and_tell_them_apart() {
        let redactor = Redactor::new([7; 32]);
        let object = secret(json!({"password": "aHVzaA=="}), json!({"same": "hush", "other": "x"}));
        let redacted = redactor.redact(&object);
        let text = redacted.to_string();
        assert!(!text.contains("hush") && !text.contains("aHVzaA"), "{text}");
        assert_eq!(redacted.pointer("/data/password"), redacted.pointer("/stringData/same"));
        assert_ne!(redacted.pointer("/stringData/same"), redacted.pointer("/stringData/other"));
        assert_eq!(redactor.redact(&Object::from_value(redacted.clone()).unwrap()), redacted);
        assert_ne!(Redactor::new([8; 32]).redact(&object), redacted);
    }

    #[test]
    fn a_copy_that_kubectl_left_is_dropped() {
        let object = secret(json!({}), json!({}));
        let copy = json!({LAST_APPLIED: "{\"data\":{\"password\":\"aHVzaA==\"}}", "keep": "1"});
        let redacted = Redactor::new([7; 32]).redact(&object.with("/metadata/annotations", copy).unwrap());
        assert_eq!(redacted.pointer("/metadata/annotations"), Some(&json!({"keep": "1"})));
    }

    #[tokio::test]
    async fn values_come_back_from_what_is_at_hand_and_a_missing_one_is_named() {
        let redactor = Redactor::new([7; 32]);
        let object = secret(json!({"password": "aHVzaA=="}), json!({"user": "me"}));
        let remembered = redactor.redact(&object);

        let same = redactor.restore(&remembered, std::slice::from_ref(&object), &Nothing).await.unwrap();
        assert_eq!(same.object, object);
        assert!(same.changed.is_empty());

        let changed = [secret(json!({"password": "bG91ZA=="}), json!({"user": "me"}))];
        let restored = redactor.restore(&remembered, &changed, &Nothing).await.unwrap();
        assert_eq!(restored.object.text("/data/password"), Some("bG91ZA=="));
        assert_eq!(restored.changed.len(), 1);

        let gone = redactor.restore(&remembered, &[], &Nothing).await.unwrap_err();
        assert!(gone.to_string().starts_with("secret db/password of the earlier revision is gone"), "{gone}");
    }
}
