//! From a reference to the manifest of one image for one platform.

use minato_oci::{
    Descriptor, Digest, Index, Manifest, ManifestDocument, ManifestError, Platform, Reference, media_type,
};
use reqwest::header::CONTENT_TYPE;

use crate::endpoint::Endpoint;
use crate::failure::RequestError;
use crate::progress::Progress;
use crate::transport::{Request, Transport};

/// The distribution specification's recommended limit.
const MANIFEST_LIMIT: u64 = 4 << 20;
/// An index may lead to an index, but not for long.
const DEPTH_LIMIT: usize = 3;
const DIGEST_HEADER: &str = "Docker-Content-Digest";

/// The manifest that a reference means for a platform.
#[derive(Clone, PartialEq, Debug)]
pub struct Resolved {
    /// The manifest's digest, size and media type.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The index that it was chosen from: what the reference itself stands for.
    pub index: Option<Digest>,
    /// The manifest as it was sent, which is what its digest covers.
    pub(crate) bytes: Vec<u8>,
}

/// Why a reference could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry can't be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The answer is no manifest.
    #[error("{url}: {source}")]
    Manifest {
        /// The URL.
        url: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The answer is not what was asked for.
    #[error("{url}: {what} is {found}, expected {expected}; the answer is refused")]
    Mismatch {
        /// The URL.
        url: String,
        /// What differs.
        what: &'static str,
        /// What came.
        found: String,
        /// What should have come.
        expected: String,
    },
    /// There is no image for the platform.
    #[error("{reference}: no image for {platform}; there is one for {offered}")]
    Platform {
        /// What was asked for.
        reference: Box<Reference>,
        /// The platform.
        platform: String,
        /// The platforms on offer.
        offered: String,
    },
    /// Indexes lead to indexes without end.
    #[error("{0}: index leads to too many other indexes; it is refused")]
    TooDeep(Box<Reference>),
}

/// A document as it was sent.
struct Fetched {
    document: ManifestDocument,
    descriptor: Descriptor,
    bytes: Vec<u8>,
}

/// Resolves `reference` at one place.
pub(crate) async fn resolve(
    transport: &Transport,
    endpoint: &Endpoint,
    reference: &Reference,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Resolved, ResolveError> {
    let mut wanted = Wanted::of(reference);
    let mut index = None;
    for _ in 0..DEPTH_LIMIT {
        let fetched = fetch(transport, endpoint, reference, &wanted, progress).await?;
        match fetched.document {
            ManifestDocument::Manifest(manifest) => {
                let Fetched { descriptor, bytes, .. } = fetched;
                return Ok(Resolved { descriptor, manifest: *manifest, index, bytes });
            }
            ManifestDocument::Index(found) => {
                index.get_or_insert(fetched.descriptor.digest);
                wanted = Wanted::Descriptor(Box::new(choose(&found, reference, platform)?));
            }
        }
    }
    Err(ResolveError::TooDeep(Box::new(reference.clone())))
}

fn choose(index: &Index, reference: &Reference, platform: &Platform) -> Result<Descriptor, ResolveError> {
    index.select(platform).cloned().ok_or_else(|| ResolveError::Platform {
        reference: Box::new(reference.clone()),
        platform: platform.to_string(),
        offered: index.platforms().join(", "),
    })
}

/// What the next document must be.
enum Wanted {
    Tag(String),
    Digest(Digest),
    Descriptor(Box<Descriptor>),
}

impl Wanted {
    /// A digest decides where there is one, whatever the tag says.
    fn of(reference: &Reference) -> Self {
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

async fn fetch(
    transport: &Transport,
    endpoint: &Endpoint,
    reference: &Reference,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<Fetched, ResolveError> {
    let accept =
        [media_type::MANIFEST, media_type::INDEX, media_type::DOCKER_MANIFEST, media_type::DOCKER_INDEX]
            .join(", ");
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
    let bytes = transport.body(&url, response, MANIFEST_LIMIT).await?;
    let digest = Digest::sha256(&bytes);
    check(&url, wanted, claimed.as_deref(), &digest, bytes.len() as u64)?;
    let declared = match wanted {
        Wanted::Descriptor(descriptor) if !descriptor.media_type.is_empty() => {
            Some(descriptor.media_type.as_str())
        }
        _ => declared.as_deref(),
    };
    let document = ManifestDocument::parse(&bytes, declared)
        .map_err(|source| ResolveError::Manifest { url: url.to_string(), source })?;
    let descriptor = Descriptor::new(document.media_type(), digest, bytes.len() as u64);
    Ok(Fetched { document, descriptor, bytes })
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
