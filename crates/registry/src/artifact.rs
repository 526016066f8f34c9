//! Documents attached to a manifest: the OCI image specification's "Guidelines for Artifact Usage", and the distribution
//! specification's "Pushing Manifests with Subject".

use std::collections::BTreeMap;

use bytes::Bytes;
use minato_oci::{Descriptor, Digest, Index, Manifest, ManifestDocument, Reference, media_type};
use serde_json::Value;

use crate::client::Client;
use crate::document::Document;
use crate::failure::RequestError;
use crate::outgoing::Content;
use crate::progress::Progress;
use crate::push::PushError;
use crate::referrers::{Asked, fallback_tag};
use crate::resolve::ResolveError;
use crate::upload::{Destination, push_scope};

/// What an artifact without a config has as its config: `{}`.
const EMPTY: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// A document about a manifest: an SBOM, provenance, a signature.
#[derive(Clone, PartialEq, Debug)]
pub struct Artifact {
    /// What it is, a media type.
    pub artifact_type: String,
    /// Its contents.
    pub layers: Vec<ArtifactLayer>,
    /// Free remarks.
    pub annotations: BTreeMap<String, String>,
}

/// One content of an [`Artifact`].
#[derive(Clone, PartialEq, Debug)]
pub struct ArtifactLayer {
    /// What the content is.
    pub media_type: String,
    /// The bytes.
    pub content: Vec<u8>,
    /// Free remarks.
    pub annotations: BTreeMap<String, String>,
}

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
        let contents = artifact.layers.iter().map(|layer| layer.content.as_slice());
        for content in contents.chain([EMPTY]) {
            put_bytes(&destination, content).await?;
        }
        let manifest = artifact.manifest(subject);
        destination.put_referrer(repository, subject.digest, &manifest).await?;
        Ok(manifest.descriptor.digest)
    }
}

impl Destination<'_> {
    /// Writes a manifest that names `subject`, and its entry into the tag of a registry that keeps no list.
    pub(crate) async fn put_referrer(
        &self,
        repository: &Reference,
        subject: Digest,
        referrer: &Document,
    ) -> Result<(), PushError> {
        let entry = referrer.as_referrer();
        let name = entry.digest.to_string();
        let response = self.put_manifest(&name, &entry.media_type, referrer.bytes.clone()).await?;
        if response.knows_subjects {
            return Ok(());
        }
        let (transport, endpoint, progress) = (self.transport, self.endpoint, self.progress);
        let asked = Asked { transport, endpoint, repository, progress };
        let mut index = asked.tagged_index(&subject).await?.unwrap_or_else(empty_index);
        if index.manifests.iter().any(|known| known.digest == entry.digest) {
            return Ok(());
        }
        index.manifests.push(entry);
        let bytes = serde_json::to_vec(&index).expect("an index has only string keys");
        self.put_manifest(&fallback_tag(&subject), media_type::INDEX, bytes).await?;
        Ok(())
    }
}

async fn put_bytes(destination: &Destination<'_>, content: &[u8]) -> Result<(), RequestError> {
    let blob = Descriptor::new("application/octet-stream", Digest::sha256(content), content.len() as u64);
    if destination.has(&blob).await? {
        return Ok(());
    }
    destination.upload(&blob, None, &Content::Bytes(Bytes::copy_from_slice(content))).await.map(drop)
}

impl Artifact {
    fn manifest(&self, subject: &Descriptor) -> Document {
        let layer = |layer: &ArtifactLayer| {
            let (digest, size) = (Digest::sha256(&layer.content), layer.content.len() as u64);
            let annotations = layer.annotations.clone();
            Descriptor { annotations, ..Descriptor::new(&layer.media_type, digest, size) }
        };
        // Of the subject only what finds it: the rest of its entry belongs to the index that it was taken from.
        let subject = Descriptor::new(&subject.media_type, subject.digest, subject.size);
        let subject = serde_json::to_value(subject).expect("a descriptor has only string keys");
        let other = [("artifactType", Value::from(self.artifact_type.as_str())), ("subject", subject)];
        let manifest = Manifest {
            media_type: media_type::MANIFEST.to_owned(),
            config: Descriptor::new(EMPTY_TYPE, Digest::sha256(EMPTY), EMPTY.len() as u64),
            layers: self.layers.iter().map(layer).collect(),
            annotations: self.annotations.clone(),
            other: other.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        let bytes = serde_json::to_vec(&manifest).expect("a manifest has only string keys");
        Document {
            descriptor: Descriptor::new(media_type::MANIFEST, Digest::sha256(&bytes), bytes.len() as u64),
            document: ManifestDocument::Manifest(Box::new(manifest)),
            bytes,
        }
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
