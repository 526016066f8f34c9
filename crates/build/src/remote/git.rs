//! Git repositories: which commit is meant, brought into a bare repository of the cache, and checked out from there.
//!
//! Nothing of the user's configuration decides what a checked-out file looks like: no filters (Git LFS), no line ends but
//! those of the repository's own attributes. For asking and fetching it counts: credential helpers, `insteadOf`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minato_oci::Digest;

use super::address::GitAddress;
use super::command::{authorized, git, reaching, run};
use super::tree::{settle_modes, without_git_folders};
use super::{RemoteError, Remotes, drop_unused};

/// Touched whenever a repository of the cache is used.
const USED: &str = "minato-used";

/// Why a repository can't be had.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git`.
    #[error("git is not installed; install it to build from Git repositories")]
    NotInstalled,
    /// It could not be run.
    #[error("git could not be run: {0}")]
    NotRun(io::Error),
    /// It ended with a failure.
    #[error("git {verb}: {message}")]
    Refused {
        /// What it was to do.
        verb: &'static str,
        /// What it said, without credentials.
        message: String,
    },
    /// It took too long.
    #[error("git {verb} did not end within {seconds} s")]
    TooSlow {
        /// What it was to do.
        verb: &'static str,
        /// How long it had.
        seconds: u64,
    },
    /// Its answer is larger than any that is read.
    #[error("git {verb}: its answer is larger than 64 MiB")]
    TooLarge {
        /// What it was to do.
        verb: &'static str,
    },
    /// The repository has no such reference.
    #[error("{repository} has no branch, tag or commit {reference:?}")]
    NoReference {
        /// The repository.
        repository: String,
        /// What was asked for.
        reference: String,
    },
    /// The commit is another one than was asked for.
    #[error("{repository} is at commit {found}, and {expected} was asked for")]
    Checksum {
        /// The repository and its reference.
        repository: String,
        /// How the name was to begin.
        expected: String,
        /// The name.
        found: String,
    },
    /// The commit has no such folder.
    #[error("commit {commit} of {repository} has no folder {folder:?}")]
    NoFolder {
        /// The repository.
        repository: String,
        /// The commit.
        commit: String,
        /// What was asked for.
        folder: String,
    },
    /// The cache or the checked-out tree can't be written.
    #[error("can't write {}: {source}", place.display())]
    Write {
        /// The file or folder.
        place: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The build was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// The full name of a commit that the cache has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit(String);

impl std::fmt::Display for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checked-out tree.
#[derive(Debug)]
pub(crate) struct CheckOut {
    /// The folder that is meant: the tree's root, or what the address names of it.
    pub(crate) folder: PathBuf,
}

impl Remotes<'_> {
    /// The commit that an address means now, brought here if it is not.
    pub(crate) fn commit(&self, address: &GitAddress) -> Result<Commit, RemoteError> {
        let repository = Repository::open(self, address)?;
        let commit = repository.find()?;
        if let Some(expected) = address.checksum.as_ref().filter(|expected| !commit.0.starts_with(*expected))
        {
            let (repository, expected) = (address.to_string(), expected.clone());
            return Err(GitError::Checksum { repository, expected, found: commit.0 }.into());
        }
        Ok(commit)
    }

    /// Checks a commit out into the empty folder `into`.
    pub(crate) fn check_out(
        &self,
        address: &GitAddress,
        commit: &Commit,
        into: &Path,
    ) -> Result<CheckOut, RemoteError> {
        let repository = Repository::open(self, address)?;
        let keep = address.keep_git_folder == Some(true);
        let submodules = address.submodules != Some(false) && repository.has_submodules(commit)?;
        if keep || submodules {
            repository.clone_to(commit, into, submodules)?;
        } else {
            repository.check_out_to(commit, into)?;
        }
        if !keep {
            without_git_folders(into).map_err(write_error(into))?;
        }
        settle_modes(into).map_err(write_error(into))?;
        let folder = folder_of(into, address.folder.as_deref()).ok_or_else(|| GitError::NoFolder {
            repository: address.repository.clone(),
            commit: commit.0.clone(),
            folder: address.folder.clone().unwrap_or_default(),
        })?;
        Ok(CheckOut { folder })
    }
}

/// A bare repository of the cache, with what was fetched so far. Nobody else writes to it meanwhile.
struct Repository<'a> {
    remotes: &'a Remotes<'a>,
    address: &'a GitAddress,
    path: PathBuf,
    _lock: File,
}

