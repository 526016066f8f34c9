//! ConfigMaps and Secrets: nothing runs for them, but what is wrong in them is said at its line.

use minato_sync::field::Field;

use super::inputs::decode;

/// Most bytes of all values of one Object, as the API server limits it.
const SIZE_LIMIT: usize = 1024 * 1024;

/// Checks keys, types, base64 and size. No message holds a value.
pub(super) fn check(root: &Field) {
    let (texts, encoded) = match root.object().kind() {
        "Secret" => ("stringData", "data"),
        _ => ("data", "binaryData"),
    };
    let mut size = 0;
    for (key, entry) in root.get(texts).entries() {
        check_key(key, &entry);
        size += entry.text().map_or(0, str::len);
    }
    for (key, entry) in root.get(encoded).entries() {
        check_key(key, &entry);
        let Some(text) = entry.text() else { continue };
        match decode(text) {
            Some(bytes) => size += bytes.len(),
            None => entry.error_with_hint(
                "not-base64",
                format!("`{}` is not base64", entry.name()),
                format!("write the value under `{texts}` to give it as it is"),
            ),
        }
    }
    if size > SIZE_LIMIT {
        root.error("too-large", format!("its values are {size} bytes, more than the limit of {SIZE_LIMIT}"));
    }
}

/// Keys become file names: letters, digits, `-`, `_` and `.` (apimachinery's `IsConfigMapKey`).
fn check_key(key: &str, entry: &Field) {
    let fits = !key.is_empty()
        && key.len() <= 253
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && key != "."
        && !key.starts_with("..");
    if !fits {
        entry.error(
            "data-key",
            "a key may hold only letters, digits, `-`, `_` and `.`, and not start with `..`",
        );
    }
}
