//! The application of the tests as a Git repository with an Argo CD Application in it, for `sync`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::application::{Application, Version};
use super::support::machine::Machine;

/// What `sync` is given: `argocd/application.yaml` beside `k8s/`, committed.
pub struct Declared {
    folder: Application,
    name: String,
}

impl Declared {
    /// A repository with one commit of this version, on this machine's engine.
    pub fn new(name: &str, version: &Version) -> Declared {
        let declared = Declared { folder: Application::new(version), name: name.to_owned() };
        declared.git(&["init", "--quiet", "--initial-branch=main"]);
        fs::create_dir(declared.path().join("argocd")).unwrap();
        declared.declare("automated: {prune: true}");
        declared.commit(version);
        declared
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The Application's file.
    pub fn file(&self) -> PathBuf {
        self.path().join("argocd/application.yaml")
    }

    /// Writes the Application's file with this `syncPolicy`.
    pub fn declare(&self, sync_policy: &str) {
        let text = APPLICATION.replace("NAME_VALUE", &self.name).replace("POLICY_VALUE", sync_policy);
        fs::write(self.file(), text).unwrap();
    }

    /// Commits a version, and gives the commit.
    pub fn commit(&self, version: &Version) -> String {
        self.folder.write(version);
        self.commit_all()
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.path().join(path), text).unwrap();
    }

    /// Commits what is there.
    pub fn commit_all(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let output =
            Command::new("git").args(identity).args(arguments).current_dir(self.path()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Puts the image that the manifests name into the machine's store, as a pull would.
    pub fn build_image(&self, machine: &Machine) {
        let build = ["build", "--tag", "example/shop:1.0.0"].map(Path::new);
        machine.minato(&[&build[..], &[self.path()]].concat()).expect(0);
    }
}

const APPLICATION: &str = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: NAME_VALUE, namespace: argocd}
spec:
  project: default
  source: {repoURL: .., targetRevision: main, path: k8s}
  destination: {server: 'local://'}
  syncPolicy:
    POLICY_VALUE
";
