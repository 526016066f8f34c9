//! Who an Object belongs to, and Argo CD's way of writing that on the Object.

use std::fmt;
use std::str::FromStr;

use minato_resource::ResourceKey;
use serde::{Deserialize, Serialize};

/// The annotation that Argo CD tracks ownership by (its default since 3.0).
pub const TRACKING_ANNOTATION: &str = "argocd.argoproj.io/tracking-id";

/// Longest name of an Application: a DNS subdomain (RFC 1123).
const NAME_LIMIT: usize = 253;

/// Name of an Application: a DNS subdomain, so it is safe in paths, annotations and tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApplicationName(String);

impl ApplicationName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApplicationName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let label = |label: &str| {
            let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let bytes = label.as_bytes();
            bytes.first().is_some_and(alphanumeric)
                && bytes.last().is_some_and(alphanumeric)
                && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
        };
        if text.len() <= NAME_LIMIT && text.split('.').all(label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError { name: text.chars().take(NAME_LIMIT).collect() })
        }
    }
}

impl TryFrom<String> for ApplicationName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ApplicationName> for String {
    fn from(name: ApplicationName) -> Self {
        name.0
    }
}

impl fmt::Display for ApplicationName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Not a name that an Application can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} can't name an application: use lower-case letters, digits, '-' and '.', at most 253 characters"
)]
pub struct NameError {
    name: String,
}

/// Who owns Objects at a target: one Application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The Application.
    pub application: ApplicationName,
}

impl Owner {
    /// The owner for an Application.
    pub fn new(application: ApplicationName) -> Self {
        Self { application }
    }

    /// Argo CD's tracking id: `app:group/kind:namespace/name` (argo-cd, resource tracking).
    pub fn tracking_id(&self, key: &ResourceKey) -> String {
        format!("{}:{}/{}:{}/{}", self.application, key.group, key.kind, key.namespace, key.name)
    }

    /// The owner that a tracking id names, if it speaks of the Object it was found on: a copied
    /// annotation must not make an Object ours.
    pub fn from_tracking_id(text: &str, found_on: &ResourceKey) -> Option<Self> {
        let (application, _) = text.split_once(':')?;
        let owner = Self::new(application.parse().ok()?);
        (owner.tracking_id(found_on) == text).then_some(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ResourceKey {
        text.parse().unwrap()
    }

    #[test]
    fn tracking_id_is_argo_cds() {
        let owner = Owner::new("shop".parse().unwrap());
        let web = key("apps/Deployment default/web");
        let id = owner.tracking_id(&web);
        assert_eq!(id, "shop:apps/Deployment:default/web");
        assert_eq!(Owner::from_tracking_id(&id, &web), Some(owner));
        assert_eq!(Owner::from_tracking_id(&id, &key("apps/Deployment default/copy")), None);
        assert_eq!(Owner::from_tracking_id("", &web), None);
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for bad in ["", "..", "a/b", "../a", "A", "-a", "a-", "a..b", &"a".repeat(254), "a b", "é"] {
            assert!(bad.parse::<ApplicationName>().is_err(), "{bad}");
        }
        for good in ["a", "shop", "shop-1a2b", "team.shop", "0"] {
            assert!(good.parse::<ApplicationName>().is_ok(), "{good}");
        }
    }
}
