//! One application in a Git repository that all three engines can run, and Applications that differ in the destination only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::application::{Application, Version};
use super::machine::Machine;

/// What the manifests call the image.
pub const IMAGE: &str = "example/shop:1.0.0";

/// A repository with `k8s/`, `ecs/` and a Dockerfile.
pub struct Shop {
    application: Application,
    /// Where the Application's file is: outside the repository.
    folder: TempDir,
}

impl Shop {
    pub fn new(version: &Version) -> Shop {
        let shop = Shop { application: Application::new(version), folder: tempfile::tempdir().unwrap() };
        git(shop.repository(), &["init", "--quiet", "--initial-branch=main"]);
        shop.commit(version);
        shop
    }

    pub fn repository(&self) -> &Path {
        self.application.path()
    }

    /// Makes this version the head of the branch; the commit's id.
    pub fn commit(&self, version: &Version) -> String {
        let service = SERVICE.replace("REPLICAS_VALUE", &version.replicas.to_string());
        self.commit_with_service(version, &service)
    }

    /// Likewise, with a service definition for ECS other than the usual one.
    pub fn commit_with_service(&self, version: &Version, service: &str) -> String {
        self.application.write(version);
        let folder = self.repository().join("ecs");
        fs::create_dir_all(&folder).unwrap();
        let task_definition = TASK_DEFINITION
            .replace("VERSION_VALUE", &version.version)
            .replace("BEHAVIOUR_VALUE", &version.behaviour);
        fs::write(folder.join("task-definition.json"), task_definition).unwrap();
        fs::write(folder.join("service.json"), service).unwrap();
        self.commit_everything(&format!("Version {}", version.version))
    }

    /// Writes one more file and commits it.
    pub fn commit_file(&self, name: &str, text: &str) -> String {
        let file = self.repository().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self.commit_everything(name)
    }

    fn commit_everything(&self, message: &str) -> String {
        git(self.repository(), &["add", "--all"]);
        git(self.repository(), &["commit", "--quiet", "--allow-empty", "--message", message]);
        git(self.repository(), &["rev-parse", "HEAD"])
    }

    /// The Application's file, with this destination.
    pub fn destined(&self, destination: &str) -> PathBuf {
        self.written("application.yaml", &self.application(destination))
    }

    /// The Application's text, with this destination.
    pub fn application(&self, destination: &str) -> String {
        APPLICATION
            .replace("REPOSITORY_VALUE", &format!("file://{}", self.repository().display()))
            .replace("DESTINATION_VALUE", destination)
    }

    pub fn written(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// `sync` takes images from the store: this puts ours there.
    pub fn build(&self, machine: &Machine) {
        machine.minato(&["build", "--tag", IMAGE, self.repository().to_str().unwrap()]).expect(0);
    }
}

/// Runs git, as a user who has a name; its output.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let run = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(run.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

const APPLICATION: &str = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: shop
  namespace: argocd
spec:
  project: default
  source:
    repoURL: REPOSITORY_VALUE
    targetRevision: main
    path: .
    directory: {recurse: true}
  destination: {server: \"DESTINATION_VALUE\", namespace: shop}
  syncPolicy:
    automated: {prune: true}
    syncOptions: [CreateNamespace=true]
    retry: {limit: 3, backoff: {duration: 200ms, factor: 2, maxDuration: 2s}}
";

const TASK_DEFINITION: &str = r#"// The same program for Amazon ECS.
{
  "family": "shop",
  "networkMode": "bridge",
  "requiresCompatibilities": ["EC2"],
  "containerDefinitions": [
    {
      "name": "shop",
      "image": "example/shop:1.0.0",
      "essential": true,
      "cpu": 64,
      "memory": 64,
      "portMappings": [{ "containerPort": 8080 }],
      "environment": [
        { "name": "VERSION", "value": "VERSION_VALUE" },
        { "name": "BEHAVIOUR", "value": "BEHAVIOUR_VALUE" }
      ]
    }
  ]
}
"#;

const SERVICE: &str = r#"{
  "serviceName": "shop",
  "taskDefinition": "shop",
  "desiredCount": REPLICAS_VALUE,
  "launchType": "EC2",
  "deploymentConfiguration": {
    "deploymentCircuitBreaker": { "enable": true, "rollback": false },
    "maximumPercent": 200,
    "minimumHealthyPercent": 100
  }
}
"#;
