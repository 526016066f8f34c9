//! JSON patches (RFC 6902), as evanphx/json-patch 4.12 applies them within Kustomize: negative indices count from the end,
//! `replace` may set a key that is not there, and `add` without a value adds null.

use serde_json::Value;

use crate::pointer;

/// The operations of a patch, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPatch {
    operations: Vec<Operation>,
}

/// One operation as it is written; what is wrong with it is told when it is applied, as Kustomize does.
#[derive(Debug, Clone, PartialEq)]
struct Operation {
    name: String,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

/// Why a patch is not one, or cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonPatchError {
    /// Not a list of mappings.
    #[error("a JSON patch is a list of operations, each a mapping with `op` and `path`")]
    NotAPatch,
    /// `op` is not one of the six.
    #[error("operation {index}: `op` must be add, remove, replace, move, copy or test, not `{name}`")]
    UnknownOperation {
        /// Which operation, from 1.
        index: usize,
        /// What it says.
        name: String,
    },
    /// `path`, `from` or `value` is needed and not there.
    #[error("operation {index} ({name}): `{field}` is missing")]
    MissingField {
        /// Which operation, from 1.
        index: usize,
        /// `add`.
        name: String,
        /// The field.
        field: &'static str,
    },
    /// A place that the operation needs is not there.
    #[error("operation {index} ({name}): there is no `{pointer}`")]
    NoPlace {
        /// Which operation, from 1.
        index: usize,
        /// `add`.
        name: String,
        /// The pointer as written.
        pointer: String,
    },
    /// `test` found something else.
    #[error("operation {index} (test): the value at `{pointer}` is another one")]
    TestFailed {
        /// Which operation, from 1.
        index: usize,
        /// The pointer as written.
        pointer: String,
    },
}

impl JsonPatch {
    /// Reads a patch from its document.
    ///
    /// # Errors
    /// The document is not a list of mappings.
    pub fn from_value(document: &Value) -> Result<JsonPatch, JsonPatchError> {
        let items = document.as_array().ok_or(JsonPatchError::NotAPatch)?;
        let operations = items.iter().map(|item| {
            let fields = item.as_object().ok_or(JsonPatchError::NotAPatch)?;
            let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
            Ok(Operation {
                name: text("op").unwrap_or_else(|| "unknown".to_owned()),
                path: text("path"),
                from: text("from"),
                value: fields.get("value").cloned(),
            })
        });
        Ok(JsonPatch { operations: operations.collect::<Result<_, _>>()? })
    }

    /// The pointers that the operations name, in order: what a reader of errors looks for.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().filter_map(|operation| operation.path.as_deref())
    }
}

/// Applies the operations one after the other.
///
/// # Errors
/// One of them cannot be applied; the value then holds what those before it made.
pub fn json_patch(target: &mut Value, patch: &JsonPatch) -> Result<(), JsonPatchError> {
    for (index, operation) in patch.operations.iter().enumerate() {
        Step { index: index + 1, operation }.apply(target)?;
    }
    Ok(())
}

/// One operation with its number.
struct Step<'patch> {
    index: usize,
    operation: &'patch Operation,
}

