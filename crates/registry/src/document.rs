//! Manifests and indexes as a registry sends them.

use minato_oci::{Descriptor, Digest, ManifestDocument, Reference, media_type};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::progress::Progress;
use crate::resolve::ResolveError;
use crate::transport::{Request, Transport};

/// The distribution specification's recommended limit.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// What manifests and indexes may be.
pub(crate) const ACCEPTED: [&str; 4] =
    [media_type::MANIFEST, media_type::INDEX, media_type::DOCKER_MANIFEST, media_type::DOCKER_INDEX];
const DIGEST_HEADER: &str = "Docker-Content-Digest";

/// A manifest or an index.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// What it says.
    pub document: ManifestDocument,
    /// The bytes as they were sent, which are what the digest covers.
    pub bytes: Vec<u8>,
}

impl Client {
    /// What `reference` itself stands for: the index, where it is one.
    ///
    /// # Errors
    /// When no place has it, or what it has is refused.
    pub async fn document(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Document, ResolveError> {
        let ask = async |endpoint: &Endpoint| {
            fetch(&self.transport, endpoint, reference, &Wanted::of(reference), progress).await
        };
        self.ask_in_turn(reference, progress, ask).await
    }
}

impl Document {
    /// Reads bytes that are to be of the media type `declared`.
    pub(crate) fn read(bytes: Vec<u8>, declared: Option<&str>) -> Result<Self, minato_oci::ManifestError> {
        let document = ManifestDocument::parse(&bytes, declared)?;
        let (digest, size) = (Digest::sha256(&bytes), bytes.len() as u64);
        Ok(Self { descriptor: Descriptor::new(document.media_type(), digest, size), document, bytes })
    }

    /// This document in a list of referrers (the distribution specification's "Listing Referrers").
    pub(crate) fn as_referrer(&self) -> Descriptor {
        let (annotations, other, config) = match &self.document {
            ManifestDocument::Manifest(m) => (&m.annotations, &m.other, Some(m.config.media_type.as_str())),
            ManifestDocument::Index(index) => (&index.annotations, &index.other, None),
        };
        let written = other.get("artifactType").and_then(Value::as_str).filter(|kind| !kind.is_empty());
        let mut entry = Descriptor { annotations: annotations.clone(), ..self.descriptor.clone() };
        if let Some(kind) = written.or(config) {
            entry.other.insert("artifactType".to_owned(), Value::from(kind));
        }
        entry
    }

    /// The manifest that this one is about (`subject`): of an SBOM, the image.
    pub fn subject(&self) -> Option<Digest> {
        let other = match &self.document {
            ManifestDocument::Manifest(manifest) => &manifest.other,
            ManifestDocument::Index(index) => &index.other,
        };
        other.get("subject")?.get("digest")?.as_str()?.parse().ok()
    }
}

/// What the next document must be.
pub(crate) enum Wanted {
    Tag(String),
    Digest(Digest),
    Descriptor(Box<Descriptor>),
}

impl Wanted {
    /// A digest decides where there is one, whatever the tag says.
    pub(crate) fn of(reference: &Reference) -> Self {
        match (reference.digest(), reference.tag()) {
            (Some(digest), _) => Self::Digest(*digest),
            (None, tag) => Self::Tag(tag.unwrap_or("latest").to_owned()),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Tag(tag) => tag.clone(),
            Self::Digest(digest) => digest.to_string(),
            Self::Descriptor(descriptor) => descriptor.digest.to_string(),
        }
    }

    fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Tag(_) => None,
            Self::Digest(digest) => Some(digest),
            Self::Descriptor(descriptor) => Some(&descriptor.digest),
        }
    }
}

/// One document from one place, verified.
///
/// # Errors
/// When it can't be had or is not what was asked for.
pub(crate) async fn fetch(
    transport: &Transport,
    endpoint: &Endpoint,
    reference: &Reference,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<Document, ResolveError> {
    let accept = ACCEPTED.join(", ");
    let path = format!("manifests/{}", wanted.name());
    let repository = reference.repository();
    let request = Request { endpoint, repository, path: &path, accept: Some(&accept), from: 0 };
    let url = endpoint.url(repository, &path);
    let response = transport.get(request, progress).await?;
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.map(|value| value.split(';').next().unwrap_or(value).trim().to_owned())
    };
    let (declared, claimed) = (header(CONTENT_TYPE.as_str()), header(DIGEST_HEADER));
    let bytes = transport.body(&url, response, DOCUMENT_LIMIT).await?;
    let digest = Digest::sha256(&bytes);
    check(&url, wanted, claimed.as_deref(), &digest, bytes.len() as u64)?;
    let declared = match wanted {
        Wanted::Descriptor(descriptor) if !descriptor.media_type.is_empty() => {
            Some(descriptor.media_type.as_str())
        }
        _ => declared.as_deref(),
    };
    Document::read(bytes, declared).map_err(|source| ResolveError::Manifest { url: url.to_string(), source })
}

fn check(
    url: &reqwest::Url,
    wanted: &Wanted,
    claimed: Option<&str>,
    digest: &Digest,
    size: u64,
) -> Result<(), ResolveError> {
    let mismatch = |what, found: String, expected: String| {
        Err(ResolveError::Mismatch { url: url.to_string(), what, found, expected })
    };
    match wanted.digest() {
        Some(expected) if expected != digest => {
            return mismatch("digest", digest.to_string(), expected.to_string());
        }
        _ => {}
    }
    match wanted {
        Wanted::Descriptor(descriptor) if descriptor.size != size => {
            return mismatch("size", size.to_string(), descriptor.size.to_string());
        }
        _ => {}
    }
    match claimed {
        Some(claimed) if claimed.starts_with("sha256:") && claimed != digest.to_string() => {
            mismatch(DIGEST_HEADER, claimed.chars().take(80).collect(), digest.to_string())
        }
        _ => Ok(()),
    }
}
