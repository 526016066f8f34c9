//! Documents attached to a manifest: the OCI image specification's "Guidelines for Artifact Usage", and the distribution
//! specification's "Pushing Manifests with Subject".

use std::collections::BTreeMap;

use minato_oci::export::Artifact;
use minato_oci::{Descriptor, Digest, Index, Reference, media_type};

use crate::client::Client;
use crate::outgoing::Content;
use crate::progress::Progress;
use crate::push::PushError;
use crate::referrers::{Asked, fallback_tag};
use crate::resolve::ResolveError;
use crate::upload::{Destination, push_scope};

impl Client {
    /// Attaches `artifact` to the manifest `subject` of `repository`, and tells the digest of the artifact's own manifest.
    /// The same artifact gets the same digest again. Where the registry has no referrers API, the tag that stands in for
    /// it is brought up to date; two who do that at once may lose one of the two entries, as the specification says.
    ///
    /// # Errors
    /// When the registry can't be asked or refuses something.
    pub async fn attach(
        &self,
        repository: &Reference,
        subject: &Descriptor,
        artifact: &Artifact,
        progress: &dyn Progress,
    ) -> Result<Digest, PushError> {
        let endpoint = self.origin(repository);
        let scope = push_scope(repository.repository());
        let destination = self.destination(repository, &endpoint, &scope, progress);
        let attached = artifact.attached_to(subject);
        for (blob, content) in attached.blobs {
            if !destination.has(&blob).await? {
                destination.upload(&blob, None, &Content::Bytes(content.into())).await?;
            }
        }
        let document = attached.document;
        destination.put_referrer(repository, subject.digest, &document.descriptor, document.bytes).await?;
        Ok(document.descriptor.digest)
    }
}

impl Destination<'_> {
    /// Writes a manifest that names `subject`, and its `entry` into the tag of a registry that keeps no list.
    pub(crate) async fn put_referrer(
        &self,
        repository: &Reference,
        subject: Digest,
        entry: &Descriptor,
        bytes: Vec<u8>,
    ) -> Result<(), PushError> {
        let response = self.put_manifest(&entry.digest.to_string(), &entry.media_type, bytes).await?;
        if response.knows_subjects {
            return Ok(());
        }
        let (transport, endpoint, progress) = (self.transport, self.endpoint, self.progress);
        let asked = Asked { transport, endpoint, repository, progress };
        let mut index = asked.tagged_index(&subject).await?.unwrap_or_else(empty_index);
        if index.manifests.iter().any(|known| known.digest == entry.digest) {
            return Ok(());
        }
        index.manifests.push(entry.clone());
        let bytes = serde_json::to_vec(&index).expect("an index has only string keys");
        self.put_manifest(&fallback_tag(&subject), media_type::INDEX, bytes).await?;
        Ok(())
    }
}

fn empty_index() -> Index {
    Index {
        media_type: media_type::INDEX.to_owned(),
        manifests: Vec::new(),
        annotations: BTreeMap::new(),
        other: serde_json::Map::new(),
    }
}

impl From<ResolveError> for PushError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Request(error) => Self::Request(error),
            other => Self::Referrers(Box::new(other)),
        }
    }
}
