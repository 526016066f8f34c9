//! Against moto, an imitation of AWS by others: what is brought out is what is live.

use std::path::{Path, PathBuf};
use std::process::Command;

use minato_sync::{Progress, Redactor, Target as _, compare};
use serde_json::json;

use super::script::Script;
use super::stage::{Stage, definition, service, target};
use crate::api::{Call, Service};
use crate::{EcsTarget, Options};

struct Moto {
    folder: tempfile::TempDir,
    address: String,
}

impl Moto {
    /// `None`, said, when it can't be had here.
    fn start(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(tool()).arg("start").arg(folder.path()).output().unwrap();
        if output.status.code() == Some(3) {
            let reason = String::from_utf8_lossy(&output.stderr);
            eprintln!("SKIPPED {test}: {}", reason.trim());
            return None;
        }
        assert!(output.status.success(), "{output:?}");
        let address = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Self { folder, address })
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

/// moto's first answer may take long: it loads what it imitates.
async fn create_cluster(target: &EcsTarget) {
    let call = Call { service: Service::Ecs, operation: "CreateCluster", region: "eu-central-1" };
    for _ in 0..5 {
        match target.api().call(call, &json!({"clusterName": "shop"})).await {
            Ok(_) => return,
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
    }
    panic!("moto does not answer");
}

#[tokio::test]
async fn what_moto_was_told_is_what_it_has() {
    let Some(moto) = Moto::start("what_moto_was_told_is_what_it_has") else { return };
    let options = Options { redactor: Redactor::new([3; 32]), families: vec!["web".to_owned()] };
    let target = target(&moto.address, options);
    create_cluster(&target).await;

    let stage = Stage::over(Script::start().await, "shop");
    let more = json!({"desiredCount": 2, "deploymentConfiguration": {"maximumPercent": 150}, "launchType": "FARGATE"});
    let objects = [definition("web", "web:1"), service("web", more)];
    let mut context = stage.context(&objects);
    for object in &objects {
        let applied = target.apply(object, &context).await.unwrap();
        context.applied.push(applied);
    }
    let live = target.live(&stage.owner()).await.unwrap();
    assert_eq!(live.len(), 2);
    let mut predicted = Vec::new();
    for (desired, live) in objects.iter().zip(&live) {
        predicted.push(target.predict(desired, Some(live), &context).await.unwrap());
    }
    let comparison = compare(&predicted, &live, &[]);
    assert!(comparison.is_synced(), "{comparison:?}");
    // moto starts no tasks and has no service deployments.
    let progress = target.progress(&context.applied[1].token).await.unwrap();
    assert!(matches!(progress, Progress::Progressing { .. }), "{progress:?}");

    for object in objects.iter().rev() {
        target.delete(object.key(), &stage.owner()).await.unwrap();
    }
    assert_eq!(target.live(&stage.owner()).await.unwrap().len(), 0);
}
