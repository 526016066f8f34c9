//! What the rules are about: which event, ref and commit this is, of which repository.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::git::{GitError, ask};

/// Of GitHub's event file, what is read.
const EVENT_LIMIT: u64 = 25 << 20;

/// The facts; the default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What started the CI: `push`, `schedule`, `pull_request`, `workflow_dispatch`.
    pub event: Option<Arc<str>>,
    /// `refs/heads/…`, `refs/tags/…` or `refs/pull/NUMBER/merge`.
    pub reference: Option<String>,
    /// The branch that a pull request goes into, or that a tag was made on.
    pub base_branch: Option<String>,
    /// The commit's hash, in full.
    pub commit: Option<String>,
    /// When the commit was made.
    pub committed: Option<Timestamp>,
    /// The time now.
    pub now: Timestamp,
    /// The repository.
    pub repository: Repository,
}

/// What is known about a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its name, without its owner.
    pub name: Option<String>,
    /// Where people look at it.
    pub url: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its licence's SPDX identifier.
    pub license: Option<String>,
    /// The branch of its newest state.
    pub default_branch: Option<String>,
}

/// Why the facts can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// Git does not answer.
    #[error(transparent)]
    Git(#[from] GitError),
    /// GitHub's description of the event can't be read.
    #[error("GITHUB_EVENT_PATH: {path}: {reason}")]
    Event {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Facts {
    /// The facts that the CI's environment (GitHub Actions, GitLab CI) has, and from Git in `folder` whatever it lacks.
    ///
    /// # Errors
    /// Git refuses to answer, or GitHub's description of the event can't be read.
    pub fn read(
        folder: &Path,
        environment: &HashMap<String, String>,
        now: Timestamp,
    ) -> Result<Facts, FactsError> {
        let event = match environment.get("GITHUB_EVENT_PATH").filter(|path| !path.is_empty()) {
            Some(path) => read_event(path)?,
            None => Value::Null,
        };
        let ci = Facts { now, ..Facts::from_environment(environment, &event) };
        Ok(ci.or(from_git(folder)?))
    }

    /// What the CI's environment says; `event` is GitHub's description of what happened.
    pub fn from_environment(environment: &HashMap<String, String>, event: &Value) -> Facts {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        if get("GITHUB_ACTIONS").is_some() || get("GITHUB_REF").is_some() {
            return from_github(&get, event);
        }
        if get("GITLAB_CI").is_some() { from_gitlab(&get) } else { Facts::default() }
    }

    /// The branch, where this is one.
    pub fn branch(&self) -> Option<&str> {
        self.reference.as_deref()?.strip_prefix("refs/heads/")
    }

    /// Git's tag, where this is one.
    pub fn tag(&self) -> Option<&str> {
        self.reference.as_deref()?.strip_prefix("refs/tags/")
    }

    /// The pull request's number, where this is one.
    pub fn pull_request(&self) -> Option<&str> {
        let number = self.reference.as_deref()?.strip_prefix("refs/pull/")?;
        Some(number.strip_suffix("/merge").or_else(|| number.strip_suffix("/head")).unwrap_or(number))
    }

    pub(super) fn is_default_branch(&self) -> bool {
        self.branch().is_some() && self.branch() == self.repository.default_branch.as_deref()
    }

    /// These facts, with `other`'s for what is missing.
    fn or(self, other: Facts) -> Facts {
        // Another commit's time would be wrong.
        let is_same = self.commit.is_none() || self.commit == other.commit;
        let (one, two) = (self.repository, other.repository);
        Facts {
            event: self.event,
            reference: self.reference.or(other.reference),
            base_branch: self.base_branch,
            committed: self.committed.or(other.committed.filter(|_| is_same)),
            commit: self.commit.or(other.commit),
            now: self.now,
            repository: Repository {
                name: one.name.or(two.name),
                url: one.url.or(two.url),
                description: one.description.or(two.description),
                license: one.license.or(two.license),
                default_branch: one.default_branch.or(two.default_branch),
            },
        }
    }
}

fn read_event(path: &str) -> Result<Value, FactsError> {
    let failed = |reason: String| FactsError::Event { path: path.to_owned(), reason };
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > EVENT_LIMIT {
        return Err(failed(format!("longer than {EVENT_LIMIT} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

/// GitHub Actions: default variables, and the payload of the event.
fn from_github(get: &impl Fn(&str) -> Option<String>, event: &Value) -> Facts {
    let text = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = get("GITHUB_EVENT_NAME");
    let number = event.pointer("/number").and_then(Value::as_u64);
    // This event runs on the base branch; the rules are about the pull request.
    let target = number.filter(|_| name.as_deref() == Some("pull_request_target"));
    let repository = get("GITHUB_REPOSITORY");
    let url =
        get("GITHUB_SERVER_URL").zip(repository.clone()).map(|(server, name)| format!("{server}/{name}"));
    Facts {
        reference: target.map(|number| format!("refs/pull/{number}/merge")).or_else(|| get("GITHUB_REF")),
        base_branch: text("/pull_request/base/ref")
            .or_else(|| Some(text("/base_ref")?.trim_start_matches("refs/heads/").to_owned()))
            .or_else(|| get("GITHUB_BASE_REF")),
        commit: get("GITHUB_SHA"),
        event: name.map(Arc::from),
        repository: Repository {
            name: repository.and_then(|name| name.rsplit('/').next().map(str::to_owned)),
            url: text("/repository/html_url").or(url),
            description: text("/repository/description"),
            license: text("/repository/license/spdx_id"),
            default_branch: text("/repository/default_branch"),
        },
        ..Facts::default()
    }
}

/// GitLab CI: predefined variables.
fn from_gitlab(get: &impl Fn(&str) -> Option<String>) -> Facts {
    let tag = get("CI_COMMIT_TAG").map(|tag| format!("refs/tags/{tag}"));
    let request = get("CI_MERGE_REQUEST_IID").map(|number| format!("refs/pull/{number}/merge"));
    let branch = get("CI_COMMIT_BRANCH").map(|branch| format!("refs/heads/{branch}"));
    Facts {
        event: get("CI_PIPELINE_SOURCE").map(Arc::from),
        reference: tag.or(request).or(branch),
        base_branch: get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        commit: get("CI_COMMIT_SHA"),
        committed: get("CI_COMMIT_TIMESTAMP").and_then(|time| time.parse().ok()),
        repository: Repository {
            name: get("CI_PROJECT_NAME"),
            url: get("CI_PROJECT_URL"),
            description: get("CI_PROJECT_DESCRIPTION"),
            default_branch: get("CI_DEFAULT_BRANCH"),
            ..Repository::default()
        },
        ..Facts::default()
    }
}

/// The commit that the folder stands on: its branch, or without one the highest tag on it.
fn from_git(folder: &Path) -> Result<Facts, GitError> {
    let line = |arguments: &[&str]| -> Result<Option<String>, GitError> {
        let answer = ask(folder, arguments)?;
        Ok(answer.and_then(|answer| answer.lines().next().map(str::to_owned)).filter(|line| !line.is_empty()))
    };
    let Some(head) = line(&["show", "--no-patch", "--no-show-signature", "--format=%H %cI", "HEAD"])? else {
        return Ok(Facts::default());
    };
    let (commit, time) = head.split_once(' ').unwrap_or((&head, ""));
    let heads =
        line(&["rev-parse", "--symbolic-full-name", "HEAD"])?.filter(|name| name.starts_with("refs/"));
    let reference = match heads {
        Some(branch) => Some(branch),
        None => line(&[
            "for-each-ref",
            "--points-at=HEAD",
            "--sort=-version:refname",
            "--format=%(refname)",
            "refs/tags",
        ])?,
    };
    let remote = line(&["for-each-ref", "--format=%(symref)", "refs/remotes/origin/HEAD"])?;
    let url = line(&["config", "--get-regexp", "^remote\\.origin\\.url$"]).unwrap_or(None);
    let url = url.and_then(|line| web_address(line.split_once(' ')?.1));
    let name = url.as_ref().and_then(|url| url.rsplit('/').next().map(str::to_owned));
    Ok(Facts {
        reference,
        commit: Some(commit.to_owned()),
        committed: time.parse().ok(),
        repository: Repository {
            name,
            url,
            default_branch: remote
                .and_then(|name| Some(name.strip_prefix("refs/remotes/origin/")?.to_owned())),
            ..Repository::default()
        },
        ..Facts::default()
    })
}

/// Where people look at a repository that Git fetches from `address`; `None` for one on this machine. Credentials in
/// it are left out.
fn web_address(address: &str) -> Option<String> {
    let (host, path) = match address.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        // git@host:owner/name
        None => address.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = host.rsplit('@').next()?;
    let host = if address.starts_with("ssh://") { host.split(':').next()? } else { host };
    let path = path.trim_matches('/').trim_end_matches(".git");
    (!host.is_empty() && !path.is_empty()).then(|| format!("https://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> HashMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn addresses_of_git_become_addresses_for_people() {
        for (address, expected) in [
            ("https://github.com/a/b.git", Some("https://github.com/a/b")),
            ("https://user:secret@git.example:8443/a/b", Some("https://git.example:8443/a/b")),
            ("git@github.com:a/b.git", Some("https://github.com/a/b")),
            ("ssh://git@host:22/a/b.git", Some("https://host/a/b")),
            ("/srv/git/a", None),
            ("file:///srv/git/a", None),
        ] {
            assert_eq!(web_address(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn github_and_gitlab_are_read() {
        let event = serde_json::json!({
            "number": 7,
            "pull_request": {"base": {"ref": "main"}},
            "repository": {"html_url": "https://github.com/o/n", "default_branch": "main", "description": "It",
                "license": {"spdx_id": "MIT"}},
        });
        let github = environment(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "pull_request_target"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_SHA", "abc"),
            ("GITHUB_REPOSITORY", "o/n"),
        ]);
        let facts = Facts::from_environment(&github, &event);
        assert_eq!((facts.pull_request(), facts.base_branch.as_deref()), (Some("7"), Some("main")));
        assert_eq!(facts.repository.license.as_deref(), Some("MIT"));
        let gitlab = environment(&[
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_TAG", "v1"),
            ("CI_COMMIT_TIMESTAMP", "2020-01-01T00:00:00+01:00"),
        ]);
        let facts = Facts::from_environment(&gitlab, &Value::Null);
        assert_eq!(
            (facts.tag(), facts.committed),
            (Some("v1"), Some("2019-12-31T23:00:00Z".parse().unwrap()))
        );
        assert_eq!(Facts::from_environment(&environment(&[]), &event), Facts::default());
    }
}
