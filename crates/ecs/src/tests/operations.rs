//! The life of an Application: sync, no-op, change, bad change, rollback, delete.

use minato_sync::Outcome;
use serde_json::json;

use super::stage::{Stage, service, web};

const WEB_1: &str = "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1";

#[tokio::test]
async fn an_application_lives() {
    let stage = Stage::new().await;
    assert!(matches!(stage.sync(&web("web:1")).await, Ok(Outcome::Deployed(_))));
    assert_eq!(stage.script.written(), ["RegisterTaskDefinition", "CreateService"]);

    assert_eq!(stage.sync(&web("web:1")).await.unwrap(), Outcome::Unchanged);
    assert_eq!(stage.script.written(), [""; 0]);

    assert!(matches!(stage.sync(&web("web:2")).await, Ok(Outcome::Deployed(_))));
    assert_eq!(stage.script.written(), ["RegisterTaskDefinition", "UpdateService"]);
    assert_eq!(stage.sync(&web("web:2")).await.unwrap(), Outcome::Unchanged);
    assert_eq!(stage.script.written(), [""; 0]);

    // Back to the revision that is registered already.
    assert!(stage.rollback(1).await.unwrap().is_healthy());
    let writes = stage.script.writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(writes[0].1, json!({"taskDefinition": WEB_1, "cluster": "shop", "service": "web"}));

    stage.delete().await.unwrap();
    assert_eq!(stage.script.written(), ["DeleteService", "UntagResource"]);
    let definitions = stage.script.with(|state| state.definitions.values().cloned().collect::<Vec<_>>());
    assert!(
        definitions.iter().all(|answer| answer["taskDefinition"]["status"] == "ACTIVE"),
        "{definitions:?}"
    );
}

#[tokio::test]
async fn a_deployment_that_ecs_rolled_back_is_a_failure_and_nothing_is_deployed_twice() {
    let stage = Stage::new().await;
    stage.sync(&web("web:1")).await.unwrap();
    stage.script.with(|state| state.rollout = "IN_PROGRESS".into());
    stage.script.writes();
    let bad = web("web:bad");
    let rolled_back = async {
        // As soon as the update is there, the circuit breaker does its work.
        while stage.script.with(|state| state.calls.iter().all(|(name, _)| name != "UpdateService")) {
            tokio::task::yield_now().await;
        }
        stage.script.roll_back("web", WEB_1);
    };
    let (outcome, ()) = tokio::join!(stage.sync(&bad), rolled_back);
    let Ok(Outcome::RolledBack { cause, to }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(to.number, 1);
    assert_eq!(
        cause.summary,
        "ECS rolled the deployment of web:2 to service web back: ECS deployment circuit breaker: tasks failed to start"
    );
    // ECS went back by itself; Minato follows that and starts no deployment of its own.
    assert_eq!(stage.script.written(), ["RegisterTaskDefinition", "UpdateService"]);
    assert_eq!(stage.sync(&web("web:1")).await.unwrap().cause(), None);
    assert_eq!(stage.script.written(), [""; 0]);
}

#[tokio::test]
async fn what_is_in_no_file_any_more_is_pruned_and_never_deregistered() {
    let stage = Stage::new().await;
    let [definition, web] = web("web:1");
    let second = service("second", json!({}));
    let third = service("third", json!({}));
    stage.sync(&[definition.clone(), web.clone(), second, third]).await.unwrap();
    stage.script.writes();
    stage.sync(&[definition, web]).await.unwrap();
    let writes = stage.script.writes();
    let told: Vec<String> =
        writes.iter().map(|(name, body)| format!("{name} {} {}", body["service"], body["force"])).collect();
    assert_eq!(told, [r#"DeleteService "third" true"#, r#"DeleteService "second" true"#]);
}

#[tokio::test]
async fn a_service_that_failed_is_deployed_again_when_asked_again() {
    let stage = Stage::new().await;
    stage.script.with(|state| state.rollout = "FAILED".into());
    let Ok(Outcome::Failed { cause }) = stage.sync(&web("web:1")).await else { panic!("it failed") };
    assert_eq!(cause.summary, "the deployment of web:1 to service web failed: ECS gave it up");
    stage.script.writes();
    stage.script.with(|state| state.rollout = "COMPLETED".into());
    assert!(stage.sync(&web("web:1")).await.unwrap().is_healthy());
    let writes = stage.script.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].1["forceNewDeployment"], true);
}
