//! What Git says, asked of the `git` program: the revision of a work tree; the commits of a repository and their files.

mod command;
mod commit_tree;
mod mirror;
mod objects;
mod references;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use command::GitFailure;
pub use command::Limits;
pub(crate) use commit_tree::CommitTree;
pub(crate) use mirror::{Mirror, MirrorError};
pub(crate) use references::{CommitId, Meaning, Wanted, may_be_short_commit};

/// The commit that a folder stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit's hash, in full.
    pub commit: String,
    /// Files of the folder differ from the commit; files that Git ignores do not count.
    pub dirty: bool,
    /// The repository's root.
    pub root: PathBuf,
}

/// Why Git did not answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// `git` could not be run.
    #[error("git could not be run: {0}")]
    NotRun(std::io::Error),
    /// `git` refused.
    #[error("git refused to answer for {}: {message}", folder.display())]
    Refused {
        /// The folder.
        folder: PathBuf,
        /// The first line that it said.
        message: String,
    },
}

/// How much of a hash is in a tag.
const HASH_DIGITS: usize = 12;

impl Revision {
    /// The tag of an image built from this revision: the commit, and when files differ from it `-dirty-` and the
    /// start of `context_hash`, the hash of what the build reads (with or without `sha256:`). Without Git the hash
    /// alone stands for it.
    pub fn tag(revision: Option<&Revision>, context_hash: &str) -> String {
        let digits = context_hash.rsplit_once(':').map_or(context_hash, |(_, digits)| digits);
        let hash: String = digits.chars().filter(char::is_ascii_hexdigit).take(HASH_DIGITS).collect();
        match revision {
            Some(Revision { commit, dirty: false, .. }) => commit.clone(),
            Some(Revision { commit, .. }) => format!("{commit}-dirty-{hash}"),
            None => hash,
        }
    }

    /// Whether a tag is of the form that [`Revision::tag`] gives, and not one that a person chose.
    pub fn is_tag(text: &str) -> bool {
        let is_hash = |text: &str| text.len() == HASH_DIGITS && is_hexadecimal(text);
        let is_commit = |text: &str| matches!(text.len(), 40 | 64) && is_hexadecimal(text);
        match text.split_once("-dirty-") {
            Some((commit, hash)) => is_commit(commit) && is_hash(hash),
            None => is_commit(text) || is_hash(text),
        }
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

/// The revision of a folder; `None` when there is no `git`, no repository, or no commit yet.
///
/// # Errors
/// Git refuses to answer for another reason, for example because the folder belongs to another user.
pub fn revision(folder: &Path) -> Result<Option<Revision>, GitError> {
    let Some(answer) = ask(folder, &["rev-parse", "--show-toplevel", "HEAD"])? else { return Ok(None) };
    let mut lines = answer.lines();
    let (Some(root), Some(commit)) = (lines.next(), lines.next()) else { return Ok(None) };
    if !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let changes =
        ask(folder, &["status", "--porcelain=v1", "--no-renames", "--ignore-submodules=none", "--", "."])?;
    let dirty = changes.is_none_or(|changes| !changes.is_empty());
    Ok(Some(Revision { commit: commit.to_owned(), dirty, root: PathBuf::from(root) }))
}

/// Runs `git` with fixed arguments in the folder; nothing from outside becomes an argument, and the repository's own
/// configuration cannot name a program to run. `None` when Git has no repository or commit there.
pub(crate) fn ask(folder: &Path, arguments: &[&str]) -> Result<Option<String>, GitError> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        .current_dir(folder)
        // A hook or `git rebase --exec` sets these for its own repository, which need not be this one.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(GitError::NotRun(error)),
        Ok(output) => output,
    };
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if message.contains("not a git repository") || message.contains("ambiguous argument 'HEAD'") {
        return Ok(None);
    }
    let message = message.lines().next().unwrap_or("it gave no reason").to_owned();
    Err(GitError::Refused { folder: folder.to_owned(), message })
}

#[cfg(test)]
mod tests;