impl Step<'_> {
    fn apply(&self, target: &mut Value) -> Result<(), JsonPatchError> {
        match self.operation.name.as_str() {
            "add" => self.add(target, self.value()),
            "remove" => self.remove(target, self.path()?).map(drop),
            "replace" => self.replace(target),
            "move" => {
                let value = self.remove(target, self.from()?)?;
                self.add(target, value)
            }
            "copy" => {
                let value = self.get(target, self.from()?)?.clone();
                self.add(target, value)
            }
            "test" => self.test(target),
            name => Err(JsonPatchError::UnknownOperation { index: self.index, name: name.to_owned() }),
        }
    }

    fn add(&self, target: &mut Value, value: Value) -> Result<(), JsonPatchError> {
        let path = self.path()?;
        let missing = || self.no_place(path);
        match parent(target, path).ok_or_else(missing)? {
            (Value::Object(fields), key) => drop(fields.insert(key, value)),
            (Value::Array(items), key) if key == "-" => items.push(value),
            (Value::Array(items), key) => {
                let index = index(&key, items.len() + 1).ok_or_else(missing)?;
                items.insert(index, value);
            }
            _ => return Err(missing()),
        }
        Ok(())
    }

    fn remove(&self, target: &mut Value, path: &str) -> Result<Value, JsonPatchError> {
        let removed = match parent(target, path) {
            Some((Value::Object(fields), key)) => fields.shift_remove(&key),
            Some((Value::Array(items), key)) => index(&key, items.len()).map(|index| items.remove(index)),
            _ => None,
        };
        removed.ok_or_else(|| self.no_place(path))
    }

    fn replace(&self, target: &mut Value) -> Result<(), JsonPatchError> {
        let path = self.path()?;
        if path.is_empty() {
            let whole = self.operation.value.as_ref().filter(|value| !value.is_null());
            // A single value in place of the whole document does nothing, as with Kustomize.
            let whole = whole.ok_or_else(|| self.missing("value"))?;
            if whole.is_object() || whole.is_array() {
                *target = whole.clone();
            }
            return Ok(());
        }
        let missing = || self.no_place(path);
        match parent(target, path).ok_or_else(missing)? {
            (Value::Object(fields), key) => drop(fields.insert(key, self.value())),
            (Value::Array(items), key) => {
                let index = index(&key, items.len()).ok_or_else(missing)?;
                items[index] = self.value();
            }
            _ => return Err(missing()),
        }
        Ok(())
    }

    fn test(&self, target: &mut Value) -> Result<(), JsonPatchError> {
        let path = self.path()?;
        let expected = self.operation.value.as_ref().ok_or_else(|| self.missing("value"))?;
        let found = if path.is_empty() { &*target } else { self.get(target, path)? };
        if equal(found, expected) {
            return Ok(());
        }
        Err(JsonPatchError::TestFailed { index: self.index, pointer: path.to_owned() })
    }

    /// The value at a pointer; null for a key that a mapping does not have.
    fn get<'target>(&self, target: &'target mut Value, path: &str) -> Result<&'target Value, JsonPatchError> {
        const NOTHING: &Value = &Value::Null;
        let found = match parent(target, path) {
            Some((Value::Object(fields), key)) => Some(fields.get(&key).unwrap_or(NOTHING)),
            Some((Value::Array(items), key)) => index(&key, items.len()).map(|index| &items[index]),
            _ => None,
        };
        found.ok_or_else(|| self.no_place(path))
    }

    fn value(&self) -> Value {
        self.operation.value.clone().unwrap_or(Value::Null)
    }

    fn path(&self) -> Result<&str, JsonPatchError> {
        self.operation.path.as_deref().ok_or_else(|| self.missing("path"))
    }

    fn from(&self) -> Result<&str, JsonPatchError> {
        self.operation.from.as_deref().ok_or_else(|| self.missing("from"))
    }

    fn missing(&self, field: &'static str) -> JsonPatchError {
        JsonPatchError::MissingField { index: self.index, name: self.operation.name.clone(), field }
    }

    fn no_place(&self, pointer: &str) -> JsonPatchError {
        let name = self.operation.name.clone();
        JsonPatchError::NoPlace { index: self.index, name, pointer: pointer.to_owned() }
    }
}

/// The value that holds a pointer's last part, and that part. What stands before the first `/` does not count.
fn parent<'target>(target: &'target mut Value, path: &str) -> Option<(&'target mut Value, String)> {
    let path = &path[path.find('/')?..];
    let mut tokens = pointer::tokens(path).peekable();
    let mut at = target;
    loop {
        let token = tokens.next()?;
        if tokens.peek().is_none() {
            return Some((at, token));
        }
        at = match at {
            Value::Object(fields) => fields.get_mut(&token).filter(|next| !next.is_null())?,
            Value::Array(items) => {
                let index = index(&token, items.len())?;
                &mut items[index]
            }
            _ => return None,
        };
    }
}

