//! A process that is killed at any named point is carried on by the next one, and nothing is done twice. The process is
//! this program again, as `one_process`; the API is moto.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use minato_ecs::{EcsTarget, Options};
use minato_resource::Object;
use minato_sync::{Context, Owner, Redactor, Target as _};
use serde_json::{Value, json};

const IMAGE: &str = "MINATO_TEST_IMAGE";
const DIE_AT: &str = "MINATO_TEST_DIE_AT";

#[test]
fn after_a_kill_the_next_process_finishes_and_repeats_nothing() {
    let test = "after_a_kill_the_next_process_finishes_and_repeats_nothing";
    if !cfg!(feature = "failpoints") {
        eprintln!("SKIPPED {test}: built without the feature failpoints");
        return;
    }
    let Some(moto) = Moto::start(test) else { return };
    moto.aws(&["create-cluster", "--cluster-name", "shop"]);

    moto.killed_at("ecs.task_definition.registered", "web:1");
    moto.killed_at("ecs.service.created", "web:1");
    let created = moto.service();
    moto.finishes("web:1");
    assert_eq!(moto.service()["deployments"][0]["id"], created["deployments"][0]["id"]);
    assert_eq!(moto.revisions(), 1);

    moto.killed_at("ecs.service.updated", "web:2");
    let updated = moto.service();
    assert!(updated["taskDefinition"].as_str().unwrap().ends_with("web:2"), "{updated}");
    moto.finishes("web:2");
    assert_eq!(moto.service()["deployments"][0]["id"], updated["deployments"][0]["id"]);
    assert_eq!(moto.revisions(), 2);

    moto.killed_at("ecs.service.deleted", "");
    moto.finishes("");
    assert_ne!(moto.service()["status"], "ACTIVE");
    assert_eq!(moto.revisions(), 2, "nothing is deregistered");
}

/// Brings out what the environment says, or removes it, and dies where it says.
#[tokio::test]
#[ignore = "the other test runs it in a process of its own"]
async fn one_process() {
    if let Ok(point) = std::env::var(DIE_AT) {
        fail::cfg_callback(point, || std::process::abort()).unwrap();
    }
    let options = Options { redactor: Redactor::new([1; 32]), families: vec!["web".to_owned()] };
    let target = EcsTarget::connect("eu-central-1", "shop", options).await.unwrap();
    let image = std::env::var(IMAGE).unwrap();
    let objects = documents(&image);
    let owner = Owner::new("shop".parse().unwrap());
    if image.is_empty() {
        for object in objects.iter().rev() {
            target.delete(object.key(), &owner).await.unwrap();
        }
        assert_eq!(target.live(&owner).await.unwrap().len(), 0);
        return;
    }
    let mut context = Context {
        owner,
        revision: image,
        desired: objects.clone().into(),
        images: std::sync::Arc::default(),
        applied: Vec::new(),
        retry: Vec::new(),
    };
    for object in &objects {
        let applied = target.apply(object, &context).await.unwrap();
        context.applied.push(applied);
    }
}

fn documents(image: &str) -> Vec<Object> {
    let object = |kind: &str, spec: Value| {
        let value = json!({"apiVersion": "ecs.amazonaws.com/v1", "kind": kind, "metadata": {"name": "web"}, "spec": spec});
        Object::from_value(value).unwrap()
    };
    let container = json!({"name": "web", "image": image, "memory": 64});
    vec![
        object("TaskDefinition", json!({"family": "web", "containerDefinitions": [container]})),
        object("Service", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1})),
    ]
}

struct Moto {
    folder: tempfile::TempDir,
    address: String,
}

impl Moto {
    fn start(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(tool()).arg("start").arg(folder.path()).output().unwrap();
        if output.status.code() == Some(3) {
            eprintln!("SKIPPED {test}: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        assert!(output.status.success(), "{output:?}");
        let address = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Self { folder, address })
    }

    fn process(&self, image: &str, die_at: Option<&str>) -> Output {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_process", "--ignored", "--nocapture"])
            .envs([
                ("AWS_ENDPOINT_URL", &*self.address),
                ("AWS_ACCESS_KEY_ID", "a"),
                ("AWS_SECRET_ACCESS_KEY", "b"),
            ])
            .env(IMAGE, image)
            .envs(die_at.map(|point| (DIE_AT, point)))
            .output()
            .unwrap()
    }

    fn killed_at(&self, point: &str, image: &str) {
        let output = self.process(image, Some(point));
        let told = String::from_utf8_lossy(&output.stderr);
        // An abort has no exit code; a failed assertion has one.
        assert_eq!(output.status.code(), None, "{point} was not reached: {told}");
    }

    fn finishes(&self, image: &str) {
        let output = self.process(image, None);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The AWS CLI's answer.
    fn aws(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(tool());
        command.arg("aws").arg(self.folder.path()).arg("ecs").args(arguments).args(["--output", "json"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn service(&self) -> Value {
        self.aws(&["describe-services", "--cluster", "shop", "--services", "web"])["services"][0].clone()
    }

    fn revisions(&self) -> usize {
        self.aws(&["list-task-definitions"])["taskDefinitionArns"].as_array().unwrap().len()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = Command::new(tool()).arg("stop").arg(self.folder.path()).status();
    }
}

fn tool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/moto")
}
