//! Images from one place to another: between registries, and to and from folders with an OCI layout.
//!
//! ```text
//!  origin ─► documents (index, manifests; referrers) ─► blobs that the target has not: mounted, else streamed, in parallel
//!                                                   ─► documents, children first ─► names
//! ```
//!
//! Documents are copied byte for byte, so digests stay. Between registries no blob touches the disk.

mod documents;
mod folder;
mod origin;
mod target;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use minato_oci::{Descriptor, Digest, ManifestDocument, Platform, Reference};

use crate::client::Client;
use crate::document::Document;
use crate::failure::RequestError;
use crate::progress::{Event, Progress};
use crate::push::PushError;
use crate::resolve::ResolveError;
use crate::upload::{Uploaded, push_scope};

use self::documents::Documents;
use self::folder::Folder;
pub use self::folder::FolderError;
use self::origin::Origin;
use self::target::Target;

/// Where an image is copied from or to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A repository of a registry; a tag or a digest says which image.
    Registry(Reference),
    /// A folder with an OCI layout.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// The image's name in it: a tag, a whole reference, or a digest. Not needed where there is one image.
        name: Option<String>,
    },
}

/// What is copied.
#[derive(Clone, Default, Debug)]
pub struct CopyOptions {
    /// Only the image for this platform, and not the index that it is in.
    pub platform: Option<Platform>,
    /// Also what is said about each manifest: SBOMs, provenance, signatures.
    pub referrers: bool,
    /// Tags that the image gets at its new place, beside the one that the place names.
    pub tags: Vec<String>,
}

/// What was copied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// The digest of what the name stands for, the same at both places.
    pub digest: Digest,
    /// Manifests and indexes that are at the new place now.
    pub documents: usize,
    /// Bytes of blobs that were sent.
    pub sent: u64,
}

/// Why an image was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The image can't be had.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The new place does not take it.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A registry can't be asked, or says no.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A folder can't be read or written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The target names another digest than the image has.
    #[error("{target}: the image has digest {found}; leave the digest out of the target")]
    Digest {
        /// The target as it was given.
        target: Box<Reference>,
        /// The image's digest.
        found: Digest,
    },
    /// There is no image for the platform.
    #[error("no image for {platform}; there is one for {offered}")]
    Platform {
        /// The platform.
        platform: String,
        /// The platforms on offer.
        offered: String,
    },
    /// Documents lead to documents without end.
    #[error("index leads to too many manifests (more than {0}); it is refused")]
    TooMany(usize),
}

impl Client {
    /// Copies what `from` stands for to `to`. A target without a tag gets the origin's.
    ///
    /// What the target has is not sent again. A broken read goes on from where it ended; a broken write from what the
    /// target says it has.
    ///
    /// # Errors
    /// When one of the places can't be asked or refuses something, or what comes is not what its digest says.
    pub async fn copy(
        &self,
        from: &Place,
        to: &Place,
        options: &CopyOptions,
        progress: &dyn Progress,
    ) -> Result<Copied, CopyError> {
        let (origin, root) = self.open_origin(from, progress).await?;
        let documents = Documents::gather(&origin, root, options, self.parallel).await?;
        let names = names(from, to, &options.tags, documents.root())?;
        match to {
            Place::Registry(reference) => {
                let endpoint = self.origin(reference);
                let scope = push_scope(reference.repository());
                let destination = self.destination(reference, &endpoint, &scope, progress);
                let mount_from = origin.mount_from(&endpoint, reference);
                let target = Target::Registry { destination, reference, mount_from };
                self.bring(&origin, &target, &documents, &names, progress).await
            }
            Place::Layout { folder, .. } => {
                let target = Target::Folder(Folder::create(folder)?);
                self.bring(&origin, &target, &documents, &names, progress).await
            }
        }
    }

