//! A repository's copy on this machine: bare, cloned once, fetched only when a commit is missing.
//!
//! Layout of `DATA/sources`: `NAME.1.git` (the copy; 1 is the version of this layout), `NAME.lock`, and `NAME.new` while it is
//! made. Objects are only ever added, so readers need no lock. Whoever writes holds the lock; a `git` that outlived
//! its killed caller holds it too, because the lock's file is its input. What a killed `git` left half-done is cleared by
//! the next one that has the lock.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::command::{GitFailure, Limits, git, holding, reaching, run, with};
use super::references::{CommitId, References};
use crate::location::Location;

/// How often a lock that somebody else holds is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How many hex digits of the address's hash name a copy.
const NAME_DIGITS: usize = 32;

/// One repository's copy.
pub(crate) struct Mirror {
    location: Location,
    limits: Limits,
    repository: PathBuf,
    unfinished: PathBuf,
    lock: PathBuf,
}

/// Why a copy cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    /// `git` gave no answer.
    #[error(transparent)]
    Git(#[from] GitFailure),
    /// The folder of copies cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has fetched for as long as a fetch may take.
    #[error("another process has been fetching it for {} s", .0.as_secs())]
    Busy(Duration),
}

impl Mirror {
    /// The copy of a repository in the folder of copies. Nothing is read or written yet.
    pub(crate) fn of(location: &Location, sources: &Path, limits: Limits) -> Mirror {
        let hash = hex::encode(Sha256::digest(location.to_string()));
        let place = |ending: &str| sources.join(format!("{}{ending}", &hash[..NAME_DIGITS]));
        Mirror {
            location: location.clone(),
            limits,
            repository: place(".1.git"),
            unfinished: place(".new"),
            lock: place(".lock"),
        }
    }

    /// The bare repository.
    pub(crate) fn path(&self) -> &Path {
        &self.repository
    }

    /// What the repository's branches and tags are now, asked of the repository itself.
    pub(crate) async fn references(&self) -> Result<References, MirrorError> {
        // `ls-remote` needs no repository; this one is only where it stands.
        let command = with(git(Path::new("/dev/null")), ["ls-remote", "--quiet"]);
        let text = self.run(reaching(command, &self.location), "ls-remote", self.limits.ask, None).await?;
        Ok(References::parse(&text))
    }

