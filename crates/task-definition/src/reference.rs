//! How a service, or whoever else runs tasks, names a task definition.

use std::fmt;
use std::str::FromStr;

use crate::document::family_and_revision;

/// `family`, `family:revision`, or either at the end of an ARN (API reference, `CreateService.taskDefinition`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskDefinitionReference {
    /// The family.
    pub family: String,
    /// The revision; `None` means the newest active one.
    pub revision: Option<u64>,
}

impl FromStr for TaskDefinitionReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = || ReferenceError(text.to_owned());
        let (family, revision) = family_and_revision(text);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if family.is_empty() || !family.bytes().all(allowed) {
            return Err(error());
        }
        let revision = revision.map(str::parse).transpose().map_err(|_| error())?;
        Ok(Self { family: family.to_owned(), revision })
    }
}

impl fmt::Display for TaskDefinitionReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.family)?;
        self.revision.iter().try_for_each(|revision| write!(formatter, ":{revision}"))
    }
}

/// A text that names no task definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no task definition: write FAMILY, FAMILY:REVISION, or its ARN")]
pub struct ReferenceError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<TaskDefinitionReference>().ok().map(|read| read.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("web", Some("web"));
        check("web:7", Some("web:7"));
        check("arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7", Some("web:7"));
        check("arn:aws-cn:ecs:cn-north-1:123456789012:task-definition/web", Some("web"));
        check("web:x", None);
        check("web:1:2", None);
        check("", None);
        check("a b", None);
    }
}