impl<'a> Repository<'a> {
    fn open(remotes: &'a Remotes<'a>, address: &'a GitAddress) -> Result<Self, GitError> {
        let folder = remotes.folder.join("repositories");
        fs::create_dir_all(&folder).map_err(write_error(&folder))?;
        let folder = std::path::absolute(&folder).map_err(write_error(&folder))?;
        let name = Digest::sha256(&address.repository).hex();
        let lock = folder.join(format!("{name}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.and_then(|file| file.lock().map(|()| file)).map_err(write_error(&lock))?;
        let repository = Self { remotes, address, path: folder.join(name), _lock: file };
        if !repository.path.join("HEAD").exists() {
            drop_unused(&folder, USED);
            let mut command = git();
            command.args(["init", "--quiet", "--bare", "--template="]).arg(&repository.path);
            repository.run(command, "init")?;
        }
        let used = repository.path.join(USED);
        File::create(&used).map_err(write_error(&used))?;
        Ok(repository)
    }

    fn find(&self) -> Result<Commit, GitError> {
        let reference = self.address.reference.as_deref();
        if let Some(name) = reference.filter(|name| is_commit(name)) {
            return self.bring(name);
        }
        if let Some(commit) = self.ask(reference)? {
            return self.bring(&commit);
        }
        let reference = reference.unwrap_or("HEAD");
        // It may be a commit's short name, which servers don't know.
        if reference.len() >= 7 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.fetch_all()?;
            let mut command = self.git();
            command.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
            command.arg(format!("{reference}^{{commit}}"));
            if let Ok(commit) = self.run(command, "rev-parse") {
                return self.bring(commit.trim());
            }
        }
        Err(self.no_reference(reference))
    }

    /// The commit of a reference as the server knows it. Branches come before tags of the same name.
    fn ask(&self, reference: Option<&str>) -> Result<Option<String>, GitError> {
        let mut command = git();
        self.reach(&mut command);
        command.args(["ls-remote", "--quiet", "--", &self.address.repository]);
        match reference {
            Some(name) => command.arg(name).arg(format!("{name}^{{}}")),
            None => command.arg("HEAD"),
        };
        let answer = self.run(command, "ls-remote")?;
        let known: Vec<(&str, &str)> = answer.lines().filter_map(|line| line.split_once('\t')).collect();
        let of = |wanted: &str| known.iter().find(|(_, name)| *name == wanted).map(|(commit, _)| *commit);
        let name = reference.unwrap_or("HEAD");
        let short = name.strip_prefix("refs/").unwrap_or(name);
        let candidates = [
            format!("{name}^{{}}"),
            name.to_owned(),
            format!("refs/{short}^{{}}"),
            format!("refs/{short}"),
            format!("refs/heads/{name}"),
            format!("refs/tags/{name}^{{}}"),
            format!("refs/tags/{name}"),
        ];
        let commit = candidates.iter().find_map(|candidate| of(candidate));
        Ok(commit.filter(|commit| is_commit(commit)).map(str::to_owned))
    }

    /// Makes sure that a commit is here, with its files; its history does not matter.
    fn bring(&self, name: &str) -> Result<Commit, GitError> {
        if !self.has(name)? {
            let mut command = self.git();
            self.reach(&mut command);
            command.args(["fetch", "--quiet", "--force", "--no-tags", "--depth=1", "--"]);
            command.arg(&self.address.repository).arg(format!("+{name}:refs/minato/{name}"));
            match self.run(command, "fetch") {
                // Old servers give references only, and simple ones know no depth.
                Err(GitError::Refused { .. }) => self.fetch_all()?,
                other => drop(other?),
            }
            if !self.has(name)? {
                return Err(self.no_reference(name));
            }
        }
        let mut command = self.git();
        command.args(["update-ref", &format!("refs/minato/{name}"), &format!("{name}^{{commit}}")]);
        self.run(command, "update-ref")?;
        let mut command = self.git();
        command.args(["rev-parse", "--verify", "--quiet", &format!("refs/minato/{name}")]);
        Ok(Commit(self.run(command, "rev-parse")?.trim().to_owned()))
    }

    fn has(&self, name: &str) -> Result<bool, GitError> {
        let mut command = self.git();
        command.args(["cat-file", "-e", &format!("{name}^{{commit}}")]);
        self.succeeds(command, "cat-file")
    }

    fn has_submodules(&self, commit: &Commit) -> Result<bool, GitError> {
        let mut command = self.git();
        command.args(["cat-file", "-e", &format!("{commit}:.gitmodules")]);
        self.succeeds(command, "cat-file")
    }

    fn fetch_all(&self) -> Result<(), GitError> {
        let mut command = self.git();
        self.reach(&mut command);
        command.args(["fetch", "--quiet", "--force", "--no-tags", "--"]).arg(&self.address.repository);
        command.args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        self.run(command, "fetch").map(drop)
    }

    fn check_out_to(&self, commit: &Commit, into: &Path) -> Result<(), GitError> {
        let parent = into.parent().unwrap_or(into);
        let scratch = tempfile::Builder::new().prefix("index-").tempdir_in(parent);
        let scratch = scratch.map_err(write_error(parent))?;
        for arguments in
            [vec!["read-tree", commit.0.as_str()], vec!["checkout-index", "--all", "--force", "--quiet"]]
        {
            let mut command = self.git();
            without_configuration(&mut command);
            command.env("GIT_WORK_TREE", into).env("GIT_INDEX_FILE", scratch.path().join("index"));
            command.args(arguments);
            self.run(command, "checkout")?;
        }
        Ok(())
    }

    /// Makes a repository of its own, with nothing in it that differs from one checkout to the next.
    fn clone_to(&self, commit: &Commit, into: &Path, submodules: bool) -> Result<(), GitError> {
        let kept = format!("refs/minato/{commit}");
        let step = |arguments: &[&str], protocols: &str| {
            let mut command = git();
            without_configuration(&mut command);
            reaching(&mut command, protocols);
            command.arg("-C").arg(into).args(arguments);
            self.run(command, "checkout")
        };
        let here = self.path.to_string_lossy();
        step(&["init", "--quiet", "--template="], "none")?;
        step(&["remote", "add", "--", "origin", &self.address.repository], "none")?;
        step(
            &["fetch", "--quiet", "--no-tags", "--depth=1", "--", &here, &format!("+{kept}:{kept}")],
            "file",
        )?;
        step(&["checkout", "--quiet", "--force", "--detach", &commit.0], "none")?;
        if submodules {
            let mut command = git();
            self.reach(&mut command);
            reaching(&mut command, &format!("{}:https:ssh", self.address.protocol));
            command.arg("-C").arg(into);
            command.args(["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"]);
            self.run(command, "submodule update")?;
        }
        step(&["update-ref", "-d", &kept], "none")?;
        // An index that was read knows no times and inodes.
        step(&["read-tree", &commit.0], "none")?;
        let fetched = into.join(".git/FETCH_HEAD");
        match fs::remove_file(&fetched) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(&fetched)(error)),
            _ => Ok(()),
        }
    }

    fn git(&self) -> Command {
        let mut command = git();
        command.arg("--git-dir").arg(&self.path);
        command
    }

    fn reach(&self, command: &mut Command) {
        reaching(command, self.address.protocol);
        if !self.address.protocol.starts_with("http") {
            return;
        }
        let settings = self.remotes.settings;
        let text =
            |secret: &crate::request::Secret| String::from_utf8_lossy(secret.value()).trim().to_owned();
        let given = settings.git_header.as_ref().map(text).or_else(|| {
            let token = settings.git_token.as_ref().map(text)?;
            Some(format!("Basic {}", BASE64.encode(format!("x-access-token:{token}"))))
        });
        if let Some(value) = self.address.authorization().or(given) {
            authorized(command, &self.address.repository, &value);
        }
    }

    fn run(&self, command: Command, verb: &'static str) -> Result<String, GitError> {
        run(command, verb, self.remotes.cancelled).map_err(|error| match error {
            GitError::Refused { verb, message } => {
                GitError::Refused { verb, message: self.address.without_credentials(&message) }
            }
            other => other,
        })
    }

    fn succeeds(&self, command: Command, verb: &'static str) -> Result<bool, GitError> {
        match self.run(command, verb) {
            Ok(_) => Ok(true),
            Err(GitError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn no_reference(&self, reference: &str) -> GitError {
        let repository = self.address.repository.clone();
        GitError::NoReference { repository, reference: reference.to_owned() }
    }
}

/// What a file looks like must not depend on who checks it out.
fn without_configuration(command: &mut Command) {
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
}

/// A folder of a checked-out tree. A link is none: it may lead anywhere.
fn folder_of(root: &Path, folder: Option<&str>) -> Option<PathBuf> {
    let mut place = root.to_owned();
    for name in folder.unwrap_or_default().split('/').filter(|name| !name.is_empty()) {
        place.push(name);
        place.symlink_metadata().ok().filter(fs::Metadata::is_dir)?;
    }
    Some(place)
}

fn is_commit(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn write_error(place: &Path) -> impl Fn(io::Error) -> GitError {
    let place = place.to_owned();
    move |source| GitError::Write { place: place.clone(), source }
}
