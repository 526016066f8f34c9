//! The normal form in which Objects are compared on this machine: as applied, without what others add, secrets as
//! marks, images by identity, and with a mark of everything that the Object takes from others.

use std::collections::BTreeMap;

use minato_resource::{Object, ObjectError};
use minato_sync::{Redactor, is_mark};
use minato_task_definition::{GROUP, SERVICE_KIND, normalise};
use serde_json::{Map, Value};

use crate::lower::{Inputs, Use, image_references, namespace_of, repository, task_definition_of, uses};

/// Prefix of the annotations that stand for what an Object uses.
const USES: &str = "uses.minato.dev/";

/// Brings an Object into normal form.
///
/// # Errors
/// The Object has no identity, which one that was read has.
pub(crate) fn normal(
    object: &Object,
    inputs: &Inputs<'_>,
    redactor: &Redactor,
) -> Result<Object, ObjectError> {
    let mut value = redactor.redact(object);
    drop_servers_fields(&mut value);
    merge_string_data(&mut value);
    let images: BTreeMap<String, String> = image_references(object, inputs.objects)
        .into_iter()
        .filter_map(|reference| {
            let id = inputs.image_id(&reference)?;
            let name = format!("{}@{id}", repository(&reference));
            Some((reference, name))
        })
        .collect();
    replace_images(&mut value, &images);
    mark_uses(&mut value, object, inputs, redactor, &images);
    Object::from_value(value)
}

/// What an API server writes and a file exported from one may hold.
fn drop_servers_fields(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    map.shift_remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"]
        {
            metadata.shift_remove(name);
        }
    }
}

/// `stringData` is another way to write `data`.
fn merge_string_data(value: &mut Value) {
    if value.get("kind").and_then(Value::as_str) != Some("Secret") {
        return;
    }
    let Some(map) = value.as_object_mut() else { return };
    let Some(Value::Object(texts)) = map.shift_remove("stringData") else { return };
    let data = map.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if let Some(data) = data.as_object_mut() {
        data.extend(texts);
    }
}

/// The tag changes with every commit; what runs is the image.
fn replace_images(value: &mut Value, images: &BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                match value {
                    Value::String(text) if name == "image" => {
                        if let Some(image) = images.get(text) {
                            *text = image.clone();
                        }
                    }
                    _ => replace_images(value, images),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_images(item, images)),
        _ => {}
    }
}

/// Adds one annotation for each ConfigMap, Secret and image that the Object uses, so that a change of one of them
/// shows as a difference of the Object.
fn mark_uses(
    value: &mut Value,
    object: &Object,
    inputs: &Inputs,
    redactor: &Redactor,
    images: &BTreeMap<String, String>,
) {
    let mut marks: BTreeMap<String, String> = BTreeMap::new();
    for used in uses(object, inputs.objects) {
        let (name, content) = describe(&used, object, inputs, redactor);
        marks.insert(format!("{USES}{name}"), redactor.mark(content.as_bytes()));
    }
    // An ECS service runs what its task definition says.
    if let Some(definition) = service_definition(object, inputs) {
        let mut document = normalise(definition.get("/spec").unwrap_or(&Value::Null));
        replace_images(&mut document, images);
        let name = format!("{USES}TaskDefinition.{}", definition.name());
        marks.insert(name, redactor.mark(document.to_string().as_bytes()));
    }
    if marks.is_empty() {
        return;
    }
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if annotations.is_null() {
        *annotations = Value::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.extend(marks.into_iter().map(|(name, mark)| (name, Value::String(mark))));
    }
}

/// (name of the annotation, what stands for the content): secrets by their marks, so that a remembered Object, which
/// holds marks only, comes to the same.
fn describe(used: &Use, object: &Object, inputs: &Inputs, redactor: &Redactor) -> (String, String) {
    let namespace = namespace_of(object);
    let mark = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if is_mark(text) => text.to_owned(),
        _ => redactor.mark(bytes),
    };
    match used {
        Use::ConfigMap(name) => {
            (format!("ConfigMap.{name}"), format!("{:?}", inputs.config_map(namespace, name)))
        }
        Use::Secret(name) => {
            let entries = inputs.secret(namespace, name).unwrap_or_default();
            let marks: BTreeMap<&String, String> =
                entries.iter().map(|(key, bytes)| (key, mark(bytes))).collect();
            (format!("Secret.{name}"), format!("{marks:?}"))
        }
        Use::SecretKey(name, key) => {
            let value = inputs.secret(namespace, name).and_then(|mut entries| entries.remove(key));
            (format!("Secret.{name}.{key}"), format!("{:?}", value.map(|bytes| mark(&bytes))))
        }
        Use::SecretValue(identifier) => {
            let value = inputs.secret_value(identifier).map(|value| mark(value.expose()));
            (format!("secret.{identifier}"), format!("{value:?}"))
        }
    }
}

