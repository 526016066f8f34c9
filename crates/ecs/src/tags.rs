//! Tags: whose a resource is, and what of Minato's own is remembered on it.
//!
//! A service or a revision of a task definition belongs to the Application that its tag names, in Argo CD's tracking
//! id, which names the resource as well: a tag that was copied elsewhere makes nothing ours.

use std::collections::BTreeMap;

use minato_resource::{Object, ResourceKey};
use minato_sync::{Owner, SYNC_OPTIONS_ANNOTATION, SYNC_WAVE_ANNOTATION, TRACKING_ANNOTATION};
use serde_json::{Value, json};

/// What Minato brought out last, where ECS tells it otherwise than it was told: fields that it does not tell again, or
/// adds, can't be compared without.
const CONTENT: &str = "minato.dev/content";

/// Annotations that say what happens to an Object once it is in no file any more.
const KEPT_ANNOTATIONS: [&str; 2] = [SYNC_WAVE_ANNOTATION, SYNC_OPTIONS_ANNOTATION];

/// Tags of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags(BTreeMap<String, String>);

/// Whose a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ownership {
    Ours,
    Nobodys,
    /// Name of the Application.
    Others(String),
}

impl Tags {
    /// Reads `[{"key": …, "value": …}]`; a tag may have no value.
    pub(crate) fn read(list: Option<&Value>) -> Self {
        let items = list.and_then(Value::as_array).into_iter().flatten();
        let pair = |item: &Value| {
            let value = item.get("value").and_then(Value::as_str).unwrap_or_default();
            Some((item.get("key")?.as_str()?.to_owned(), value.to_owned()))
        };
        Self(items.filter_map(pair).collect())
    }

    /// The tags that an Object of this owner has: the document's, and Minato's.
    pub(crate) fn wanted(desired: &Object, owner: &Owner) -> Self {
        let mut tags = Self::read(desired.get("/spec/tags"));
        tags.0.insert(TRACKING_ANNOTATION.to_owned(), owner.tracking_id(desired.key()));
        for (name, text) in kept_annotations(desired) {
            // A tag's value can't have a comma.
            tags.0.insert(name.to_owned(), text.replace(',', " "));
        }
        tags
    }

    pub(crate) fn ownership(&self, owner: &Owner, key: &ResourceKey) -> Ownership {
        let tracked = self.0.get(TRACKING_ANNOTATION).and_then(|id| Owner::from_tracking_id(id, key));
        match tracked {
            None => Ownership::Nobodys,
            Some(tracked) if tracked == *owner => Ownership::Ours,
            Some(other) => Ownership::Others(other.application.to_string()),
        }
    }

    /// With the mark of what was brought out.
    pub(crate) fn marked(mut self, mark: &str) -> Self {
        self.0.insert(CONTENT.to_owned(), mark.to_owned());
        self
    }

    /// The mark of what was brought out last.
    pub(crate) fn mark(&self) -> Option<&str> {
        self.0.get(CONTENT).map(String::as_str)
    }

    /// Tags to write, so that all of `wanted` are there. Others are left alone: whoever set them wants them.
    pub(crate) fn missing(&self, wanted: &Self) -> Self {
        let missing = wanted.0.iter().filter(|(key, value)| self.0.get(*key) != Some(*value));
        Self(missing.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// These tags and `more`, which win.
    pub(crate) fn with(&self, more: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(more.0.clone());
        Self(all)
    }

    /// Without Minato's own and those of AWS: what a file may say.
    pub(crate) fn users(&self) -> Self {
        let ours =
            |key: &str| key == TRACKING_ANNOTATION || key == CONTENT || KEPT_ANNOTATIONS.contains(&key);
        let users = self.0.iter().filter(|(key, _)| !ours(key) && !key.starts_with("aws:"));
        Self(users.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// The annotations that were kept as tags.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        let kept = KEPT_ANNOTATIONS.iter().filter_map(|name| Some((*name, self.0.get(*name)?)));
        kept.map(|(name, text)| (name.to_owned(), text.replace(' ', ","))).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the API takes them.
    pub(crate) fn to_value(&self) -> Value {
        self.0.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
    }

    /// The names of the tags that make a resource somebody's.
    pub(crate) fn owners_keys() -> [&'static str; 2] {
        [TRACKING_ANNOTATION, CONTENT]
    }
}

/// The annotations of an Object that are kept as tags, in the form in which they come back.
pub(crate) fn kept_annotations(object: &Object) -> BTreeMap<&'static str, String> {
    let annotations = object.annotations();
    let tight = |text: &str| text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    let kept = KEPT_ANNOTATIONS.iter().filter_map(|name| Some((*name, tight(annotations.get(name)?))));
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Object {
        let value = json!({"apiVersion": "ecs.amazonaws.com/v1", "kind": "Service",
            "metadata": {"name": name, "annotations": {SYNC_OPTIONS_ANNOTATION: "Prune=false, Validate=false"}},
            "spec": {"tags": [{"key": "team", "value": "shop"}, {"key": "empty"}]}});
        Object::from_value(value).unwrap()
    }

    fn owner(name: &str) -> Owner {
        Owner::new(name.parse().unwrap())
    }

    #[test]
    fn a_tag_names_the_owner_of_this_very_resource() {
        let web = service("web");
        let tags = Tags::wanted(&web, &owner("shop")).marked("a");
        assert_eq!(tags.ownership(&owner("shop"), web.key()), Ownership::Ours);
        assert_eq!(tags.ownership(&owner("other"), web.key()), Ownership::Others("shop".into()));
        assert_eq!(tags.ownership(&owner("shop"), service("copy").key()), Ownership::Nobodys);
        assert_eq!((tags.mark(), tags.users().mark()), (Some("a"), None));
    }

    #[test]
    fn tags_of_others_stay_and_annotations_come_back() {
        let wanted = Tags::wanted(&service("web"), &owner("shop")).marked("a");
        let have = Tags::read(Some(&json!([{"key": "team", "value": "old"}, {"key": "aws:x", "value": "1"},
            {"key": "cost", "value": "7"}])));
        let all = have.with(&have.missing(&wanted));
        assert!(all.missing(&wanted).is_empty());
        assert_eq!(
            all.users().to_value(),
            json!([{"key": "cost", "value": "7"}, {"key": "empty", "value": ""}, {"key": "team", "value": "shop"}])
        );
        let kept =
            BTreeMap::from([(SYNC_OPTIONS_ANNOTATION.to_owned(), "Prune=false,Validate=false".to_owned())]);
        assert_eq!(all.annotations(), kept);
        assert_eq!(Tags::read(Some(&json!("no list"))), Tags::default());
    }
}