    async fn open_origin<'a>(
        &'a self,
        from: &'a Place,
        progress: &'a dyn Progress,
    ) -> Result<(Origin<'a>, Document), CopyError> {
        match from {
            Place::Registry(reference) => Ok(Origin::registry(self, reference, progress).await?),
            Place::Layout { folder, name } => {
                let folder = Folder::open(folder)?;
                let root = folder.document(&folder.find(name.as_deref())?)?;
                Ok((Origin::Folder(folder), root))
            }
        }
    }

    async fn bring(
        &self,
        origin: &Origin<'_>,
        target: &Target<'_>,
        documents: &Documents,
        names: &[String],
        progress: &dyn Progress,
    ) -> Result<Copied, CopyError> {
        let missing = self.missing(target, documents).await?;
        let sent = AtomicU64::new(0);
        let blobs = blobs(missing.iter().copied());
        let sending = stream::iter(blobs).map(|blob| blob_to(origin, target, blob, &sent, progress));
        sending.buffer_unordered(self.parallel).try_collect::<()>().await?;
        for document in &missing {
            target.put(document).await?;
        }
        let root = documents.root();
        target.name(root, names).await?;
        let sent = sent.into_inner();
        Ok(Copied { digest: root.descriptor.digest, documents: documents.len(), sent })
    }

    /// The documents that the target has not, children first. Of an image that it has, it has the blobs; of an index
    /// it may have been allowed to lack an image.
    async fn missing<'a>(
        &self,
        target: &Target<'_>,
        documents: &'a Documents,
    ) -> Result<Vec<&'a Document>, CopyError> {
        let asked = stream::iter(documents.children_first()).map(|document| async move {
            target.has(&document.descriptor).await.map(|known| (known, document))
        });
        let known: Vec<(bool, &Document)> = asked.buffered(self.parallel).try_collect().await?;
        Ok(known.into_iter().filter_map(|(is_there, document)| (!is_there).then_some(document)).collect())
    }
}

async fn blob_to(
    origin: &Origin<'_>,
    target: &Target<'_>,
    blob: &Descriptor,
    sent: &AtomicU64,
    progress: &dyn Progress,
) -> Result<(), CopyError> {
    if target.has_blob(blob).await? {
        progress.event(Event::LayerPresent { layer: &blob.digest });
        return Ok(());
    }
    progress.event(Event::LayerStarted { layer: &blob.digest, size: blob.size });
    if target.put_blob(blob, origin).await? == Uploaded::Sent {
        sent.fetch_add(blob.size, Ordering::Relaxed);
        // Not every kind of target tells on the way.
        progress.event(Event::LayerAdvanced { layer: &blob.digest, bytes: blob.size });
    }
    progress.event(Event::LayerDone { layer: &blob.digest });
    Ok(())
}

/// What the documents are made of, each once. The largest first: what begins last should not take longest.
fn blobs<'a>(documents: impl Iterator<Item = &'a Document>) -> Vec<&'a Descriptor> {
    let mut seen = HashSet::new();
    let mut blobs = Vec::new();
    for document in documents {
        let ManifestDocument::Manifest(manifest) = &document.document else { continue };
        let own = std::iter::once(&manifest.config).chain(&manifest.layers);
        blobs.extend(own.filter(|blob| is_distributed(blob) && seen.insert(blob.digest)));
    }
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    blobs
}

/// Layers that may not be distributed stay where their URLs say (the image specification's "Non-Distributable Layers").
fn is_distributed(blob: &Descriptor) -> bool {
    !(blob.media_type.contains(".nondistributable.") || blob.media_type.contains(".foreign."))
}

/// The names that the root gets; none where it is known by its digest only.
fn names(from: &Place, to: &Place, more: &[String], root: &Document) -> Result<Vec<String>, CopyError> {
    let given = match from {
        Place::Registry(reference) => match (reference.tag(), reference.digest()) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        },
        Place::Layout { name, .. } => name.as_ref().and_then(|name| tag_of(name)),
    };
    let first = match to {
        Place::Registry(reference) => match (reference.tag(), reference.digest()) {
            (_, Some(digest)) if *digest != root.descriptor.digest => {
                let (target, found) = (Box::new(reference.clone()), root.descriptor.digest);
                return Err(CopyError::Digest { target, found });
            }
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => given,
        },
        Place::Layout { name, .. } => name.clone().or(given),
    };
    let mut names: Vec<String> = first.into_iter().chain(more.iter().cloned()).collect();
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// The tag in a name of a layout, which is a tag or a whole reference.
fn tag_of(name: &str) -> Option<String> {
    match name.contains(['/', ':', '@']) {
        true => name.parse::<Reference>().ok()?.tag().map(str::to_owned),
        false => Some(name.to_owned()),
    }
}