fn service_definition<'a>(object: &Object, inputs: &Inputs<'a>) -> Option<&'a Object> {
    if object.key().is(GROUP, SERVICE_KIND) { task_definition_of(object, inputs.objects) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::Options;
    use minato_oci::{Digest, Image, ImageConfig};
    use minato_sync::{SecretReference, SecretValue, differences};
    use serde_json::json;

    /// A set of files, with the image that their reference means.
    struct Files {
        objects: Vec<Object>,
        image: (&'static str, &'static str),
        given: &'static str,
    }

    impl Files {
        fn normal(&self, index: usize) -> Object {
            let application = "shop".parse().unwrap();
            let (reference, content) = self.image;
            let image = Image { id: Digest::sha256(content), config: ImageConfig::default() };
            let images = BTreeMap::from([(reference.to_owned(), image)]);
            let reference = SecretReference {
                namespace: "default".into(),
                name: "vault".into(),
                key: Some("key".into()),
            };
            let secrets = BTreeMap::from([(reference, SecretValue::new(self.given.as_bytes()))]);
            let options = Options::default();
            let inputs = Inputs {
                application: &application,
                objects: &self.objects,
                secrets: &secrets,
                images: &images,
                options: &options,
            };
            normal(&self.objects[index], &inputs, &Redactor::new([1; 32])).unwrap()
        }
    }

    fn files(image: (&'static str, &'static str), color: &str, password: &str, given: &'static str) -> Files {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "annotations": null, "uid": "x"}, "status": {"replicas": 1},
            "spec": {"template": {"spec": {"containers": [{"name": "web", "image": image.0,
                "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "database"}}],
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "key"}}}]}]}}}});
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
            "data": {"COLOR": color}});
        let database = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"},
            "stringData": {"PASSWORD": password}});
        let objects = [deployment, settings, database].map(|value| Object::from_value(value).unwrap());
        Files { objects: objects.into(), image, given }
    }

    #[test]
    fn what_an_object_takes_from_others_is_a_part_of_it() {
        let base = files(("web:1", "image"), "red", "hush", "v").normal(0);
        let check = |other: Files, changed: &[&str]| {
            let found: Vec<String> =
                differences(base.value(), other.normal(0).value()).into_iter().map(|d| d.pointer).collect();
            assert_eq!(found, changed);
        };
        check(files(("web:1", "image"), "red", "hush", "v"), &[]);
        check(files(("web:2", "image"), "red", "hush", "v"), &[]);
        check(files(("web:2", "other"), "red", "hush", "v"), &["/spec/template/spec/containers/0/image"]);
        let annotation = |name: &str| format!("/metadata/annotations/uses.minato.dev~1{name}");
        check(files(("web:1", "image"), "blue", "hush", "v"), &[&annotation("ConfigMap.settings")]);
        check(files(("web:1", "image"), "red", "loud", "v"), &[&annotation("Secret.database")]);
        check(files(("web:1", "image"), "red", "hush", "w"), &[&annotation("Secret.vault.key")]);
    }

    #[test]
    fn a_remembered_object_comes_to_the_same() {
        let files = files(("web:1", "image"), "red", "hush", "v");
        let redactor = Redactor::new([1; 32]);
        let remembered = |object: &Object| Object::from_value(redactor.redact(object)).unwrap();
        let again = Files { objects: files.objects.iter().map(remembered).collect(), ..files };
        let files = super::tests::files(("web:1", "image"), "red", "hush", "v");
        for index in 0..3 {
            assert_eq!(files.normal(index), again.normal(index));
            assert!(!files.normal(index).value().to_string().contains("hush"));
        }
    }

    #[test]
    fn a_services_task_definition_is_a_part_of_it() {
        let with = |memory: u32, image: (&'static str, &'static str)| {
            let task = json!({"apiVersion": "ecs.amazonaws.com/v1", "kind": "TaskDefinition",
                "metadata": {"name": "web"}, "spec": {"family": "web",
                "containerDefinitions": [{"name": "web", "image": image.0, "memory": memory}]}});
            let service = json!({"apiVersion": "ecs.amazonaws.com/v1", "kind": "Service",
                "metadata": {"name": "web"}, "spec": {"serviceName": "web", "taskDefinition": "web"}});
            let objects = [service, task].map(|value| Object::from_value(value).unwrap());
            Files { objects: objects.into(), image, given: "" }.normal(0)
        };
        let base = with(64, ("web:1", "image"));
        assert_eq!(base, with(64, ("web:2", "image")));
        assert_ne!(base, with(65, ("web:1", "image")));
        assert_ne!(base, with(64, ("web:1", "other")));
    }
}
