//! JSON objects of which some fields are known and all are kept.
//!
//! A config's digest is its identity: a field that this version does not know must survive being read and
//! written. Docker also writes `null` for an empty list, which reads as absent.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Takes field `name` out of `fields`; absent and `null` give the default.
pub(crate) fn take<T, E>(fields: &mut Map<String, Value>, name: &str) -> Result<T, E>
where
    T: DeserializeOwned + Default,
    E: serde::de::Error,
{
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => serde_json::from_value(value).map_err(|e| E::custom(format!("field {name}: {e}"))),
    }
}

/// As [`take`], for a field that must be there.
pub(crate) fn require<T, E>(fields: &mut Map<String, Value>, name: &'static str) -> Result<T, E>
where
    T: DeserializeOwned,
    E: serde::de::Error,
{
    let value = fields.shift_remove(name).ok_or_else(|| E::missing_field(name))?;
    serde_json::from_value(value).map_err(|e| E::custom(format!("field {name}: {e}")))
}

/// Collects an object's fields in the order they are written, leaving empty ones out.
#[derive(Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field unless its value is `null`, `false`, `""`, `0`, `[]` or `{}`, as Go's `omitempty` does.
    pub(crate) fn put<E: serde::ser::Error>(self, name: &str, value: &impl Serialize) -> Result<Self, E> {
        let json = serde_json::to_value(value).map_err(E::custom)?;
        Ok(if is_empty(&json) { self } else { self.insert(name, json) })
    }

    /// Adds a field even when it is empty.
    pub(crate) fn put_always<E: serde::ser::Error>(
        self,
        name: &str,
        value: &impl Serialize,
    ) -> Result<Self, E> {
        let json = serde_json::to_value(value).map_err(E::custom)?;
        Ok(self.insert(name, json))
    }

    fn insert(mut self, name: &str, json: Value) -> Self {
        self.0.insert(name.to_owned(), json);
        self
    }

    /// The object: known fields first, then what was kept.
    pub(crate) fn with(mut self, kept: &Map<String, Value>) -> Map<String, Value> {
        self.0.extend(kept.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.0
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    }
}
