//! The identity of an object.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What makes two objects the same one: group, kind, namespace and name, and not the version.
///
/// The text form, also the serde form, is `[GROUP/]KIND [NAMESPACE/]NAME`: `apps/Deployment default/web`,
/// `Service default/web`, `Namespace web`, `ecs.amazonaws.com/TaskDefinition web`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// API group; empty for Kubernetes' core group.
    pub group: String,
    /// Kind, as written in the object: `Deployment`.
    pub kind: String,
    /// Namespace; empty when the object does not say one.
    pub namespace: String,
    /// Name within the namespace.
    pub name: String,
}

impl ResourceKey {
    /// Puts the four parts together.
    pub fn new(
        group: impl Into<String>,
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> ResourceKey {
        ResourceKey { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    /// The same identity in another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: impl Into<String>) -> ResourceKey {
        ResourceKey { namespace: namespace.into(), ..self.clone() }
    }

    /// True when group and kind are these: `key.is("apps", "Deployment")`.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.group.is_empty() {
            write!(f, "{}/", self.group)?;
        }
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// A text that is not `[GROUP/]KIND [NAMESPACE/]NAME`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a resource: write it as `[GROUP/]KIND [NAMESPACE/]NAME`, for example `apps/Deployment default/web`"
)]
pub struct KeyError(String);

impl FromStr for ResourceKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<ResourceKey, KeyError> {
        let error = || KeyError(text.to_owned());
        let (kind, name) = text.split_once(' ').ok_or_else(error)?;
        let (group, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        let well_formed = |part: &str| !part.is_empty() && !part.contains([' ', '/']);
        if !well_formed(kind) || !well_formed(name) || group.contains('/') || namespace.contains(' ') {
            return Err(error());
        }
        Ok(ResourceKey::new(group, kind, namespace, name))
    }
}

impl Serialize for ResourceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ResourceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ResourceKey, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_reads_back() {
        for text in [
            "apps/Deployment default/web",
            "Service default/web",
            "Namespace web",
            "ecs.amazonaws.com/TaskDefinition web",
        ] {
            assert_eq!(text.parse::<ResourceKey>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "web", "Service ", " web", "Service a/b/c", "a/b/Service web", "apps/ web", "Service a b"]
        {
            assert!(text.parse::<ResourceKey>().is_err(), "{text:?}");
        }
    }
}
