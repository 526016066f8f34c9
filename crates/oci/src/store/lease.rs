//! Keeping a collection away from what is being added.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;

use super::{Store, StoreError, failed, files};

/// While one of these lives, in any process, no garbage is collected.
///
/// Whoever looks for content, adds what is missing and then tags or pins an image holds one over the whole of it:
/// between two of these steps the content belongs to no root yet.
#[derive(Debug)]
pub struct Lease {
    // The lock lives as long as the open file.
    _lock: File,
}

/// The only process that uses the store now.
pub(super) struct Exclusive {
    _lock: File,
}

impl Store {
    /// Keeps collections away; waits for one that is running.
    ///
    /// # Errors
    /// When the lock file can't be opened or locked.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        let (lock, path) = self.lock_file()?;
        lock.lock_shared().map_err(|source| failed("lock", &path, source))?;
        Ok(Lease { _lock: lock })
    }

    /// The store for nobody else, or `None` while a lease is held anywhere.
    pub(super) fn try_exclusive(&self) -> Result<Option<Exclusive>, StoreError> {
        let (lock, path) = self.lock_file()?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Exclusive { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed("lock", &path, source)),
        }
    }

    /// Removes what killed processes left in `ingest/`, unless somebody is adding now.
    pub(super) fn clear_leftovers(&self) -> Result<(), StoreError> {
        match self.try_exclusive()? {
            Some(exclusive) => self.clear_ingest(&exclusive),
            None => Ok(()),
        }
    }

    pub(super) fn clear_ingest(&self, _: &Exclusive) -> Result<(), StoreError> {
        for path in files::entries(&self.ingest_folder())? {
            files::remove_tree(&path)?;
        }
        Ok(())
    }

    fn lock_file(&self) -> Result<(File, PathBuf), StoreError> {
        let path = self.root.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        match opened {
            Ok(file) => Ok((file, path)),
            Err(source) => Err(failed("open", &path, source)),
        }
    }
}
