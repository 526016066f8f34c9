//! `images`.

use regex::Regex;
use serde_json::Value;

use super::Operation;
use crate::field::{FieldSpec, Make, set_scalar};
use crate::kustomization::Image;
use crate::refusal::Refusal;
use crate::resources::Resources;
use crate::schema::Schema;
use crate::value;

/// Changes name, tag or digest of an image wherever containers use it.
#[derive(Debug)]
pub(crate) struct SetImage {
    image: Image,
    name: Name,
    fields: Vec<FieldSpec>,
}

/// The image that is meant. Kustomize takes the name as a pattern, in which `.` stands for any character.
#[derive(Debug)]
enum Name {
    Text(String),
    Pattern(Regex),
}

impl Operation for SetImage {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        let resources = resources.list_mut();
        let meant = |kind: &str| kind != "CustomResourceDefinition";
        for resource in resources.iter_mut().filter(|resource| meant(&resource.id().gvk.kind)) {
            self.walk(&mut resource.value)?;
        }
        for resource in resources.iter_mut().filter(|resource| meant(&resource.id().gvk.kind)) {
            let gvk = resource.id().gvk.clone();
            for field in &self.fields {
                field.visit(&gvk, &mut resource.value, Make::Nothing, &mut |image| self.set(image))?;
            }
        }
        Ok(())
    }
}

impl SetImage {
    /// # Errors
    /// The name is no regular expression.
    pub(crate) fn new(image: Image, fields: Vec<FieldSpec>) -> Result<SetImage, Refusal> {
        let plain = |character: char| character.is_ascii_alphanumeric() || "/_-.:@".contains(character);
        let name = if image.name.chars().all(plain) {
            Name::Text(image.name.clone())
        } else {
            let pattern = format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
            Name::Pattern(Regex::new(&pattern).map_err(|_| {
                let message = format!("`{}` is no image name, nor a pattern of names", image.name);
                Refusal::new("image-name", message)
            })?)
        };
        Ok(SetImage { image, name, fields })
    }

    /// Every list `containers` or `initContainers`, wherever it stands.
    fn walk(&self, value: &mut Value) -> Result<(), Refusal> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.walk(item)),
            Value::Object(fields) => fields.iter_mut().try_for_each(|(key, field)| {
                self.walk(field)?;
                if key == "containers" || key == "initContainers" { self.containers(field) } else { Ok(()) }
            }),
            _ => Ok(()),
        }
    }

    fn containers(&self, list: &mut Value) -> Result<(), Refusal> {
        for container in list.as_array_mut().into_iter().flatten() {
            match container {
                Value::Object(fields) => fields.get_mut("image").map_or(Ok(()), |image| self.set(image))?,
                Value::Null => {}
                other => {
                    let message = format!("expected a container, found {}", value::kind_name(other));
                    return Err(Refusal::new("wrong-type", message));
                }
            }
        }
        Ok(())
    }

    fn set(&self, field: &mut Value) -> Result<(), Refusal> {
        if field.is_array() || field.is_object() {
            return set_scalar(field, Value::Null);
        }
        let text = value::text(field);
        if !self.is_meant(&text) {
            return Ok(());
        }
        *field = Value::String(self.changed(&text));
        Ok(())
    }

    fn is_meant(&self, text: &str) -> bool {
        let name = match &self.name {
            Name::Pattern(pattern) => return pattern.is_match(text),
            Name::Text(name) => name,
        };
        let same = |own: u8, wanted: u8| own == wanted || wanted == b'.';
        let starts =
            text.len() >= name.len() && text.bytes().zip(name.bytes()).all(|(own, wanted)| same(own, wanted));
        starts && text.get(name.len()..).is_some_and(is_tag_and_digest)
    }

    fn changed(&self, text: &str) -> String {
        let (mut name, mut tag, mut digest) = split(text);
        let image = &self.image;
        if !image.new_name.is_empty() {
            name.clone_from(&image.new_name);
        }
        if !image.new_tag.is_empty() {
            tag.clone_from(&image.new_tag);
            digest.clone_from(&image.digest);
        } else if !image.digest.is_empty() {
            tag.clear();
            digest.clone_from(&image.digest);
        } else if !image.tag_suffix.is_empty() {
            tag.push_str(&image.tag_suffix);
            digest.clear();
        }
        if !tag.is_empty() {
            name = format!("{name}:{tag}");
        }
        if digest.is_empty() { name } else { format!("{name}@{digest}") }
    }
}

/// What may follow an image's name: `[:TAG][@sha256:DIGEST]`.
fn is_tag_and_digest(rest: &str) -> bool {
    let allowed =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.{}-".contains(&byte));
    let (tag, digest) = match rest.find("@sha256:") {
        Some(index) => (&rest[..index], &rest[index + "@sha256:".len()..]),
        None => (rest, ""),
    };
    (tag.is_empty() || tag.strip_prefix(':').is_some_and(allowed)) && allowed(digest)
}

/// Name, tag and digest.
fn split(text: &str) -> (String, String, String) {
    let slash = text.find('/').unwrap_or(0);
    let search = &text[slash..];
    let at = search.find('@').map(|index| index + slash);
    let colon = search.find(':').map(|index| index + slash);
    match (colon, at) {
        (None, None) => (text.to_owned(), String::new(), String::new()),
        (Some(colon), Some(at)) if colon < at => {
            (text[..colon].to_owned(), text[colon + 1..at].to_owned(), text[at + 1..].to_owned())
        }
        (_, Some(at)) => (text[..at].to_owned(), String::new(), text[at + 1..].to_owned()),
        (Some(colon), None) => (text[..colon].to_owned(), text[colon + 1..].to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_split_and_put_together() {
        let check = |image: Image, text: &str, expected: &str| {
            let set = SetImage::new(image, Vec::new()).unwrap();
            let mut value = Value::String(text.to_owned());
            set.set(&mut value).unwrap();
            assert_eq!(value, Value::String(expected.to_owned()), "{text}");
        };
        let tag = || Image { name: "web".into(), new_tag: "2".into(), ..Image::default() };
        check(tag(), "web", "web:2");
        check(tag(), "web:1", "web:2");
        check(tag(), "web:1@sha256:ab", "web:2");
        check(tag(), "web@sha256:ab", "web:2");
        check(tag(), "webs", "webs");
        check(tag(), "x/web", "x/web");
        let digest = || Image { name: "h:5/web".into(), digest: "sha256:cd".into(), ..Image::default() };
        check(digest(), "h:5/web:1", "h:5/web@sha256:cd");
        let name = Image { name: "a.b/web".into(), new_name: "c/d".into(), ..Image::default() };
        check(name, "a.b/web:1@sha256:ab", "c/d:1@sha256:ab");
        let pattern = Image { name: "(web|app)".into(), new_tag: "3".into(), ..Image::default() };
        check(pattern, "app:1", "app:3");
    }
}
