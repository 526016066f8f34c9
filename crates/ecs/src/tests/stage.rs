//! An Application whose target is the scripted API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use minato_resource::Object;
use minato_sync::fake::{FakeSecrets, FakeStore, Fuse};
use minato_sync::{
    Application, Context, DeleteRequest, NoPins, Outcome, Owner, Redactor, RollbackRequest, Seams, Silent,
    SyncError, SyncRequest, Tempo, delete, rollback, sync,
};
use serde_json::{Value, json};

use super::script::Script;
use crate::api::{Api, Chain};
use crate::{EcsTarget, Options};

pub struct Stage {
    pub script: Script,
    pub target: EcsTarget,
    pub application: Application,
    store: FakeStore,
    secrets: FakeSecrets,
    redactor: Redactor,
}

impl Stage {
    pub async fn new() -> Self {
        let script = Script::start().await;
        Self::over(script, "shop")
    }

    pub fn over(script: Script, application: &str) -> Self {
        let redactor = Redactor::new([3; 32]);
        let options = Options { redactor: redactor.clone(), families: vec!["web".to_owned()] };
        Self {
            target: target(&script.address, options),
            application: Application::local(application.parse().unwrap()),
            store: FakeStore::new(Arc::new(Fuse::default())),
            secrets: FakeSecrets::default(),
            redactor,
            script,
        }
    }

    fn seams(&self) -> Seams<'_> {
        let tempo = Tempo { poll: Duration::from_millis(5), ..Tempo::default() };
        let (store, secrets, redactor) = (&self.store, &self.secrets, &self.redactor);
        Seams { target: &self.target, store, secrets, pins: &NoPins, redactor, events: &Silent, tempo }
    }

    pub async fn sync(&self, objects: &[Object]) -> Result<Outcome, SyncError> {
        let request = SyncRequest {
            application: self.application.clone(),
            document: json!({}),
            revision: "r".into(),
            objects: objects.to_vec(),
            images: BTreeMap::new(),
            prune: true,
            command: "minato sync".into(),
        };
        sync(&self.seams(), &request).await
    }

    pub async fn rollback(&self, number: u64) -> Result<Outcome, SyncError> {
        let request = RollbackRequest {
            application: self.application.clone(),
            document: json!({}),
            number: Some(number),
            at_hand: Vec::new(),
            prune: true,
            command: "minato rollback".into(),
        };
        rollback(&self.seams(), &request).await
    }

    pub async fn delete(&self) -> Result<(), SyncError> {
        let request = DeleteRequest {
            name: self.application.name.clone(),
            retry: None,
            command: "minato delete".into(),
        };
        delete(&self.seams(), &request).await
    }

    pub fn context(&self, desired: &[Object]) -> Context {
        Context {
            owner: self.owner(),
            revision: "r".into(),
            desired: desired.into(),
            images: Arc::default(),
            applied: Vec::new(),
            retry: Vec::new(),
        }
    }

    pub fn owner(&self) -> Owner {
        Owner::new(self.application.name.clone())
    }
}

pub fn target(address: &str, options: Options) -> EcsTarget {
    let credentials = Credentials::from_keys("test", "test", None);
    let chain = Chain::new(SharedCredentialsProvider::new(credentials));
    EcsTarget::over(Api::new(chain, Some(address.to_owned())).unwrap(), "eu-central-1", "shop", options)
}

/// A task definition and the service that runs it.
pub fn web(image: &str) -> [Object; 2] {
    [definition("web", image), service("web", json!({}))]
}

pub fn definition(family: &str, image: &str) -> Object {
    document(
        "TaskDefinition",
        family,
        json!({"family": family,
        "containerDefinitions": [{"name": "web", "image": image, "memory": 64}], "aFieldOfTomorrow": {"x": [1]}}),
    )
}

/// A service of family `web` with more fields.
pub fn service(name: &str, more: Value) -> Object {
    let mut spec = json!({"serviceName": name, "taskDefinition": "web", "cluster": "elsewhere"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document("Service", name, spec)
}

fn document(kind: &str, name: &str, spec: Value) -> Object {
    let value =
        json!({"apiVersion": "ecs.amazonaws.com/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    Object::from_value(value).unwrap()
}
