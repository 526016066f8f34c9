//! One revision of a task definition, and when it is what a document asks for.

use std::collections::BTreeMap;

use minato_resource::{Object, ResourceKey};
use minato_sync::{Fingerprint, Owner};
use minato_task_definition::{GROUP, TASK_DEFINITION_KIND, normalise};
use serde_json::Value;

use crate::tags::{Ownership, Tags};

/// A registered revision; its content never changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Revision {
    pub arn: String,
    pub family: String,
    /// `family:revision`.
    pub name: String,
    pub is_active: bool,
    pub definition: Value,
    pub tags: Tags,
}

impl Revision {
    /// Reads the answer of `DescribeTaskDefinition` or `RegisterTaskDefinition`.
    pub(crate) fn read(answer: &Value) -> Option<Self> {
        let definition = answer.get("taskDefinition")?;
        let text = |name: &str| definition.get(name).and_then(Value::as_str);
        let family = text("family")?;
        Some(Self {
            arn: text("taskDefinitionArn")?.to_owned(),
            family: family.to_owned(),
            name: format!("{family}:{}", definition.get("revision")?.as_u64()?),
            is_active: text("status").is_none_or(|status| status == "ACTIVE"),
            definition: definition.clone(),
            tags: Tags::read(answer.get("tags")),
        })
    }

    pub(crate) fn key(&self) -> ResourceKey {
        ResourceKey::new(GROUP, TASK_DEFINITION_KIND, "", self.family.as_str())
    }

    pub(crate) fn ownership(&self, owner: &Owner) -> Ownership {
        self.tags.ownership(owner, &self.key())
    }

    /// Whether it can stand for `desired`: registering that would make the same once more. A revision of another
    /// Application can't, for it may be given up there at any time.
    pub(crate) fn serves(&self, desired: &Object, owner: &Owner) -> bool {
        let is_others = matches!(self.ownership(owner), Ownership::Others(_));
        self.is_active && !is_others && self.is_content_of(desired)
    }

    fn is_content_of(&self, desired: &Object) -> bool {
        let (made, asked) = (normalise(&self.definition), normal(desired));
        made == asked || self.tags.mark() == Some(&mark(&asked, &made))
    }

    /// The mark that this revision needs to be known again as what `desired` asked for; `None` when it shows anyway.
    pub(crate) fn needed_mark(&self, desired: &Object) -> Option<String> {
        let (made, asked) = (normalise(&self.definition), normal(desired));
        (made != asked).then(|| mark(&asked, &made))
    }
}

/// The normal form of a desired task definition, without its tags: they are no part of a revision.
pub(crate) fn normal(desired: &Object) -> Value {
    let mut spec = normalise(desired.get("/spec").unwrap_or(&Value::Null));
    if let Value::Object(fields) = &mut spec {
        fields.shift_remove("tags");
    }
    spec
}

/// Says that ECS made `made` of `asked`, both in normal form. Copied to a revision with another content, as the console
/// copies tags, it says nothing.
pub(crate) fn mark(asked: &Value, made: &Value) -> String {
    let of = |value: &Value| Fingerprint::of(std::slice::from_ref(value), &BTreeMap::new());
    format!("{}.{}", of(asked), of(made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn desired(image: &str) -> Object {
        let value = json!({"apiVersion": "ecs.amazonaws.com/v1", "kind": "TaskDefinition",
            "metadata": {"name": "web"}, "spec": {"family": "web", "tags": [{"key": "a", "value": "b"}],
            "containerDefinitions": [{"name": "web", "image": image}]}});
        Object::from_value(value).unwrap()
    }

    fn revision(status: &str, image: &str, tags: Value) -> Revision {
        let answer = json!({"taskDefinition": {"family": "web", "revision": 3, "status": status,
            "taskDefinitionArn": "arn:aws:ecs:r:1:task-definition/web:3",
            "containerDefinitions": [{"name": "web", "image": image, "cpu": 0, "essential": true}]}, "tags": tags});
        Revision::read(&answer).unwrap()
    }

    #[test]
    fn a_revision_serves_when_it_is_active_equal_and_not_another_applications() {
        let owner = Owner::new("shop".parse().unwrap());
        let tracking = |application: &str| {
            let id = format!("{application}:ecs.amazonaws.com/TaskDefinition:/web");
            json!([{"key": minato_sync::TRACKING_ANNOTATION, "value": id}])
        };
        let check = |revision: Revision, expected: bool| {
            assert_eq!(revision.serves(&desired("web:1"), &owner), expected, "{revision:?}");
        };
        check(revision("ACTIVE", "web:1", json!([])), true);
        check(revision("ACTIVE", "web:1", tracking("shop")), true);
        check(revision("ACTIVE", "web:1", tracking("other")), false);
        check(revision("ACTIVE", "web:2", json!([])), false);
        check(revision("INACTIVE", "web:1", json!([])), false);
        // What ECS made of it may look different; the mark tells that it is the same, on this content only.
        let made = revision("ACTIVE", "web:1 as ECS writes it", json!([]));
        let mark = made.needed_mark(&desired("web:1")).unwrap();
        let tags = json!([{"key": "minato.dev/content", "value": mark}]);
        check(revision("ACTIVE", "web:1 as ECS writes it", tags.clone()), true);
        check(revision("ACTIVE", "edited in the console", tags), false);
        assert_eq!(revision("ACTIVE", "web:1", json!([])).needed_mark(&desired("web:1")), None);
    }

    #[test]
    fn answers_that_name_no_revision_are_none() {
        for wrong in [json!({}), json!({"taskDefinition": {}}), json!({"taskDefinition": {"family": "web"}})]
        {
            assert_eq!(Revision::read(&wrong), None);
        }
    }
}
