//! Image references with Docker's normalisation: `redis` is `docker.io/library/redis`.
//!
//! The grammar and the rules are those of the distribution project's `reference` package, which every
//! Docker-compatible tool follows.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, DigestError};

const DEFAULT_REGISTRY: &str = "docker.io";
const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const REPOSITORY_LIMIT: usize = 255;
const TAG_LIMIT: usize = 128;

/// Where an image is: `registry/repository[:tag][@digest]`, normalised.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// Nothing is there.
    #[error("image reference is empty")]
    Empty,
    /// 64 hex digits are an image's identity, which Docker never takes as a name.
    #[error("image reference {0:?} cannot be 64 hex digits: that is an image id, not a name")]
    Identifier(String),
    /// The part before the first slash looks like a host and is none.
    #[error("image reference {text:?} has an invalid registry {registry:?}")]
    Registry {
        /// The whole reference.
        text: String,
        /// What stands before the first slash.
        registry: String,
    },
    /// The repository has an upper-case letter.
    #[error("image reference {0:?} must be lower case before its tag")]
    UpperCase(String),
    /// The repository breaks the grammar.
    #[error("image reference {text:?} has an invalid repository {repository:?}")]
    Repository {
        /// The whole reference.
        text: String,
        /// The part between registry and tag.
        repository: String,
    },
    /// The repository has more than 255 characters.
    #[error("image reference has a repository of {0} characters; at most 255 are allowed")]
    RepositoryTooLong(usize),
    /// The tag breaks the grammar.
    #[error(
        "image reference {text:?} has an invalid tag {tag:?}; letters, digits, _ . - and at most 128 of them"
    )]
    Tag {
        /// The whole reference.
        text: String,
        /// What stands after the colon.
        tag: String,
    },
    /// The digest after `@` is none.
    #[error("image reference {text:?}: {source}")]
    Digest {
        /// The whole reference.
        text: String,
        /// What is wrong with the digest.
        source: DigestError,
    },
}

impl Reference {
    /// The registry's host and optional port, `docker.io` where none was written.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path inside the registry, `library/redis` for `redis`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was written. `latest` is never filled in: see [`Reference::with_default_tag`].
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The short form that Docker prints: `redis:7` for `docker.io/library/redis:7`. Where that would name another image
    /// (`docker.io/x.y/z`), the long form.
    pub fn familiar(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.to_string();
        }
        let official = self.repository.strip_prefix(OFFICIAL_PREFIX).filter(|name| !name.contains('/'));
        let short = format!("{}{}", official.unwrap_or(&self.repository), Suffix(self));
        match short.parse::<Self>() {
            Ok(meant) if meant == *self => short,
            _ => self.to_string(),
        }
    }

    /// The same repository under `tag`, without a digest.
    ///
    /// # Errors
    /// When `tag` breaks the grammar.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag { text: self.familiar(), tag: tag.to_owned() });
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same reference pinned to `digest`; a tag stays.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The reference with `latest` as its tag where it has neither tag nor digest, as Docker pulls it.
    #[must_use]
    pub fn with_default_tag(&self) -> Self {
        let mut reference = self.clone();
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some("latest".to_owned());
        }
        reference
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (rest, digest) = split_digest(text)?;
        let (registry, rest) = split_registry(rest);
        let (repository, tag) = split_tag(text, rest)?;
        let registry = check_registry(text, registry)?;
        let repository = check_repository(text, &registry, repository)?;
        Ok(Self { registry, repository, tag, digest })
    }
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), ReferenceError> {
    let Some((rest, digest)) = text.split_once('@') else { return Ok((text, None)) };
    let digest = digest.parse().map_err(|source| ReferenceError::Digest { text: text.to_owned(), source })?;
    Ok((rest, Some(digest)))
}

/// What stands before the first slash is a registry when it could not be a path component of Docker Hub: it has a
/// dot, a colon or an upper-case letter, or is `localhost`.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, text),
    }
}

fn split_tag<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<String>), ReferenceError> {
    match rest.split_once(':') {
        None => Ok((rest, None)),
        Some((repository, tag)) if is_tag(tag) => Ok((repository, Some(tag.to_owned()))),
        Some((_, tag)) => Err(ReferenceError::Tag { text: text.to_owned(), tag: tag.to_owned() }),
    }
}

fn check_registry(text: &str, registry: &str) -> Result<String, ReferenceError> {
    if !is_registry(registry) {
        return Err(ReferenceError::Registry { text: text.to_owned(), registry: registry.to_owned() });
    }
    let registry = if registry == LEGACY_DEFAULT_REGISTRY { DEFAULT_REGISTRY } else { registry };
    Ok(registry.to_owned())
}

fn check_repository(text: &str, registry: &str, repository: &str) -> Result<String, ReferenceError> {
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ReferenceError::UpperCase(text.to_owned()));
    }
    if !repository.split('/').all(is_path_component) {
        return Err(ReferenceError::Repository { text: text.to_owned(), repository: repository.to_owned() });
    }
    let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let repository = if official { format!("{OFFICIAL_PREFIX}{repository}") } else { repository.to_owned() };
    if repository.len() > REPOSITORY_LIMIT {
        return Err(ReferenceError::RepositoryTooLong(repository.len()));
    }
    Ok(repository)
}

/// `host[:port]` where host is a domain name, an IPv4 address or a bracketed IPv6 address.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    let port_fits = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let host_fits = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(is_domain_component),
    };
    port_fits && host_fits
}

fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Runs of lower-case letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(*first)
        && is_word(*last)
        && bytes.split(|b| is_word(*b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_LIMIT
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Tag and digest as they follow a name.
struct Suffix<'a>(&'a Reference);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.0.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.0.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, Suffix(self))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

crate::text::serde_as_text!(Reference);
