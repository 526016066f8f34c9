//! Keys and the layers that they stand for, as they are written down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use minato_oci::Digest;
use serde::{Deserialize, Serialize};

/// What a cache's manifest is.
pub const ARTIFACT_TYPE: &str = "application/vnd.minato.cache.v1";
/// What its config is.
pub const CONFIG_TYPE: &str = "application/vnd.minato.cache.config.v1+json";
/// The annotation of an image's manifest that holds the cache of the image's own layers.
pub const INLINE_ANNOTATION: &str = "dev.minato.cache.v1";

const VERSION: u32 = 1;
/// Far above what builds have.
const MOST_RECORDS: usize = 100_000;
const MOST_LAYERS: usize = 10_000;

/// Which steps a cache has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CacheMode {
    /// Those whose layers are in the image.
    #[default]
    Min,
    /// All, those of other stages, too.
    Max,
}

/// What a build asked of its cache and put into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedCache {
    /// Each step's key and the layer that it stands for.
    pub(crate) steps: BTreeMap<String, Digest>,
    /// The folders of `RUN --mount=type=cache`.
    pub mounts: BTreeSet<UsedMount>,
}

/// A folder that steps keep between builds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsedMount {
    /// The digest of its identity, in hex.
    pub name: String,
    /// Where it is on this machine.
    pub path: PathBuf,
}

/// A cache's config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecords {
    version: u32,
    /// Uncompressed digests, in the order of the manifest's layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Digest>,
    steps: Vec<StepRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<MountRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StepRecord {
    key: String,
    layer: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MountRecord {
    name: String,
    layer: usize,
}

/// Why a cache's config is refused.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no such document.
    #[error("cache config is malformed: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("cache config has version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// It is too long, or names layers that it has not.
    #[error("cache config {0}; it is refused")]
    Refused(&'static str),
}

impl UsedCache {
    /// The steps for an export, by the layers that an image of `of_image` layers has.
    pub fn records(&self, mode: CacheMode, of_image: &[Digest]) -> CacheRecords {
        let wanted = |layer: &Digest| mode == CacheMode::Max || of_image.contains(layer);
        let kept: Vec<(&String, &Digest)> = self.steps.iter().filter(|(_, layer)| wanted(layer)).collect();
        let layers: BTreeSet<Digest> = kept.iter().map(|(_, layer)| **layer).collect();
        let layers: Vec<Digest> = layers.into_iter().collect();
        CacheRecords { steps: numbered(kept, &layers), version: VERSION, layers, mounts: Vec::new() }
    }

    /// The steps whose layers are in the image, numbered as the image's own layers.
    pub fn inline(&self, of_image: &[Digest]) -> CacheRecords {
        let kept = self.steps.iter().filter(|(_, layer)| of_image.contains(layer)).collect();
        let steps = numbered(kept, of_image);
        CacheRecords { version: VERSION, layers: Vec::new(), steps, mounts: Vec::new() }
    }

    /// Adds what another build of the same export used.
    pub fn extend(&mut self, other: &Self) {
        self.steps.extend(other.steps.clone());
        self.mounts.extend(other.mounts.iter().cloned());
    }
}

fn numbered(steps: Vec<(&String, &Digest)>, layers: &[Digest]) -> Vec<StepRecord> {
    let number = |layer: &Digest| layers.iter().position(|known| known == layer);
    let record =
        |(key, layer): (&String, &Digest)| Some(StepRecord { key: key.clone(), layer: number(layer)? });
    steps.into_iter().filter_map(record).collect()
}

impl CacheRecords {
    /// Reads a config, which nothing is known of yet. `layers`: the image's uncompressed digests, where it is inline.
    ///
    /// # Errors
    /// When it is malformed, of another version, or names layers that are not there.
    pub fn parse(json: &[u8], layers: Option<&[Digest]>) -> Result<Self, RecordError> {
        let mut records: Self = serde_json::from_slice(json)?;
        if records.version != VERSION {
            return Err(RecordError::Version(records.version));
        }
        if let Some(layers) = layers {
            records.layers = layers.to_vec();
        }
        if records.steps.len() + records.mounts.len() > MOST_RECORDS || records.layers.len() > MOST_LAYERS {
            return Err(RecordError::Refused("has too many records"));
        }
        let numbers = records.steps.iter().map(|step| step.layer);
        let mut numbers = numbers.chain(records.mounts.iter().map(|mount| mount.layer));
        if numbers.any(|number| number >= records.layers.len()) {
            return Err(RecordError::Refused("names a layer that it has not"));
        }
        Ok(records)
    }

    /// The document.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("records have string keys")
    }

    /// Adds a cache mount whose files are the layer `content`.
    pub fn add_mount(&mut self, name: &str, content: Digest) {
        self.layers.push(content);
        self.mounts.push(MountRecord { name: name.to_owned(), layer: self.layers.len() - 1 });
    }

    /// The number of the layer that a step's key stands for.
    pub(super) fn step(&self, key: &str) -> Option<usize> {
        self.steps.iter().find(|step| step.key == key).map(|step| step.layer)
    }

    /// The number of the layer with a cache mount's files.
    pub(super) fn mount(&self, name: &str) -> Option<usize> {
        self.mounts.iter().find(|mount| mount.name == name).map(|mount| mount.layer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn used() -> UsedCache {
        let steps = [("a", b"1"), ("b", b"2"), ("c", b"1")];
        let steps = steps.map(|(key, layer)| (key.repeat(64), Digest::sha256(layer)));
        UsedCache { steps: steps.into(), mounts: BTreeSet::new() }
    }

    #[test]
    fn a_config_comes_back_and_min_has_the_images_layers_only() {
        let one = Digest::sha256(b"1");
        let all = used().records(CacheMode::Max, &[one]);
        assert_eq!((all.steps.len(), all.layers.len()), (3, 2));
        let mut min = used().records(CacheMode::Min, &[one]);
        assert_eq!((min.steps.len(), &min.layers), (2, &vec![one]));
        min.add_mount("name", Digest::sha256(b"mount"));
        assert_eq!(CacheRecords::parse(&min.to_json(), None).unwrap(), min);
        assert_eq!((min.step(&"c".repeat(64)), min.step("x"), min.mount("name")), (Some(0), None, Some(1)));
        let inline = used().inline(&[Digest::sha256(b"base"), one]);
        let read = CacheRecords::parse(&inline.to_json(), Some(&[Digest::sha256(b"base"), one])).unwrap();
        assert_eq!(read.step(&"a".repeat(64)), Some(1));
    }

    #[test]
    fn what_is_not_a_config_is_refused() {
        for (text, expected) in [
            ("{}", "malformed"),
            (r#"{"version":2,"steps":[]}"#, "has version 2"),
            (r#"{"version":1,"steps":[{"key":"a","layer":0}]}"#, "names a layer that it has not"),
            (r#"{"version":1,"steps":[],"mounts":[{"name":"a","layer":7}]}"#, "names a layer"),
        ] {
            let error = CacheRecords::parse(text.as_bytes(), None).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let many = format!(
            r#"{{"version":1,"steps":[],"layers":["{}"]}}"#,
            vec![Digest::sha256(b"").to_string(); MOST_LAYERS + 1].join("\",\"")
        );
        assert!(CacheRecords::parse(many.as_bytes(), None).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\",:a-z0-9]{0,80}") {
            let _ = CacheRecords::parse(&bytes, None);
            let _ = CacheRecords::parse(text.as_bytes(), Some(&[]));
        }
    }
}
