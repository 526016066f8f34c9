//! Folders that `RUN --mount=type=cache` keeps between builds.
//!
//! ```text
//! mounts/HEX          the folder; HEX: the digest of its identity, and `-N` for the Nth private one
//! mounts/HEX.lock     held by the steps that use it: shared, or by one alone
//! mounts/HEX.new      one that is still being filled
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minato_dockerfile::MountSharing;
use minato_oci::Digest;

use crate::error::StepError;
use crate::executor::Cancelled;

/// How often a step that waits for another looks whether the build was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(50);
/// Steps that may have a private folder of one id at the same time.
const MOST_PRIVATE: usize = 1000;

pub(super) struct CacheMounts<'a> {
    folder: PathBuf,
    cancelled: &'a Cancelled,
}

/// A folder in use.
pub(super) struct CacheMount {
    pub(super) path: PathBuf,
    _lock: File,
}

impl<'a> CacheMounts<'a> {
    pub(super) fn new(cache: &Path, cancelled: &'a Cancelled) -> Self {
        Self { folder: cache.join("mounts"), cancelled }
    }

    /// What a folder is called.
    pub(super) fn name(identity: &str) -> String {
        Digest::sha256(identity.as_bytes()).hex()
    }

    /// The folder of an identity, which `fill` makes the first time. Waits for others as `sharing` says.
    pub(super) fn open(
        &self,
        identity: &str,
        sharing: MountSharing,
        fill: impl Fn(&Path) -> Result<(), StepError>,
    ) -> Result<CacheMount, StepError> {
        fs::create_dir_all(&self.folder).map_err(StepError::Cache)?;
        let name = Self::name(identity);
        if sharing != MountSharing::Private {
            return self.lock(&name, sharing, &fill);
        }
        for number in 0..MOST_PRIVATE {
            let name = if number == 0 { name.clone() } else { format!("{name}-{number}") };
            let lock = self.lock_file(&name)?;
            match lock.try_lock() {
                Ok(()) => return self.filled(&name, lock, &fill),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(StepError::Cache(error)),
            }
        }
        Err(StepError::Invalid(format!("{MOST_PRIVATE} steps use one private cache at once")))
    }

    fn lock(
        &self,
        name: &str,
        sharing: MountSharing,
        fill: &impl Fn(&Path) -> Result<(), StepError>,
    ) -> Result<CacheMount, StepError> {
        let lock = self.lock_file(name)?;
        // Only who has it alone may make it.
        if sharing == MountSharing::Locked || !self.folder.join(name).exists() {
            self.wait(|| lock.try_lock())?;
            let mount = self.filled(name, lock, fill)?;
            if sharing == MountSharing::Shared {
                self.wait(|| mount._lock.try_lock_shared())?;
            }
            return Ok(mount);
        }
        self.wait(|| lock.try_lock_shared())?;
        Ok(CacheMount { path: self.folder.join(name), _lock: lock })
    }

    fn lock_file(&self, name: &str) -> Result<File, StepError> {
        let path = self.folder.join(format!("{name}.lock"));
        File::options().create(true).truncate(false).write(true).open(path).map_err(StepError::Cache)
    }

    fn wait(&self, attempt: impl Fn() -> Result<(), TryLockError>) -> Result<(), StepError> {
        loop {
            match attempt() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(StepError::Cache(error)),
                Err(TryLockError::WouldBlock) if self.cancelled.is_set() => return Err(StepError::Cancelled),
                Err(TryLockError::WouldBlock) => std::thread::sleep(CANCEL_CHECK),
            }
        }
    }

    fn filled(
        &self,
        name: &str,
        lock: File,
        fill: &impl Fn(&Path) -> Result<(), StepError>,
    ) -> Result<CacheMount, StepError> {
        let path = self.folder.join(name);
        if !path.exists() {
            let new = self.folder.join(format!("{name}.new"));
            // A killed build may have left one.
            match fs::remove_dir_all(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StepError::Cache(error)),
                _ => fs::create_dir(&new).map_err(StepError::Cache)?,
            }
            fill(&new)?;
            fs::rename(&new, &path).map_err(StepError::Cache)?;
        }
        Ok(CacheMount { path, _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_used_as_it_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let cancelled = Cancelled::default();
        let mounts = CacheMounts::new(folder.path(), &cancelled);
        let open = |sharing| {
            mounts
                .open("/root/.npm", sharing, |new| fs::write(new.join("made"), "").map_err(StepError::Cache))
        };
        let (one, other) = (open(MountSharing::Shared).unwrap(), open(MountSharing::Shared).unwrap());
        assert_eq!(one.path, other.path);
        assert!(one.path.join("made").exists());
        let (own, second) = (open(MountSharing::Private).unwrap(), open(MountSharing::Private).unwrap());
        assert!(own.path != one.path && second.path != own.path);
        // Nobody lets go, so the build's end is all that it can wait for.
        cancelled.cancel();
        assert!(matches!(open(MountSharing::Locked), Err(StepError::Cancelled)));
        drop((one, other));
        assert!(open(MountSharing::Locked).is_ok());
    }

    #[test]
    fn what_a_killed_build_left_half_filled_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cancelled = Cancelled::default();
        let mounts = CacheMounts::new(folder.path(), &cancelled);
        let half = folder.path().join("mounts").join(format!("{}.new", Digest::sha256(b"id").hex()));
        fs::create_dir_all(&half).unwrap();
        fs::write(half.join("half"), "").unwrap();
        let mount = mounts.open("id", MountSharing::Shared, |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(&mount.path).unwrap().count(), 0);
    }
}