    /// Whether the copy has this commit.
    pub(crate) async fn has(&self, commit: &CommitId) -> Result<bool, MirrorError> {
        if !self.repository.exists() {
            return Ok(false);
        }
        let object = format!("{}^{{commit}}", commit.as_str());
        let command = with(git(&self.repository), ["cat-file", "-e", &object]);
        match self.run(command, "cat-file", self.limits.ask, None).await {
            Ok(_) => Ok(true),
            Err(MirrorError::Git(GitFailure::Refused { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The commits of the copy whose names start so.
    pub(crate) async fn commits_that_start(&self, digits: &str) -> Result<Vec<CommitId>, MirrorError> {
        if !self.repository.exists() {
            return Ok(Vec::new());
        }
        let command = with(git(&self.repository), ["rev-parse", &format!("--disambiguate={digits}")]);
        let objects = self.run(command, "rev-parse", self.limits.ask, None).await?;
        let mut commits = Vec::new();
        const MAX_LOOKED_AT: usize = 20;
        for object in objects.lines().filter_map(CommitId::parse).take(MAX_LOOKED_AT) {
            let command = with(git(&self.repository), ["cat-file", "-t", object.as_str()]);
            if self.run(command, "cat-file", self.limits.ask, None).await?.trim() == "commit" {
                commits.push(object);
            }
        }
        Ok(commits)
    }

    /// Fetches every branch and tag, cloning first where there is no copy, and `commit` itself where no branch and no
    /// tag leads to it. Does nothing when the copy has the commit by the time that the lock is ours.
    pub(crate) async fn fetch(&self, commit: Option<&CommitId>) -> Result<(), MirrorError> {
        let lock = self.locked().await?;
        if let Some(commit) = commit
            && self.has(commit).await?
        {
            return Ok(());
        }
        self.make(&lock).await?;
        clear_leftovers(&self.repository);
        let everything = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        self.fetch_what(&lock, &["--prune"], &everything.map(str::to_owned)).await?;
        fail::fail_point!("source.mirror.fetched");
        if let Some(commit) = commit
            && !self.has(commit).await?
        {
            let id = commit.as_str();
            self.fetch_what(&lock, &[], &[format!("+{id}:refs/minato/{id}")]).await?;
        }
        Ok(())
    }

    async fn fetch_what(&self, lock: &File, flags: &[&str], what: &[String]) -> Result<(), MirrorError> {
        let command = with(
            git(&self.repository),
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"],
        );
        let command = with(with(command, ["--no-recurse-submodules", "--force"]), flags);
        let command = with(holding(reaching(command, &self.location), lock)?, what);
        let fetched = self.run(command, "fetch", self.limits.fetch, Some(self.limits.pack)).await;
        fetched.map(|_| ()).map_err(|error| match error {
            MirrorError::Git(GitFailure::Refused { verb, message }) if was_writing(&message) => {
                let message = format!("{message}; one fetch may write {} bytes at most", self.limits.pack);
                GitFailure::Refused { verb, message }.into()
            }
            error => error,
        })
    }

    /// An empty repository, where there is none.
    async fn make(&self, lock: &File) -> Result<(), MirrorError> {
        if self.repository.exists() {
            return Ok(());
        }
        match fs::remove_dir_all(&self.unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&self.unfinished, error));
            }
            _ => {}
        }
        let command = with(git(&self.unfinished), ["init", "--quiet", "--bare", "--template="]);
        self.run(holding(command, lock)?, "init", self.limits.ask, None).await?;
        fail::fail_point!("source.mirror.made");
        fs::rename(&self.unfinished, &self.repository).map_err(|error| failed(&self.repository, error))
    }

    /// The lock, for as long as the file is open.
    async fn locked(&self) -> Result<File, MirrorError> {
        if let Some(folder) = self.lock.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        let open = File::options().create(true).append(true).read(true).open(&self.lock);
        let file = open.map_err(|error| failed(&self.lock, error))?;
        let deadline = tokio::time::Instant::now() + self.limits.fetch;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(failed(&self.lock, error)),
                Err(TryLockError::WouldBlock) if tokio::time::Instant::now() >= deadline => {
                    return Err(MirrorError::Busy(self.limits.fetch));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    async fn run(
        &self,
        command: std::process::Command,
        verb: &str,
        time: Duration,
        largest_file: Option<u64>,
    ) -> Result<String, MirrorError> {
        let answer = run(command, verb, time, largest_file).await;
        Ok(answer.map_err(|failure| match (&self.location, failure) {
            (Location::Remote(remote), GitFailure::Refused { verb, message }) => {
                GitFailure::Refused { verb, message: remote.without_credentials(&message) }
            }
            (_, failure) => failure,
        })?)
    }
}

/// Whether `git` failed at writing what it fetched: a file that grows too large ends the program that writes it.
fn was_writing(message: &str) -> bool {
    ["index-pack", "unpack-objects", "File too large"].iter().any(|part| message.contains(part))
}

/// Removes what a killed `git` left: locks of references, and packs and objects that were being written.
fn clear_leftovers(repository: &Path) {
    let mut folders = vec![repository.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let in_objects = folder.starts_with(repository.join("objects"));
            if is_folder && in_objects && name.starts_with("tmp_objdir") {
                fs::remove_dir_all(&path).ok();
            } else if is_folder {
                folders.push(path);
            } else if name.ends_with(".lock") || (in_objects && name.starts_with("tmp_")) {
                fs::remove_file(&path).ok();
            }
        }
    }
}

fn failed(path: &Path, source: io::Error) -> MirrorError {
    MirrorError::Io { path: path.to_owned(), source }
}
