//! JSON pointers (RFC 6901): `/spec/template/spec/containers/0/image`.

use serde_json::Value;

/// Why a value could not be put at a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// Not empty and not starting with `/`.
    #[error("`{0}` is not a JSON pointer: it must start with `/`")]
    Malformed(String),
    /// A part before the last is not there, or is a scalar.
    #[error("nothing can be put at `{0}`: its parent is not a mapping or sequence")]
    NoParent(String),
    /// The last part is not an index of the sequence.
    #[error("`{0}` does not name an item of the sequence")]
    NoItem(String),
}

/// One part of a pointer, escaped: `~` becomes `~0`, `/` becomes `~1`.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The pointer to a child: `join("/metadata/labels", "app/name")` is `/metadata/labels/app~1name`.
pub fn join(parent: &str, token: &str) -> String {
    format!("{parent}/{}", escape(token))
}

/// The pointer without its last part; `None` for the whole document.
pub fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').map(|index| &pointer[..index])
}

/// The parts of a pointer, unescaped.
pub fn tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    let rest = pointer.strip_prefix('/');
    rest.into_iter().flat_map(|rest| rest.split('/')).map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// Puts a value at a pointer: replaces what is there, adds a key to a mapping that is there, or appends to a
/// sequence that is there (index = length, or `-`).
///
/// # Errors
/// The parent is not there or has no such item; the document is then unchanged.
pub fn set(document: &mut Value, pointer: &str, value: Value) -> Result<(), PointerError> {
    let Some(parent_pointer) = parent(pointer) else {
        if !pointer.is_empty() {
            return Err(PointerError::Malformed(pointer.to_owned()));
        }
        *document = value;
        return Ok(());
    };
    if !pointer.starts_with('/') {
        return Err(PointerError::Malformed(pointer.to_owned()));
    }
    let last = tokens(&pointer[parent_pointer.len()..]).next().unwrap_or_default();
    match document.pointer_mut(parent_pointer) {
        Some(Value::Object(mapping)) => {
            mapping.insert(last, value);
            Ok(())
        }
        Some(Value::Array(items)) => set_item(items, &last, value, pointer),
        _ => Err(PointerError::NoParent(pointer.to_owned())),
    }
}

fn set_item(items: &mut Vec<Value>, token: &str, value: Value, pointer: &str) -> Result<(), PointerError> {
    let index = if token == "-" { Some(items.len()) } else { index(token) };
    match index {
        Some(index) if index < items.len() => items[index] = value,
        Some(index) if index == items.len() => items.push(value),
        _ => return Err(PointerError::NoItem(pointer.to_owned())),
    }
    Ok(())
}

/// A part as an index: digits without a leading zero (RFC 6901, section 4).
pub(crate) fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = token == "0" || !token.starts_with('0');
    if digits && canonical { token.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_unescaped_in_the_right_order() {
        assert_eq!(tokens("/a~1b/~01/0").collect::<Vec<_>>(), ["a/b", "~1", "0"]);
        assert_eq!(tokens("").count(), 0);
        assert_eq!(tokens("/").collect::<Vec<_>>(), [""]);
        assert_eq!(join("/x", "a/~b"), "/x/a~1~0b");
    }

    #[test]
    fn set_replaces_adds_and_appends() {
        let check = |pointer: &str, expected: Result<Value, PointerError>| {
            let mut document = json!({"a": {"b": [1, 2]}});
            assert_eq!(set(&mut document, pointer, json!(9)).map(|()| document), expected, "{pointer}");
        };
        check("", Ok(json!(9)));
        check("/a/b/1", Ok(json!({"a": {"b": [1, 9]}})));
        check("/a/b/2", Ok(json!({"a": {"b": [1, 2, 9]}})));
        check("/a/b/-", Ok(json!({"a": {"b": [1, 2, 9]}})));
        check("/a/c", Ok(json!({"a": {"b": [1, 2], "c": 9}})));
        check("/a/b/4", Err(PointerError::NoItem("/a/b/4".into())));
        check("/a/b/01", Err(PointerError::NoItem("/a/b/01".into())));
        check("/x/y", Err(PointerError::NoParent("/x/y".into())));
        check("x", Err(PointerError::Malformed("x".into())));
        check("x/y", Err(PointerError::Malformed("x/y".into())));
    }
}
