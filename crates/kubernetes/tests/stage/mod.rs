//! A small API server on loopback: enough of Kubernetes to show what the target asks for and makes of the answers.
//! It merges what is applied, owns fields by manager (maps only), counts generations, and can be told to fail.
#![allow(dead_code, unused_imports, clippy::unwrap_used, reason = "each test uses a part of it")]

mod cluster;
mod http;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use minato_kubernetes::{ConnectError, KubernetesTarget, Options};
use minato_resource::Object;
use minato_sync::{Cluster as Destination, Context, Owner, Redactor, Target as _};
use serde_json::Value;

pub use cluster::{Cluster, Fault};

/// A cluster, a target that is connected to it, and the folder of the kubeconfig.
pub struct Stage {
    pub cluster: Arc<Cluster>,
    pub target: KubernetesTarget,
    address: String,
    serving: tokio::task::AbortHandle,
    folder: tempfile::TempDir,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let cluster = Arc::new(Cluster::default());
        let (address, serving) = http::serve(Arc::clone(&cluster)).await;
        let folder = tempfile::tempdir().unwrap();
        let target = connect(&address, &folder, "{token: hush}", change).await.unwrap();
        Self { cluster, target, address, serving, folder }
    }

    /// Nobody answers any more.
    pub fn end(&self) {
        self.serving.abort();
    }

    /// Another target of the same cluster, as after a restart of the program.
    pub async fn again(&self) -> KubernetesTarget {
        self.as_user("{token: hush}").await
    }

    /// Another target of the same cluster, for an Application in this namespace, which it makes when it is missing.
    pub async fn another(&self, namespace: &str) -> KubernetesTarget {
        let change = |options: &mut Options| {
            options.namespace = namespace.to_owned();
            options.create_namespace = true;
        };
        connect(&self.address, &self.folder, "{token: hush}", change).await.unwrap()
    }

    /// A target with these credentials (YAML of a kubeconfig's user).
    pub async fn as_user(&self, user: &str) -> KubernetesTarget {
        connect(&self.address, &self.folder, user, |_| {}).await.unwrap()
    }

    /// What goes wrong with these credentials, when connecting or at the first request.
    pub async fn try_as_user(&self, user: &str) -> String {
        match connect(&self.address, &self.folder, user, |_| {}).await {
            Err(error) => error.to_string(),
            Ok(target) => target.live(&owner()).await.unwrap_err().to_string(),
        }
    }
}

async fn connect(
    address: &str,
    folder: &tempfile::TempDir,
    user: &str,
    change: impl FnOnce(&mut Options),
) -> Result<KubernetesTarget, ConnectError> {
    let path: PathBuf = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- {{name: c, cluster: {{server: '{address}'}}}}\n\
         contexts:\n- {{name: test, context: {{cluster: c, user: u}}}}\nusers:\n- {{name: u, user: {user}}}\n"
    );
    std::fs::write(&path, text).unwrap();
    let mut options = Options::new(Redactor::new([7; 32]));
    options.namespace = "a".to_owned();
    options.kubeconfig = Some(path);
    change(&mut options);
    KubernetesTarget::connect(&Destination::Context("test".to_owned()), options).await
}

pub fn owner() -> Owner {
    Owner::new("shop".parse().unwrap())
}

pub fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

pub fn context(desired: &[Object]) -> Context {
    Context {
        owner: owner(),
        revision: "r1".to_owned(),
        desired: desired.into(),
        images: Arc::new(BTreeMap::new()),
        applied: Vec::new(),
        retry: Vec::new(),
    }
}
