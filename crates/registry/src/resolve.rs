//! From a reference to the manifest of one image for one platform.

use minato_oci::{Descriptor, Digest, Index, Manifest, ManifestDocument, ManifestError, Platform, Reference};

use crate::document::{Document, Wanted, fetch};
use crate::endpoint::Endpoint;
use crate::failure::RequestError;
use crate::progress::Progress;
use crate::transport::Transport;

/// An index may lead to an index, but not for long.
pub(crate) const DEPTH_LIMIT: usize = 3;

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
                let Document { descriptor, bytes, .. } = fetched;
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

pub(crate) fn choose(
    index: &Index,
    reference: &Reference,
    platform: &Platform,
) -> Result<Descriptor, ResolveError> {
    index.select(platform).cloned().ok_or_else(|| ResolveError::Platform {
        reference: Box::new(reference.clone()),
        platform: platform.to_string(),
        offered: index.platforms().join(", "),
    })
}
