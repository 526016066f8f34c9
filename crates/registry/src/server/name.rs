//! What a repository and a tag may be called (the distribution specification's "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use minato_oci::Reference;

/// The registry of references that are made only to have their grammar checked.
const SOME_REGISTRY: &str = "localhost";

/// A repository's name, `team/app`. No component is empty or starts with a dot or an underscore, so that it is safe as
/// a path, and files beside repositories can start with an underscore.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct RepositoryName(String);

/// A tag.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Tag(String);

/// Why a text is no name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum NameError {
    #[error("repository {0:?}: lower-case letters, digits and single . _ - between them, / between parts")]
    Repository(String),
    #[error("tag {0:?}: letters, digits, _ . - and at most 128 of them")]
    Tag(String),
}

impl RepositoryName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Repository(text.chars().take(300).collect());
        let reference: Reference = format!("{SOME_REGISTRY}/{text}").parse().map_err(|_| refused())?;
        // A colon or an @ would have been read as something else than a part of the name.
        if reference.repository() == text { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let repository: Reference = "localhost/a".parse().expect("it is a reference");
        match repository.with_tag(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(NameError::Tag(text.chars().take(300).collect())),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for text in ["a", "library/redis", "docker.io/library/redis", "a__b/c-d.e", "x/blobs/uploads"] {
            assert_eq!(text.parse::<RepositoryName>().unwrap().as_str(), text);
        }
        let long = format!("a/{}", "b".repeat(253));
        assert!(long.parse::<RepositoryName>().is_ok());
        assert!(format!("{long}b").parse::<RepositoryName>().is_err());
    }

    #[test]
    fn what_would_leave_its_folder_is_refused() {
        for text in
            ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "_a", "A", "a:b", "a@b", "a%2fb", "a b", "a/_b"]
        {
            assert!(text.parse::<RepositoryName>().is_err(), "{text}");
        }
        for text in ["", ".a", "-a", "a/b", "a:b", "..", &"a".repeat(129)] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
        assert_eq!("v1.0_A-b".parse::<Tag>().unwrap().to_string(), "v1.0_A-b");
    }
}
