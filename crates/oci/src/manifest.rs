//! Manifests, indexes and the descriptors in them, in OCI's and in Docker's (v2, schema 2) media types.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::fields::{Fields, require, take};
use crate::{Digest, Platform};

/// The media types that Minato reads and writes.
pub mod media_type {
    /// OCI image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker's image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// The empty JSON object, where a manifest needs no config.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// An uncompressed layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer under gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer under zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifests of schema 1, which are refused.
    pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";
}

/// Points at a blob or manifest: the OCI image specification's "Content Descriptors".
#[derive(Clone, PartialEq, Debug)]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it runs on; in an index's entries only.
    pub platform: Option<Platform>,
    /// Free remarks.
    pub annotations: BTreeMap<String, String>,
    /// Other places that offer the content. Minato never fetches from them.
    pub urls: Vec<String>,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

/// The manifest of one image for one platform.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifest {
    /// OCI's or Docker's media type.
    pub media_type: String,
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Free remarks.
    pub annotations: BTreeMap<String, String>,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

/// Manifests of one image for several platforms.
#[derive(Clone, PartialEq, Debug)]
pub struct Index {
    /// OCI's or Docker's media type.
    pub media_type: String,
    /// One descriptor for each platform, in order of preference.
    pub manifests: Vec<Descriptor>,
    /// Free remarks.
    pub annotations: BTreeMap<String, String>,
    /// Fields that this version does not know.
    pub other: Map<String, Value>,
}

/// What a manifest's bytes can be.
#[derive(Clone, PartialEq, Debug)]
pub enum ManifestDocument {
    /// One image.
    Manifest(Box<Manifest>),
    /// A choice of images.
    Index(Index),
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// Schema 1 has no config and no verifiable layers.
    #[error(
        "manifest is of Docker's schema 1, which is not supported; push the image again with a current tool"
    )]
    Schema1,
    /// `schemaVersion` is not 2.
    #[error("manifest has schemaVersion {0}, expected 2")]
    SchemaVersion(u64),
    /// Both an image and an index: two tools would read two different images (CVE-2021-41190).
    #[error("manifest has both layers and manifests, so that tools disagree on what it is; it is refused")]
    Ambiguous,
    /// The document and whoever sent it disagree on what it is.
    #[error("manifest says it is {document:?} but arrived as {declared:?}")]
    MediaType {
        /// `mediaType` in the document, or what its fields make it.
        document: String,
        /// What the sender or the descriptor declared.
        declared: String,
    },
}

impl ManifestDocument {
    /// Reads a manifest or an index. `declared` is the media type of the descriptor or of the HTTP answer.
    ///
    /// # Errors
    /// When it is neither, or could be read as both, or contradicts `declared`.
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Self, ManifestError> {
        let fields: Map<String, Value> = serde_json::from_slice(bytes)?;
        match fields.get("schemaVersion").and_then(Value::as_u64) {
            Some(1) => return Err(ManifestError::Schema1),
            Some(2) => {}
            other => return Err(ManifestError::SchemaVersion(other.unwrap_or(0))),
        }
        let (has_layers, has_manifests) = (
            fields.contains_key("layers") || fields.contains_key("config"),
            fields.contains_key("manifests"),
        );
        if has_layers && has_manifests {
            return Err(ManifestError::Ambiguous);
        }
        let value = Value::Object(fields);
        let document = if has_manifests {
            Self::Index(serde_json::from_value(value)?)
        } else {
            Self::Manifest(serde_json::from_value(value)?)
        };
        document.check_declared(declared)?;
        Ok(document)
    }

    /// The document's media type.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => &manifest.media_type,
            Self::Index(index) => &index.media_type,
        }
    }

    fn check_declared(&self, declared: Option<&str>) -> Result<(), ManifestError> {
        let kind = |text: &str| match text {
            media_type::MANIFEST | media_type::DOCKER_MANIFEST => Some("manifest"),
            media_type::INDEX | media_type::DOCKER_INDEX => Some("index"),
            _ => None,
        };
        let is = match self {
            Self::Manifest(_) => "manifest",
            Self::Index(_) => "index",
        };
        let own = self.media_type();
        let clash = |declared: &str| kind(declared).is_some_and(|kind| kind != is);
        match declared {
            Some(declared) if clash(declared) => {
                Err(ManifestError::MediaType { document: own.to_owned(), declared: declared.to_owned() })
            }
            _ if clash(own) => {
                Err(ManifestError::MediaType { document: is.to_owned(), declared: own.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

impl Index {
    /// The best manifest for `platform`. Attestations (platform `unknown/unknown`) are never chosen; an entry
    /// without a platform is, when nothing else fits and it is the only one.
    pub fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let ranked = self.manifests.iter().filter_map(|descriptor| {
            let rank = platform.rank(descriptor.platform.as_ref()?)?;
            Some((rank, descriptor))
        });
        let best = ranked.min_by_key(|(rank, _)| *rank).map(|(_, descriptor)| descriptor);
        best.or_else(|| match self.manifests.as_slice() {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        })
    }

    /// The platforms on offer, for an error message.
    pub fn platforms(&self) -> Vec<String> {
        let named = self.manifests.iter().filter_map(|descriptor| descriptor.platform.as_ref());
        named.filter(|platform| platform.os != "unknown").map(ToString::to_string).collect()
    }
}

impl Descriptor {
    /// A descriptor with nothing but what every descriptor has.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            other: Map::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        Ok(Self {
            media_type: take(&mut fields, "mediaType")?,
            digest: require(&mut fields, "digest")?,
            size: require(&mut fields, "size")?,
            platform: take(&mut fields, "platform")?,
            annotations: take(&mut fields, "annotations")?,
            urls: take(&mut fields, "urls")?,
            other: fields,
        })
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::default()
            .put_always("mediaType", &self.media_type)?
            .put_always("digest", &self.digest)?
            .put_always("size", &self.size)?
            .put("platform", &self.platform)?
            .put("annotations", &self.annotations)?
            .put("urls", &self.urls)?
            .with(&self.other)
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let _schema: u64 = take(&mut fields, "schemaVersion")?;
        let written: Option<String> = take(&mut fields, "mediaType")?;
        Ok(Self {
            media_type: written.unwrap_or_else(|| media_type::MANIFEST.to_owned()),
            config: require(&mut fields, "config")?,
            layers: require(&mut fields, "layers")?,
            annotations: take(&mut fields, "annotations")?,
            other: fields,
        })
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::default()
            .put_always("schemaVersion", &2)?
            .put_always("mediaType", &self.media_type)?
            .put_always("config", &self.config)?
            .put_always("layers", &self.layers)?
            .put("annotations", &self.annotations)?
            .with(&self.other)
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let _schema: u64 = take(&mut fields, "schemaVersion")?;
        let written: Option<String> = take(&mut fields, "mediaType")?;
        Ok(Self {
            media_type: written.unwrap_or_else(|| media_type::INDEX.to_owned()),
            manifests: require(&mut fields, "manifests")?,
            annotations: take(&mut fields, "annotations")?,
            other: fields,
        })
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::default()
            .put_always("schemaVersion", &2)?
            .put_always("mediaType", &self.media_type)?
            .put_always("manifests", &self.manifests)?
            .put("annotations", &self.annotations)?
            .with(&self.other)
            .serialize(serializer)
    }
}
