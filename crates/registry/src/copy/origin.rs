//! Where an image is copied from.

use minato_oci::{Descriptor, Digest, Reference};

use super::CopyError;
use super::folder::Folder;
use crate::client::Client;
use crate::document::{self, Document, Wanted};
use crate::download::Download;
use crate::endpoint::Endpoint;
use crate::progress::Progress;
use crate::referrers::Asked;
use crate::resolve::ResolveError;
use crate::transport::Transport;

/// A place that is read.
pub(super) enum Origin<'a> {
    /// The one of a registry's places that had the image.
    Registry {
        transport: &'a Transport,
        endpoint: Endpoint,
        reference: &'a Reference,
        progress: &'a dyn Progress,
    },
    Folder(Folder),
}

impl<'a> Origin<'a> {
    /// The registry or a mirror of it, and what `reference` stands for there.
    pub(super) async fn registry(
        client: &'a Client,
        reference: &'a Reference,
        progress: &'a dyn Progress,
    ) -> Result<(Self, Document), ResolveError> {
        let transport = &*client.transport;
        let ask = async |endpoint: &Endpoint| {
            let root =
                document::fetch(transport, endpoint, reference, &Wanted::of(reference), progress).await;
            root.map(|root| (endpoint.clone(), root))
        };
        let (endpoint, root) = client.ask_in_turn(reference, progress, ask).await?;
        Ok((Self::Registry { transport, endpoint, reference, progress }, root))
    }

    pub(super) async fn document(&self, entry: &Descriptor) -> Result<Document, CopyError> {
        match self {
            Self::Registry { transport, endpoint, reference, progress } => {
                let wanted = Wanted::Descriptor(Box::new(entry.clone()));
                Ok(document::fetch(transport, endpoint, reference, &wanted, *progress).await?)
            }
            Self::Folder(folder) => Ok(folder.document(entry)?),
        }
    }

    pub(super) async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, CopyError> {
        match self {
            Self::Registry { transport, endpoint, reference, progress } => {
                let asked = Asked { transport, endpoint, repository: reference, progress: *progress };
                Ok(asked.referrers(subject, None).await?)
            }
            Self::Folder(folder) => Ok(folder.referrers(subject)?),
        }
    }

    /// The repository to mount blobs from, where `endpoint` is the same registry.
    pub(super) fn mount_from(&self, endpoint: &Endpoint, target: &Reference) -> Option<&'a str> {
        match self {
            Self::Registry { endpoint: own, reference, .. } => {
                let is_other = reference.repository() != target.repository();
                (own.base == endpoint.base && is_other).then_some(reference.repository())
            }
            Self::Folder(_) => None,
        }
    }
}

/// A download of `blob` from a registry.
pub(super) fn download<'a>(
    transport: &'a Transport,
    endpoint: &'a Endpoint,
    reference: &'a Reference,
    blob: &'a Descriptor,
    progress: &'a dyn Progress,
) -> Download<'a> {
    Download { transport, endpoint, repository: reference.repository(), blob, progress }
}
