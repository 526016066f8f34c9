//! A real control plane, started by the test and stopped with it, and an Application on it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "each test uses a part of it"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minato_kubernetes::{KubernetesTarget, Options};
use minato_resource::{Object, SourceFile, parse_yaml};
use minato_sync::fake::{FakeSecrets, FakeStore, Fuse};
use minato_sync::{
    Application, Cluster, Comparison, Context, NoPins, Outcome, Owner, Redactor, Retry, Seams, Silent,
    SyncError, SyncRequest, Target as _, Tempo, removal_order,
};

/// etcd, the API server, the controllers and a stand-in for nodes.
pub struct Plane {
    folder: tempfile::TempDir,
    seen: std::cell::Cell<usize>,
}

impl Plane {
    /// `None`, said on stderr, when no control plane was asked for.
    pub fn start(test: &str) -> Option<Self> {
        if std::env::var_os("MINATO_TEST_CLUSTER").is_none() {
            eprintln!("SKIPPED {test}: a control plane was not asked for (./test --cluster)");
            return None;
        }
        let plane = Self { folder: tempfile::tempdir().unwrap(), seen: std::cell::Cell::new(0) };
        let started = plane.tool("start", &[]);
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        Some(plane)
    }

    fn tool(&self, verb: &str, more: &[&str]) -> std::process::Output {
        let tool = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tools/control-plane");
        Command::new(tool).arg(verb).arg(self.folder.path()).args(more).output().unwrap()
    }

    /// What kubectl answers.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.tool("kubectl", arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn kubectl_apply(&self, yaml: &str) {
        let path = self.folder.path().join("given.yaml");
        std::fs::write(&path, yaml).unwrap();
        self.kubectl(&["apply", "-f", path.to_str().unwrap()]);
    }

    pub fn turn_on_webhook(&self) {
        let path = self.folder.path().join("webhook.yaml");
        self.kubectl(&["apply", "-f", path.to_str().unwrap()]);
    }

    /// (writes, dry runs, reads) that the target asked for since the last time, by the audit log.
    pub fn asked(&self) -> (Vec<String>, usize, usize) {
        let log = std::fs::read_to_string(self.folder.path().join("audit.log")).unwrap();
        let lines: Vec<serde_json::Value> =
            log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let fresh = lines[self.seen.replace(lines.len())..].iter();
        let ours = fresh.filter(|line| {
            let agent = line["userAgent"].as_str().unwrap_or_default();
            line["user"]["username"] == "minato"
                && !agent.starts_with("kubectl")
                && line["stage"] != "RequestReceived"
        });
        let (mut writes, mut dry, mut reads) = (Vec::new(), 0, 0);
        for line in ours {
            let (verb, uri) = (line["verb"].as_str().unwrap(), line["requestURI"].as_str().unwrap());
            match verb {
                "get" | "list" | "watch" => reads += 1,
                _ if uri.contains("dryRun=All") => dry += 1,
                _ => writes.push(format!("{verb} {uri}")),
            }
        }
        (writes, dry, reads)
    }

    pub async fn application(&self, name: &str, change: impl FnOnce(&mut Options)) -> Shop {
        let redactor = Redactor::new([7; 32]);
        let mut options = Options::new(redactor.clone());
        options.namespace = name.to_owned();
        options.create_namespace = true;
        options.kubeconfig = Some(self.folder.path().join("kubeconfig"));
        change(&mut options);
        let server = self.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]);
        let target = KubernetesTarget::connect(&Cluster::Server(server), options).await.unwrap();
        let store = FakeStore::new(Arc::new(Fuse::default()));
        let mut application = Application::local(name.parse().unwrap());
        // On a busy machine the API server itself runs into its own time limits.
        let second = Duration::from_secs(1);
        application.sync_policy.retry =
            Some(Retry { limit: Some(20), pause: second, factor: 2, longest_pause: second * 5 });
        Shop { target, store, redactor, application }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.tool("stop", &[]);
    }
}

/// An Application with a namespace of its own name.
pub struct Shop {
    pub target: KubernetesTarget,
    store: FakeStore,
    redactor: Redactor,
    pub application: Application,
}

impl Shop {
    pub fn owner(&self) -> Owner {
        Owner::new(self.application.name.clone())
    }

    fn seams(&self) -> Seams<'_> {
        let tempo =
            Tempo { wave: Duration::from_secs(60), removal: Duration::from_secs(60), ..Tempo::default() };
        static SECRETS: std::sync::LazyLock<FakeSecrets> = std::sync::LazyLock::new(FakeSecrets::default);
        Seams {
            target: &self.target,
            store: &self.store,
            secrets: &*SECRETS,
            pins: &NoPins,
            redactor: &self.redactor,
            events: &Silent,
            tempo,
        }
    }

    pub async fn objects(&self, yaml: &str) -> Vec<Object> {
        let (objects, diagnostics) = parse_yaml(&Arc::new(SourceFile::new("files.yaml", yaml)));
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let (objects, diagnostics) = self.target.resolve(objects).await.unwrap();
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        objects
    }

    pub async fn sync(&self, yaml: &str) -> Result<Outcome, SyncError> {
        let request = SyncRequest {
            application: self.application.clone(),
            document: serde_json::json!({}),
            revision: "r".to_owned(),
            objects: self.objects(yaml).await,
            images: BTreeMap::new(),
            prune: true,
            command: "test".to_owned(),
        };
        minato_sync::sync(&self.seams(), &request).await
    }

    pub async fn diff(&self, yaml: &str) -> Comparison {
        let context = Context {
            owner: self.owner(),
            revision: "r".to_owned(),
            desired: self.objects(yaml).await.into(),
            images: Arc::new(BTreeMap::new()),
            applied: Vec::new(),
            retry: Vec::new(),
        };
        minato_sync::diff(&self.seams(), &self.application, &context).await.unwrap()
    }

    pub async fn status(&self) -> minato_sync::Status {
        minato_sync::status(&self.seams(), &self.application).await.unwrap()
    }

    /// Removes everything, as `delete` does, and waits until it is gone.
    pub async fn delete(&self) {
        let owner = self.owner();
        let live = self.target.live(&owner).await.unwrap();
        let order = |key: &minato_resource::ResourceKey| self.target.order(key);
        for key in removal_order(&live.iter().collect::<Vec<_>>(), &order) {
            self.target.delete(&key, &owner).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.target.live(&owner).await.unwrap().is_empty() {
            assert!(Instant::now() < deadline, "something is still there");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
