//! The normal form in which objects are compared: without what the server writes, secrets as marks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minato_resource::{Object, ObjectError};
use minato_sync::{Redactor, is_mark};
use serde_json::{Map, Value};

/// Fields of `metadata` that the server writes. A file that was exported from a cluster may hold them.
const SERVERS: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// What is sent of a desired object: without what only a server may write, a Secret's `stringData` as `data`.
pub(crate) fn sendable(mut value: Value) -> Value {
    drop_servers_fields(&mut value);
    if is_secret(&value) {
        encode_string_data(&mut value);
    }
    value
}

/// What is compared of an object that a server answered.
///
/// # Errors
/// It has no identity, which no server answers.
pub(crate) fn normal(value: Value, redactor: &Redactor) -> Result<Object, ObjectError> {
    let mut value = redacted(value, redactor)?;
    drop_servers_fields(&mut value);
    Object::from_value(value)
}

/// The object with its secret values as marks, otherwise as it is.
///
/// # Errors
/// It has no identity.
pub(crate) fn redacted(value: Value, redactor: &Redactor) -> Result<Value, ObjectError> {
    if !is_secret(&value) {
        return Ok(value);
    }
    Ok(redactor.redact(&Object::from_value(value)?))
}

/// Whether a value stands where a secret should be.
pub(crate) fn has_marks(object: &Object) -> bool {
    object.key().is("", "Secret")
        && ["/data", "/stringData"]
            .iter()
            .any(|field| object.text_map(field).values().any(|text| is_mark(text)))
}

/// Text from the cluster, safe to show on a terminal.
pub(crate) fn plain(text: &str) -> String {
    let shown = |character: char| if character.is_control() && character != '\t' { ' ' } else { character };
    text.trim_end().chars().map(shown).collect()
}

/// A sentence of the server about an object without the object's secret values.
pub(crate) fn without_values(text: String, object: &Object) -> String {
    /// Shorter ones would take out parts of ordinary words.
    const SHORTEST: usize = 4;
    if !object.key().is("", "Secret") {
        return text;
    }
    let fields = ["/data", "/stringData"];
    let values = fields.iter().flat_map(|field| object.text_map(field).into_values());
    let mut forms: Vec<String> = Vec::new();
    for value in values {
        forms.push(value.to_owned());
        forms.push(BASE64.encode(value));
        forms.extend(BASE64.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.iter().fold(text, |text, form| text.replace(form, "…"))
}

fn is_secret(value: &Value) -> bool {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    text("kind") == Some("Secret") && text("apiVersion").is_some_and(|version| !version.contains('/'))
}

fn drop_servers_fields(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    map.shift_remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !SERVERS.contains(&name.as_str()));
    }
}

/// `stringData` is another way to write `data` and wins over it. The server would do the same, but forget which keys
/// came from it, and never remove one.
fn encode_string_data(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let Some(Value::Object(texts)) = map.shift_remove("stringData") else { return };
    let data = map.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    let Some(data) = data.as_object_mut() else { return };
    for (name, text) in texts {
        let encoded = match text {
            // A mark stands for the value in either form.
            Value::String(text) if is_mark(&text) => Value::String(text),
            Value::String(text) => Value::String(BASE64.encode(text)),
            // Wrong; the server says how.
            other => other,
        };
        data.insert(name, encoded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redactor() -> Redactor {
        Redactor::new([7; 32])
    }

    fn secret(fields: Value) -> Value {
        let mut value =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "a"}});
        value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        value
    }

    #[test]
    fn what_the_server_writes_does_not_count() {
        let value = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "uid": "1",
            "resourceVersion": "2", "generation": 3, "managedFields": [], "creationTimestamp": null,
            "labels": {"uid": "kept"}}, "spec": {"status": "kept"}, "status": {"gone": true}});
        let expected = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "labels": {"uid": "kept"}}, "spec": {"status": "kept"}});
        assert_eq!(normal(value.clone(), &redactor()).unwrap().into_value(), expected);
        assert_eq!(sendable(value), expected);
    }

    #[test]
    fn data_and_string_data_come_to_the_same() {
        let data = sendable(secret(json!({"data": {"password": "aHVzaA=="}})));
        let text = sendable(secret(json!({"stringData": {"password": "hush"}})));
        let both =
            sendable(secret(json!({"data": {"password": "b2xk"}, "stringData": {"password": "hush"}})));
        assert_eq!(data, text);
        assert_eq!(data, both);
        let clear = normal(data.clone(), &redactor()).unwrap();
        assert!(!clear.value().to_string().contains("aHVzaA"));
        // A remembered Object holds marks, in whichever field it was written.
        let remembered = redactor()
            .redact(&Object::from_value(secret(json!({"stringData": {"password": "hush"}}))).unwrap());
        assert!(has_marks(&Object::from_value(remembered.clone()).unwrap()));
        assert_eq!(normal(sendable(remembered), &redactor()).unwrap(), clear);
        assert!(!has_marks(&Object::from_value(data).unwrap()));
    }

    #[test]
    fn a_sentence_about_a_secret_has_none_of_its_values() {
        let object = Object::from_value(secret(
            json!({"data": {"a": "aHVzaCBodXNo"}, "stringData": {"b": "loud loud"}}),
        ))
        .unwrap();
        let told =
            without_values("bad: hush hush, aHVzaCBodXNo, loud loud, bG91ZCBsb3Vk".to_owned(), &object);
        assert_eq!(told, "bad: …, …, …, …");
    }

    #[test]
    fn a_custom_kind_named_secret_is_not_one() {
        let value = json!({"apiVersion": "example.com/v1", "kind": "Secret", "metadata": {"name": "x"},
            "stringData": {"a": "b"}});
        assert_eq!(sendable(value.clone()), value);
    }

    #[test]
    fn control_characters_are_not_passed_on() {
        assert_eq!(plain("a\u{1b}[31mb\tc\r\n"), "a [31mb\tc");
    }
}
