//! Repositories that a test makes with the real `git`.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use minato_source::{GitSources, Limits};
use minato_sync::ApplicationSource;
use tempfile::TempDir;

/// A repository with a work tree, and a folder for copies.
pub struct Repository {
    folder: TempDir,
}

/// False, said by name, when there is no `git`.
pub fn git_is_here(test: &str) -> bool {
    let version = Command::new("git").arg("--version").stdout(Stdio::null()).status();
    let here = version.is_ok_and(|status| status.success());
    if !here {
        eprintln!("SKIPPED {test}: git");
    }
    here
}

impl Repository {
    pub fn new() -> Repository {
        let repository = Repository { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(repository.path()).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    /// Where copies go.
    pub fn copies(&self) -> PathBuf {
        self.folder.path().join("sources")
    }

    pub fn sources(&self) -> GitSources {
        GitSources::new(&self.copies(), self.folder.path())
    }

    pub fn sources_within(&self, limits: Limits) -> GitSources {
        self.sources().with_limits(limits)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything, and gives the commit.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs `git` in the work tree, and gives what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(&self.path(), arguments)
    }

    /// This repository as a source, at a revision.
    pub fn at(&self, revision: &str) -> ApplicationSource {
        ApplicationSource {
            repository: "shop".to_owned(),
            path: Some("k8s".to_owned()),
            target_revision: Some(revision.to_owned()).filter(|revision| !revision.is_empty()),
            ..ApplicationSource::default()
        }
    }
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let output = Command::new("git")
        .args(identity)
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("GIT_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A ConfigMap.
pub fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}
