//! ConfigMaps and Secrets from literals, files and environment files.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::kustomization::Generator;
use crate::loader::{Loader, Root};
use crate::refusal::Refusal;
use crate::resource::Resource;

/// Characters in a line of base64.
const LINE: usize = 70;

/// Makes the object of a generator. `kind` is `ConfigMap` or `Secret`.
pub(crate) fn make(
    loader: &mut Loader<'_>,
    root: &Root<'_>,
    kind: &str,
    generator: &Generator,
) -> Result<Resource, Refusal> {
    if generator.name.is_empty() {
        return Err(Refusal::new("generator-name", "the generator has no `name`"));
    }
    let data = unique(pairs(loader, root, generator)?)?;
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(generator.name));
    if !generator.namespace.is_empty() {
        metadata.insert("namespace".to_owned(), json!(generator.namespace));
    }
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!("v1"));
    object.insert("kind".to_owned(), json!(kind));
    object.insert("metadata".to_owned(), Value::Object(metadata));
    if kind == "Secret" {
        let kind = if generator.secret_type.is_empty() { "Opaque" } else { &generator.secret_type };
        object.insert("type".to_owned(), json!(kind));
        let encoded = data.into_iter().map(|(key, bytes)| (key, Value::String(base64_lines(&bytes))));
        object.insert("data".to_owned(), Value::Object(encoded.collect()));
    } else {
        config_map_data(&mut object, data);
    }
    if generator.options.immutable {
        object.insert("immutable".to_owned(), Value::Bool(true));
    }
    Ok(finished(Value::Object(object), generator))
}

fn finished(object: Value, generator: &Generator) -> Resource {
    let mut resource = Resource::new(object, None);
    resource.set_texts("labels", generator.options.labels.iter().cloned());
    resource.set_texts("annotations", generator.options.annotations.iter().cloned());
    resource.needs_hash = !generator.options.disable_name_suffix_hash;
    resource.behaviour = generator.behaviour;
    resource
}

/// Text goes to `data`, everything else to `binaryData`.
fn config_map_data(object: &mut Map<String, Value>, data: BTreeMap<String, Vec<u8>>) {
    for (key, bytes) in data {
        let (field, text) = match String::from_utf8(bytes) {
            Ok(text) => ("data", text),
            Err(error) => ("binaryData", base64_lines(error.as_bytes())),
        };
        let entries = object.entry(field).or_insert_with(|| Value::Object(Map::new()));
        if let Some(entries) = entries.as_object_mut() {
            entries.insert(key, Value::String(text));
        }
    }
}

/// In the order of Kustomize: environment files, literals, files.
fn pairs(
    loader: &mut Loader<'_>,
    root: &Root<'_>,
    generator: &Generator,
) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let mut pairs = Vec::new();
    for path in &generator.envs {
        let bytes = loader.bytes(root, &path.value)?;
        pairs.extend(environment(&bytes).map_err(|refusal| Refusal {
            message: format!("`{}`: {}", path.value, refusal.message),
            ..refusal
        })?);
    }
    for literal in &generator.literals {
        pairs.push(self::literal(&literal.value)?);
    }
    for file in &generator.files {
        let (key, path) = file_source(&file.value)?;
        pairs.push((key, loader.bytes(root, &path)?));
    }
    Ok(pairs)
}

fn unique(pairs: Vec<(String, Vec<u8>)>) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    let mut data = BTreeMap::new();
    for (key, value) in pairs {
        if data.contains_key(&key) {
            return Err(Refusal::new("duplicate-key", format!("the key `{key}` comes twice")));
        }
        data.insert(key, value);
    }
    Ok(data)
}

/// The lines `KEY=VALUE` of an environment file. Lines that are empty or begin with `#` count for nothing, and a line
/// without `=` is a key with an empty value.
fn environment(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let mut pairs = Vec::new();
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n');
    for (index, line) in lines.enumerate().filter(|_| !bytes.is_empty()) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Longer lines end the reader that Kustomize uses.
        if line.len() >= 64 * 1024 {
            return Ok(pairs);
        }
        let text = std::str::from_utf8(line)
            .map_err(|_| Refusal::new("not-utf8", format!("line {} is not UTF-8 text", index + 1)))?;
        let text = if index == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if !key.is_empty() {
            pairs.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    Ok(pairs)
}

fn literal(text: &str) -> Result<(String, Vec<u8>), Refusal> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), unquoted(value).as_bytes().to_vec())),
        _ => Err(Refusal::new("literal", "a literal is written `KEY=VALUE`, and this one is not")),
    }
}

/// Without the quotes around it, when both ends have the same ones.
fn unquoted(text: &str) -> &str {
    let quoted = |quote: char| text.len() >= 2 && text.starts_with(quote) && text.ends_with(quote);
    if quoted('"') || quoted('\'') { &text[1..text.len() - 1] } else { text }
}

/// `[KEY=]PATH`; without a key it is the file's name.
fn file_source(text: &str) -> Result<(String, String), Refusal> {
    let wrong = || Refusal::new("file-source", format!("`{text}` must be `PATH` or `KEY=PATH`"));
    match text.split_once('=') {
        None => {
            let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            Ok((name.to_owned(), text.to_owned()))
        }
        Some((key, path)) if !key.is_empty() && !path.is_empty() && !path.contains('=') => {
            Ok((key.to_owned(), path.to_owned()))
        }
        Some(_) => Err(wrong()),
    }
}

/// Base64 in lines of 70 characters when there is more than one, as Kustomize writes it.
fn base64_lines(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    if encoded.len() / LINE == 0 {
        return encoded;
    }
    let mut out = String::with_capacity(encoded.len() + encoded.len() / LINE + 1);
    for start in (0..encoded.len()).step_by(LINE) {
        out.push_str(&encoded[start..encoded.len().min(start + LINE)]);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_are_lines() {
        let found = environment(b"\xef\xbb\xbfA=1\r\n\n # no\n  B= x=y \nC\n").unwrap();
        let expected = [("A", "1"), ("B", " x=y "), ("C", "")];
        let expected: Vec<_> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        assert_eq!(found, expected);
        assert!(environment(b"").unwrap().is_empty());
        assert!(environment(b"A=\xff").is_err());
    }

    #[test]
    fn literals_lose_their_quotes() {
        for (text, expected) in
            [("a=b", "b"), ("a='b'", "b"), ("a=\"b\"", "b"), ("a='b\"", "'b\""), ("a=b=c", "b=c")]
        {
            assert_eq!(literal(text).unwrap().1, expected.as_bytes(), "{text}");
        }
        assert!(literal("a").is_err() && literal("=b").is_err());
    }

    #[test]
    fn file_sources_have_at_most_one_equals_sign() {
        assert_eq!(file_source("x/y.txt").unwrap(), ("y.txt".to_owned(), "x/y.txt".to_owned()));
        assert_eq!(file_source("k=x/y.txt").unwrap(), ("k".to_owned(), "x/y.txt".to_owned()));
        assert!(["=x", "x=", "a=b=c"].iter().all(|text| file_source(text).is_err()));
    }
}
