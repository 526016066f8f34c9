//! What is said about an image, attached to it: OCI's "Guidelines for Artifact Usage" and the manifest's `subject`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Document;
use crate::{Descriptor, Digest, Manifest, media_type};

/// The empty JSON object, which stands where an artifact has no config.
const EMPTY: &[u8] = b"{}";

/// A document about an image: provenance, a bill of materials, a signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// What it is, as a media type.
    pub artifact_type: String,
    /// Its content.
    pub layers: Vec<ArtifactLayer>,
    /// Remarks on its manifest.
    pub annotations: BTreeMap<String, String>,
}

/// One file of an artifact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArtifactLayer {
    /// What it is.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Remarks on its descriptor.
    pub annotations: BTreeMap<String, String>,
}

/// An artifact's manifest, which names its subject, and the blobs that it names.
#[derive(Clone, PartialEq, Debug)]
pub struct Attached {
    /// The manifest; its descriptor has the artifact's type and annotations, as a list of referrers shows them.
    pub document: Document,
    /// The subject's digest.
    pub subject: Digest,
    /// The blobs: the empty config first.
    pub blobs: Vec<(Descriptor, Vec<u8>)>,
}

impl Artifact {
    /// The artifact as it is stored beside `subject`, a manifest or an index.
    pub fn attached_to(&self, subject: &Descriptor) -> Attached {
        let config = Descriptor::new(media_type::EMPTY, Digest::sha256(EMPTY), EMPTY.len() as u64);
        let layers: Vec<(Descriptor, Vec<u8>)> =
            self.layers.iter().map(|layer| (layer.descriptor(), layer.content.clone())).collect();
        let bare = Descriptor::new(&subject.media_type, subject.digest, subject.size);
        let mut other = Map::new();
        other.insert("artifactType".to_owned(), Value::from(self.artifact_type.as_str()));
        other
            .insert("subject".to_owned(), serde_json::to_value(&bare).expect("descriptors have string keys"));
        let manifest = Manifest {
            media_type: media_type::MANIFEST.to_owned(),
            config: config.clone(),
            layers: layers.iter().map(|(descriptor, _)| descriptor.clone()).collect(),
            annotations: self.annotations.clone(),
            other,
        };
        let mut document = Document::of(media_type::MANIFEST, &manifest);
        let kind = Value::from(self.artifact_type.as_str());
        document.descriptor.other.insert("artifactType".to_owned(), kind);
        document.descriptor.annotations.clone_from(&self.annotations);
        let blobs = std::iter::once((config, EMPTY.to_vec())).chain(layers).collect();
        Attached { document, subject: subject.digest, blobs }
    }
}

impl ArtifactLayer {
    fn descriptor(&self) -> Descriptor {
        let mut descriptor =
            Descriptor::new(&self.media_type, Digest::sha256(&self.content), self.content.len() as u64);
        descriptor.annotations.clone_from(&self.annotations);
        descriptor
    }
}
