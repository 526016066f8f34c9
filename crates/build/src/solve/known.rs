//! What steps are known to make: by this machine's cache, and by caches of others.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minato_oci::{Digest, Layer};

use super::Key;
use super::stage::Solver;
use crate::cache_exchange::{ImportedCache, UsedCache, UsedMount};
use crate::error::StepError;

/// What this build asked and learnt.
#[derive(Default)]
pub(crate) struct Asked {
    used: Mutex<UsedCache>,
    /// Layers that only another machine vouches for.
    imported: Mutex<BTreeSet<Digest>>,
}

impl Asked {
    pub(crate) fn into_used(self) -> UsedCache {
        self.used.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mount(&self, name: String, path: &Path) {
        locked(&self.used).mounts.insert(UsedMount { name, path: path.to_owned() });
    }
}

impl Solver<'_> {
    /// The layer that a key stands for, when the build may use it and it can be had.
    pub(super) fn known(&self, key: &Key) -> Result<Option<Layer>, StepError> {
        if self.request.no_cache {
            return Ok(None);
        }
        let own = match self.steps.get(key) {
            Some(diff_id) => self.store.layer(&diff_id)?,
            None => None,
        };
        let found = match own {
            Some(layer) => Some(layer),
            None => self.known_elsewhere(key)?,
        };
        if let Some(layer) = &found {
            self.note(key, &layer.diff_id);
        }
        Ok(found)
    }

    /// Remembers what a step made; what only another machine says is not learnt.
    pub(super) fn remember(&self, key: &Key, diff_id: &Digest) -> Result<(), StepError> {
        self.note(key, diff_id);
        if locked(&self.asked.imported).contains(diff_id) {
            return Ok(());
        }
        self.steps.put(key, diff_id).map_err(StepError::Cache)
    }

    fn note(&self, key: &Key, diff_id: &Digest) {
        locked(&self.asked.used).steps.insert(key.to_string(), *diff_id);
    }

    fn known_elsewhere(&self, key: &Key) -> Result<Option<Layer>, StepError> {
        let key = key.to_string();
        for cache in &self.request.cache_imports {
            if let Some(number) = cache.step(&key)
                && let Some(layer) = self.layer_of(cache, number)?
            {
                locked(&self.asked.imported).insert(layer.diff_id);
                return Ok(Some(layer));
            }
        }
        Ok(None)
    }

    /// The first files of a cache mount, where a cache of another machine has them.
    pub(super) fn mount_elsewhere(&self, name: &str) -> Result<Option<Layer>, StepError> {
        for cache in &self.request.cache_imports {
            if let Some(number) = cache.mount(name)
                && let Some(layer) = self.layer_of(cache, number)?
            {
                return Ok(Some(layer));
            }
        }
        Ok(None)
    }

    /// A cache that fails costs time and no build.
    fn layer_of(&self, cache: &ImportedCache, number: usize) -> Result<Option<Layer>, StepError> {
        if let Some(layer) = self.store.layer(&cache.diff_id(number))? {
            return Ok(Some(layer));
        }
        match cache.fetch(number) {
            Some(Ok(layer)) => Ok(Some(layer)),
            Some(Err(error)) => {
                self.progress.warning(&format!("cache {}: {error}; the step is done here", cache.name()));
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