/// An index below a length. Go's `Atoi` reads it: signs and leading zeros are allowed, -1 is the last.
fn index(token: &str, length: usize) -> Option<usize> {
    let index: i64 = token.parse().ok()?;
    let index = if index < 0 { index.checked_add(i64::try_from(length).ok()?)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}

/// Equal as JSON texts are: numbers by their spelling.
fn equal(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => found.to_string() == expected.to_string(),
        (found, expected) => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut document: Value, patch: Value) -> Result<Value, String> {
        let patch = JsonPatch::from_value(&patch).map_err(|error| error.to_string())?;
        json_patch(&mut document, &patch).map(|()| document).map_err(|error| error.to_string())
    }

    #[test]
    fn each_operation_does_its_work() {
        let check = |patch: Value, expected: Value| {
            let document = json!({"a": {"b/c": 1, "~": 2}, "list": [1, 2, 3], "nothing": null});
            assert_eq!(patched(document, json!([patch])).unwrap(), expected, "{patch}");
        };
        let document = |edit: fn(&mut Value)| {
            let mut document = json!({"a": {"b/c": 1, "~": 2}, "list": [1, 2, 3], "nothing": null});
            edit(&mut document);
            document
        };
        check(json!({"op": "add", "path": "/a/x", "value": 9}), document(|it| it["a"]["x"] = json!(9)));
        check(
            json!({"op": "add", "path": "/list/-", "value": 9}),
            document(|it| it["list"] = json!([1, 2, 3, 9])),
        );
        check(
            json!({"op": "add", "path": "/list/1", "value": 9}),
            document(|it| it["list"] = json!([1, 9, 2, 3])),
        );
        check(
            json!({"op": "add", "path": "/list/-1", "value": 9}),
            document(|it| it["list"] = json!([1, 2, 3, 9])),
        );
        check(
            json!({"op": "replace", "path": "/a/b~1c", "value": 9}),
            document(|it| it["a"]["b/c"] = json!(9)),
        );
        check(json!({"op": "replace", "path": "/a/~0", "value": 9}), document(|it| it["a"]["~"] = json!(9)));
        check(
            json!({"op": "replace", "path": "/a/new", "value": 9}),
            document(|it| it["a"]["new"] = json!(9)),
        );
        check(json!({"op": "remove", "path": "/list/0"}), document(|it| it["list"] = json!([2, 3])));
        check(json!({"op": "test", "path": "/nothing", "value": null}), document(|_| {}));
        check(json!({"op": "test", "path": "/absent", "value": null}), document(|_| {}));
        check(
            json!({"op": "move", "from": "/list/0", "path": "/a/x"}),
            document(|it| {
                it["list"] = json!([2, 3]);
                it["a"]["x"] = json!(1);
            }),
        );
        check(
            json!({"op": "copy", "from": "/list/0", "path": "/list/-"}),
            document(|it| it["list"] = json!([1, 2, 3, 1])),
        );
    }

    #[test]
    fn what_cannot_be_applied_is_told() {
        let check = |patch: Value, message: &str| {
            assert_eq!(patched(json!({"a": [1], "n": null}), patch).unwrap_err(), message);
        };
        let not_a_patch = "a JSON patch is a list of operations, each a mapping with `op` and `path`";
        check(json!({}), not_a_patch);
        check(json!([1]), not_a_patch);
        check(
            json!([{"path": "/a"}]),
            "operation 1: `op` must be add, remove, replace, move, copy or test, not `unknown`",
        );
        check(json!([{"op": "add"}]), "operation 1 (add): `path` is missing");
        check(json!([{"op": "add", "path": "/x/y"}]), "operation 1 (add): there is no `/x/y`");
        check(json!([{"op": "add", "path": "/n/y"}]), "operation 1 (add): there is no `/n/y`");
        check(json!([{"op": "add", "path": "/a/2"}]), "operation 1 (add): there is no `/a/2`");
        check(json!([{"op": "remove", "path": "/x"}]), "operation 1 (remove): there is no `/x`");
        check(json!([{"op": "remove", "path": "/a/x"}]), "operation 1 (remove): there is no `/a/x`");
        check(
            json!([{"op": "test", "path": "/a/0", "value": 1}, {"op": "test", "path": "/a/0", "value": 2}]),
            "operation 2 (test): the value at `/a/0` is another one",
        );
    }
}
