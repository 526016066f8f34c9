//! Caches of other machines, asked while a build runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minato_oci::{Descriptor, Digest, Layer};

use super::CacheRecords;
use crate::bases::FetchError;

/// Brings a layer of a cache into the store that the build uses.
pub trait LayerSource: Send + Sync {
    /// The layer of which `blob` is the compressed form; its content has the digest `diff_id`, which is checked.
    ///
    /// # Errors
    /// Why it can't be had. The step is done then, as if the cache did not know it.
    fn fetch(&self, blob: &Descriptor, diff_id: &Digest) -> Result<Layer, FetchError>;
}

/// A cache that another build wrote. Clones are the same one.
#[derive(Clone)]
pub struct ImportedCache(Arc<Inner>);

struct Inner {
    name: String,
    records: CacheRecords,
    blobs: Vec<Descriptor>,
    source: Box<dyn LayerSource>,
    /// Layers that could not be had: each is asked for once.
    failed: Mutex<BTreeSet<Digest>>,
}

impl ImportedCache {
    /// `blobs` are the layers of the manifest that `records` count. `name` is for warnings.
    ///
    /// `None` when there are not as many blobs as layers.
    pub fn new(
        name: impl Into<String>,
        records: CacheRecords,
        blobs: Vec<Descriptor>,
        source: impl LayerSource + 'static,
    ) -> Option<Self> {
        let (name, failed) = (name.into(), Mutex::default());
        let fits = records.layers.len() == blobs.len();
        fits.then(|| Self(Arc::new(Inner { name, records, blobs, source: Box::new(source), failed })))
    }

    /// Which cache it is.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The layer that a step's key stands for.
    pub(crate) fn step(&self, key: &str) -> Option<usize> {
        self.0.records.step(key)
    }

    /// The layer with the files of a cache mount.
    pub(crate) fn mount(&self, name: &str) -> Option<usize> {
        self.0.records.mount(name)
    }

    /// The uncompressed digest of a layer.
    pub(crate) fn diff_id(&self, number: usize) -> Digest {
        self.0.records.layers[number]
    }

    /// Brings a layer into the store. `None`: it could not be had before.
    pub(crate) fn fetch(&self, number: usize) -> Option<Result<Layer, FetchError>> {
        let diff_id = self.diff_id(number);
        if self.failed().contains(&diff_id) {
            return None;
        }
        let fetched = self.0.source.fetch(&self.0.blobs[number], &diff_id);
        if fetched.is_err() {
            self.failed().insert(diff_id);
        }
        Some(fetched)
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, BTreeSet<Digest>> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ImportedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportedCache({})", self.0.name)
    }
}
