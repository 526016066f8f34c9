//! Secrets as files, in memory where this machine has a file system there, and gone with the step.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use minato_runtime::Identity;
use rustix::fs::{Gid, Mode, Uid};

use super::container::is_alive;

const MEMORY: &str = "/dev/shm";
/// Folders of a process are `minato-secrets-PID-START-…`.
const PREFIX: &str = "minato-secrets-";

/// The secrets of one step.
pub(super) struct Secrets {
    folder: PathBuf,
    count: usize,
}

impl Secrets {
    /// A folder that only this user can enter.
    pub(super) fn new(owner: &Identity) -> io::Result<Self> {
        let prefix = format!("{PREFIX}{}-{}-", owner.pid, owner.start_time);
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(memory())?;
        let folder = made.keep();
        Ok(Self { folder, count: 0 })
    }

    /// A file with `content`.
    pub(super) fn file(&mut self, content: &[u8], owner: (u32, u32), mode: u32) -> io::Result<PathBuf> {
        let place = self.folder.join(self.count.to_string());
        self.count += 1;
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&place)?;
        io::Write::write_all(&mut file, content)?;
        let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        Ok(place)
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        // Whatever stays is found by the next build, when this process is gone.
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// Removes what killed builds left.
pub(super) fn remove_orphans() {
    let Ok(entries) = fs::read_dir(memory()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| {
            let mut fields = rest.split('-');
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        if owner.is_some_and(|(pid, start)| !is_alive(pid, start)) {
            let _left = fs::remove_dir_all(entry.path());
        }
    }
}

fn memory() -> PathBuf {
    if Path::new(MEMORY).is_dir() { PathBuf::from(MEMORY) } else { std::env::temp_dir() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt;

    use super::*;

    #[test]
    fn secrets_go_with_the_step_and_those_of_killed_builds_with_the_next() {
        let own = Identity::own().unwrap();
        let mut secrets = Secrets::new(&own).unwrap();
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let place = secrets.file(b"value", owner, 0o400).unwrap();
        remove_orphans();
        assert_eq!(fs::read(&place).unwrap(), b"value");
        drop(secrets);
        assert!(!place.exists());
        let orphan = memory().join(format!("{PREFIX}{}-{}-x", own.pid, own.start_time + 1));
        fs::DirBuilder::new().mode(0o700).create(&orphan).unwrap();
        remove_orphans();
        assert!(!orphan.exists());
    }
}
