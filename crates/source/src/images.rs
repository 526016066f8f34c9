//! Images that Objects use, and putting others in their place.

use minato_oci::Reference;
use minato_resource::{EditError, Object, pointer};
use minato_task_definition::GROUP as ECS;
use serde_json::Value;

/// An image that an Object uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    /// JSON pointer of the image within the Object.
    pub pointer: String,
    /// As it is written.
    pub text: String,
}

impl ImageUse {
    /// The text as a reference; `None` when it is none.
    pub fn reference(&self) -> Option<Reference> {
        self.text.parse().ok()
    }
}

/// An image to be used in place of every tag and digest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The repository; its own tag and digest do not count.
    pub repository: Reference,
    /// What is written instead: `repository:tag@digest`.
    pub image: String,
}

/// The images of an Object: `image` of every item of `containers` and `initContainers` at any depth, as Kustomize's
/// `images:` finds them, and of `containerDefinitions` of an ECS task definition.
pub fn image_uses(object: &Object) -> Vec<ImageUse> {
    let mut uses = Vec::new();
    // A custom resource definition has fields of these names in its schema.
    if object.key().is("apiextensions.k8s.io", "CustomResourceDefinition") {
        return uses;
    }
    let lists: &[&str] =
        if object.key().group == ECS { &["containerDefinitions"] } else { &["containers", "initContainers"] };
    collect(object.value(), &mut String::new(), lists, &mut uses);
    uses
}

fn collect(value: &Value, place: &mut String, lists: &[&str], uses: &mut Vec<ImageUse>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                descend(place, key, |place| {
                    if lists.contains(&key.as_str()) {
                        collect_images(field, place, uses);
                    }
                    collect(field, place, lists, uses);
                });
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                descend(place, &index.to_string(), |place| collect(item, place, lists, uses));
            }
        }
        _ => {}
    }
}

/// One container, or a list of them.
fn collect_images(containers: &Value, place: &str, uses: &mut Vec<ImageUse>) {
    let image = |container: &Value| container.get("image").and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = image(containers) {
        uses.push(ImageUse { pointer: format!("{place}/image"), text });
    }
    for (index, container) in containers.as_array().into_iter().flatten().enumerate() {
        if let Some(text) = image(container) {
            uses.push(ImageUse { pointer: format!("{place}/{index}/image"), text });
        }
    }
}

/// Runs with a longer pointer, and shortens it again.
fn descend(place: &mut String, token: &str, run: impl FnOnce(&mut String)) {
    let length = place.len();
    place.push('/');
    place.push_str(&pointer::escape(token));
    run(place);
    place.truncate(length);
}

/// The Object with every image of the replacements' repositories replaced, whatever tag or digest it had.
///
/// # Errors
/// Never for an Object that was read from a file; the edit of a pointer that was just found cannot fail.
pub fn substitute(object: &Object, replacements: &[Replacement]) -> Result<Object, EditError> {
    let mut edited = object.clone();
    for image in image_uses(object) {
        let Some(reference) = image.reference() else { continue };
        let matching =
            replacements.iter().find(|replacement| replacement.repository.name() == reference.name());
        if let Some(replacement) = matching {
            edited = edited.with(&image.pointer, Value::String(replacement.image.clone()))?;
        }
    }
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap()
    }

    fn deployment() -> Object {
        object(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template":
            {"spec": {"initContainers": [{"name": "a", "image": "redis"}],
                "containers": [{"name": "b", "image": "ghcr.io/x/web:1"}, {"name": "c"}, {"name": "d", "image": 3}]}}}}),
        )
    }

    #[test]
    fn images_are_found_where_containers_are() {
        let found = |object: &Object| -> Vec<String> {
            image_uses(object).into_iter().map(|image| format!("{} {}", image.pointer, image.text)).collect()
        };
        assert_eq!(
            found(&deployment()),
            [
                "/spec/template/spec/initContainers/0/image redis",
                "/spec/template/spec/containers/0/image ghcr.io/x/web:1"
            ]
        );
        let cron =
            object(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web"}, "spec":
            {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}}}}));
        assert_eq!(found(&cron), ["/spec/jobTemplate/spec/template/spec/containers/0/image a"]);
        let task = object(
            json!({"apiVersion": "ecs.amazonaws.com/v1", "kind": "TaskDefinition", "metadata": {"name": "w"},
            "spec": {"containerDefinitions": [{"image": "a"}, {"image": "b"}]}}),
        );
        assert_eq!(
            found(&task),
            ["/spec/containerDefinitions/0/image a", "/spec/containerDefinitions/1/image b"]
        );
        let crd = object(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "w"}, "spec": {"containers": [{"image": "a"}]}}));
        assert_eq!(found(&crd), [""; 0]);
    }

    #[test]
    fn tag_and_digest_do_not_count_and_other_repositories_stay() {
        let replacement = |repository: &str, image: &str| Replacement {
            repository: repository.parse().unwrap(),
            image: image.to_owned(),
        };
        let check = |replacements: &[Replacement], init: &str, main: &str| {
            let edited = substitute(&deployment(), replacements).unwrap();
            assert_eq!(edited.text("/spec/template/spec/initContainers/0/image"), Some(init));
            assert_eq!(edited.text("/spec/template/spec/containers/0/image"), Some(main));
        };
        check(&[replacement("ghcr.io/x/web", "ghcr.io/x/web:abc")], "redis", "ghcr.io/x/web:abc");
        check(&[replacement("docker.io/library/redis:7", "redis:8")], "redis:8", "ghcr.io/x/web:1");
        check(&[replacement("ghcr.io/x/webs", "no"), replacement("x/web", "no")], "redis", "ghcr.io/x/web:1");
    }
}
