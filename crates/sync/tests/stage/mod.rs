//! What every test of operations needs: fakes, an Application, Objects and requests.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use minato_oci::Digest;
use minato_resource::{Object, ResourceKey};
use minato_sync::fake::{FakePins, FakeSecrets, FakeStore, FakeTarget, Fuse, HEALTH_ANNOTATION};
use minato_sync::{
    Application, Event, Events, Outcome, Owner, Redactor, Revision, RollbackRequest, Seams, StateStore,
    SyncError, SyncRequest, Tempo, rollback, sync,
};
use serde_json::{Value, json};

pub struct Stage {
    pub fuse: Arc<Fuse>,
    pub target: FakeTarget,
    pub store: FakeStore,
    pub secrets: FakeSecrets,
    pub pins: FakePins,
    pub redactor: Redactor,
    pub told: Told,
    pub tempo: Tempo,
    pub application: Application,
}

/// Remembers events as short texts.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<String>>);

impl Events for Told {
    fn event(&self, event: Event<'_>) {
        let text = match event {
            Event::Compared(_) => return,
            Event::SecretChanged(reference) => format!("secret changed {reference}"),
            Event::WaitingForLock(holder) => format!("waiting for {}", holder.command),
            Event::Kept(key) => format!("kept {key}"),
            Event::RollingBack { to, .. } => format!("rolling back to {}", to.number),
            Event::Retrying { .. } => "retrying".to_owned(),
            Event::Resuming { revision } => format!("resuming {revision}"),
            _ => return,
        };
        self.0.lock().unwrap().push(text);
    }
}

impl Default for Stage {
    fn default() -> Self {
        let fuse = Arc::new(Fuse::default());
        let redactor = Redactor::new([3; 32]);
        Self {
            target: FakeTarget::new(redactor.clone(), Arc::clone(&fuse)),
            store: FakeStore::new(Arc::clone(&fuse)),
            secrets: FakeSecrets::default(),
            pins: FakePins::default(),
            redactor,
            told: Told::default(),
            tempo: Tempo { wave: Duration::from_secs(60), ..Tempo::default() },
            application: Application::local("shop".parse().unwrap()),
            fuse,
        }
    }
}

impl Stage {
    pub fn seams(&self) -> Seams<'_> {
        Seams {
            target: &self.target,
            store: &self.store,
            secrets: &self.secrets,
            pins: &self.pins,
            redactor: &self.redactor,
            events: &self.told,
            tempo: self.tempo,
        }
    }

    pub fn owner(&self) -> Owner {
        Owner::new(self.application.name.clone())
    }

    pub async fn sync(&self, revision: &str, objects: &[Object]) -> Result<Outcome, SyncError> {
        sync(&self.seams(), &self.request(revision, objects)).await
    }

    pub async fn rollback(&self, number: Option<u64>, at_hand: &[Object]) -> Result<Outcome, SyncError> {
        let request = RollbackRequest {
            application: self.application.clone(),
            document: json!({}),
            number,
            at_hand: at_hand.to_vec(),
            prune: true,
            command: "minato rollback".into(),
        };
        rollback(&self.seams(), &request).await
    }

    pub fn request(&self, revision: &str, objects: &[Object]) -> SyncRequest {
        SyncRequest {
            application: self.application.clone(),
            document: json!({}),
            revision: revision.into(),
            objects: objects.to_vec(),
            images: BTreeMap::from([(format!("web:{revision}"), Digest::sha256(revision))]),
            prune: true,
            command: format!("minato up ({revision})"),
        }
    }

    pub async fn history(&self) -> Vec<Revision> {
        self.store.history(&self.application.name).await.unwrap()
    }

    pub fn told(&self) -> Vec<String> {
        self.told.0.lock().unwrap().clone()
    }

    pub fn live(&self, key: &str) -> Option<Value> {
        self.target.live_value(&self.owner(), &key.parse::<ResourceKey>().unwrap())
    }
}

pub fn web(version: &str, health: &str) -> Object {
    object("Deployment", "web", json!({HEALTH_ANNOTATION: health}), json!({"version": version}))
}

pub fn config(text: &str) -> Object {
    object("ConfigMap", "config", json!({}), json!(text))
}

pub fn object(kind: &str, name: &str, annotations: Value, spec: Value) -> Object {
    let value = json!({"apiVersion": "v1", "kind": kind,
        "metadata": {"name": name, "annotations": annotations}, "spec": spec});
    Object::from_value(value).unwrap()
}

pub fn secret(value: &str) -> Object {
    let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
        "stringData": {"password": value}});
    Object::from_value(value).unwrap()
}

pub fn deployed(outcome: Result<Outcome, SyncError>) -> u64 {
    match outcome {
        Ok(Outcome::Deployed(revision)) => revision.number,
        other => panic!("expected a deployed revision, got {other:?}"),
    }
}
