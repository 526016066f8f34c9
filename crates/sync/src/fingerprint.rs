//! One hash for "the same Objects with the same images".

use std::collections::BTreeMap;
use std::fmt;

use minato_oci::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 over redacted Objects and image ids, in a canonical form: the order of Objects and of
/// mapping keys does not matter, the order of lists does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Fingerprint of what a revision brings out.
    pub fn of(redacted: &[Value], images: &BTreeMap<String, Digest>) -> Self {
        let mut objects: Vec<String> = redacted.iter().map(canonical).collect();
        objects.sort_unstable();
        let mut hasher = Sha256::new();
        for part in objects {
            feed(&mut hasher, &part);
        }
        for (reference, id) in images {
            feed(&mut hasher, reference);
            feed(&mut hasher, &id.to_string());
        }
        Self(hex::encode(hasher.finalize()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Length first, so that no two lists of parts run together to the same bytes.
fn feed(hasher: &mut Sha256, part: &str) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part.as_bytes());
}

/// JSON with every mapping's keys sorted.
fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(ordered.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_of_objects_and_keys_does_not_matter_but_content_does() {
        let none = BTreeMap::new();
        let first = Fingerprint::of(&[json!({"a": 1, "b": [1, 2]}), json!({"c": 3})], &none);
        assert_eq!(first, Fingerprint::of(&[json!({"c": 3}), json!({"b": [1, 2], "a": 1})], &none));
        assert_ne!(first, Fingerprint::of(&[json!({"c": 3}), json!({"b": [2, 1], "a": 1})], &none));
        let images = BTreeMap::from([("web".to_owned(), Digest::sha256(b"image"))]);
        assert_ne!(first, Fingerprint::of(&[json!({"a": 1, "b": [1, 2]}), json!({"c": 3})], &images));
    }
}
