//! Where an image is copied to.

use minato_oci::{Descriptor, Reference};

use super::CopyError;
use super::folder::Folder;
use super::origin::{Origin, download};
use crate::document::Document;
use crate::outgoing::Content;
use crate::relay::relay;
use crate::upload::{Destination, Uploaded};

/// A place that is written.
pub(super) enum Target<'a> {
    Registry {
        destination: Destination<'a>,
        reference: &'a Reference,
        /// Another repository of the same registry, which has the blobs.
        mount_from: Option<&'a str>,
    },
    Folder(Folder),
}

impl Target<'_> {
    /// Whether the document is there.
    pub(super) async fn has(&self, document: &Descriptor) -> Result<bool, CopyError> {
        match self {
            Self::Registry { destination, .. } => Ok(destination.has_manifest(&document.digest).await?),
            Self::Folder(folder) => Ok(folder.has(&document.digest)),
        }
    }

    pub(super) async fn has_blob(&self, blob: &Descriptor) -> Result<bool, CopyError> {
        match self {
            // Whoever mounts is told by the answer.
            Self::Registry { mount_from: Some(_), .. } => Ok(false),
            Self::Registry { destination, .. } => Ok(destination.has(blob).await?),
            Self::Folder(folder) => Ok(folder.has(&blob.digest)),
        }
    }

    /// Brings the blob there.
    pub(super) async fn put_blob(
        &self,
        blob: &Descriptor,
        origin: &Origin<'_>,
    ) -> Result<Uploaded, CopyError> {
        match (self, origin) {
            (
                Self::Registry { destination, mount_from, .. },
                Origin::Registry { transport, endpoint, reference, progress },
            ) => {
                let download = download(transport, endpoint, reference, blob, *progress);
                let (relay, source) = relay(download);
                let content = Content::Relay(relay);
                let sending = destination.upload(blob, *mount_from, &content);
                tokio::select! {
                    biased;
                    // The source's own error is the cause of the other.
                    error = source.run() => Err(error.into()),
                    sent = sending => Ok(sent?),
                }
            }
            (Self::Registry { destination, .. }, Origin::Folder(folder)) => {
                let content = Content::File(folder.blob_file(&blob.digest));
                Ok(destination.upload(blob, None, &content).await?)
            }
            (Self::Folder(to), Origin::Registry { transport, endpoint, reference, progress }) => {
                to.receive(&download(transport, endpoint, reference, blob, *progress)).await?;
                Ok(Uploaded::Sent)
            }
            (Self::Folder(to), Origin::Folder(from)) => {
                to.copy_blob(from, blob).await?;
                Ok(Uploaded::Sent)
            }
        }
    }

    /// Writes a document of which everything is there.
    pub(super) async fn put(&self, document: &Document) -> Result<(), CopyError> {
        let digest = document.descriptor.digest;
        match self {
            Self::Registry { destination, reference, .. } => match document.subject() {
                Some(subject) => {
                    let entry = document.as_referrer();
                    destination.put_referrer(reference, subject, &entry, document.bytes.clone()).await?;
                }
                None => {
                    let kind = &document.descriptor.media_type;
                    destination.put_manifest(&digest.to_string(), kind, document.bytes.clone()).await?;
                }
            },
            Self::Folder(folder) => folder.put(document)?,
        }
        Ok(())
    }

    /// Lets each of `names` mean `root`.
    pub(super) async fn name(&self, root: &Document, names: &[String]) -> Result<(), CopyError> {
        match self {
            Self::Registry { destination, .. } => {
                for name in names {
                    let kind = &root.descriptor.media_type;
                    destination.put_manifest(name, kind, root.bytes.clone()).await?;
                }
            }
            Self::Folder(folder) => folder.name(root, names)?,
        }
        Ok(())
    }
}
