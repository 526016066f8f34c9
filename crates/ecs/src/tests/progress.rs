//! Following a deployment over the API.

use minato_sync::{Applied, Cause, Progress, Target as _};
use serde_json::{Value, json};

use super::stage::{Stage, web};

/// A stage whose service is being deployed, and that change.
async fn deploying() -> (Stage, Applied) {
    let stage = Stage::new().await;
    stage.script.with(|state| state.rollout = "IN_PROGRESS".into());
    let objects = web("web:1");
    let mut context = stage.context(&objects);
    context.applied.push(stage.target.apply(&objects[0], &context).await.unwrap());
    let applied = stage.target.apply(&objects[1], &context).await.unwrap();
    (stage, applied)
}

async fn look(stage: &Stage, applied: &Applied) -> Progress {
    stage.target.progress(&applied.token).await.unwrap()
}

fn failure(progress: Progress) -> Cause {
    match progress {
        Progress::Failed { cause } => cause,
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[tokio::test]
async fn a_deployment_goes_its_way() {
    let (stage, applied) = deploying().await;
    let waiting = Progress::Progressing { message: "0 of 1 tasks running".into() };
    assert_eq!(look(&stage, &applied).await, waiting);
    stage.script.rollout("web", "COMPLETED", "");
    assert_eq!(look(&stage, &applied).await, Progress::Healthy);
}

#[tokio::test]
async fn a_deployment_that_somebody_replaced_is_a_failure() {
    let (stage, applied) = deploying().await;
    stage.script.with(|state| {
        state.services.get_mut("web").unwrap()["deployments"] = json!([{"id": "ecs-svc/77", "status": "PRIMARY",
            "taskDefinition": "arn:x/web:9", "rolloutState": "COMPLETED"}]);
    });
    assert_eq!(
        failure(look(&stage, &applied).await).summary,
        "the deployment of web:1 to service web was replaced by deployment ecs-svc/77 of web:9 before it was done"
    );
}

#[tokio::test]
async fn a_failure_is_told_with_its_task_and_its_log() {
    let (stage, applied) = deploying().await;
    stage.script.rollout("web", "FAILED", "tasks failed to start.");
    stage.script.with(|state| {
        state.log_lines = vec!["starting".into(), "no database".into()];
        let task = |id: &str, deployment: &str| {
            json!({"taskArn": format!("arn:aws:ecs:eu-central-1:1:task/shop/{id}"), "startedBy": deployment,
                "stoppedAt": 5.0, "stoppedReason": "Essential container in task exited",
                "taskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1",
                "containers": [{"name": "web", "exitCode": 1}]})
        };
        state.stopped_tasks = vec![task("b", "ecs-svc/1"), task("a", "ecs-svc/0")];
    });
    let without_log = failure(look(&stage, &applied).await);
    assert_eq!(
        without_log.summary,
        "the deployment of web:1 to service web failed: tasks failed to start; container web exited with code 1"
    );
    assert_eq!(without_log.facts[0], ("task".to_owned(), "b".to_owned()));
    assert_eq!(without_log.log_lines, [""; 0]);
}

#[tokio::test]
async fn the_log_of_the_container_that_ended_is_read() {
    let stage = Stage::new().await;
    stage.script.with(|state| state.rollout = "FAILED".into());
    let log = json!({"logDriver": "awslogs", "options": {"awslogs-group": "/shop", "awslogs-region": "eu-west-1",
        "awslogs-stream-prefix": "ecs"}});
    let [definition, service] = web("web:1");
    let definition = definition.with("/spec/containerDefinitions/0/logConfiguration", log).unwrap();
    stage.script.with(|state| {
        state.log_lines = vec!["no database".into()];
        state.stopped_tasks =
            vec![json!({"taskArn": "arn:aws:ecs:eu-central-1:1:task/shop/b", "startedBy": "ecs-svc/1",
            "taskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:1",
            "containers": [{"name": "web", "exitCode": 1}]})];
    });
    let outcome = stage.sync(&[definition, service]).await.unwrap();
    assert_eq!(outcome.cause().unwrap().log_lines, ["no database"]);
    let asked =
        stage.script.with(|state| state.calls.iter().find(|(name, _)| name == "GetLogEvents").cloned());
    let expected =
        json!({"logGroupName": "/shop", "logStreamName": "ecs/web/b", "limit": 20, "startFromHead": false});
    assert_eq!(asked.unwrap().1, expected);
}

#[tokio::test]
async fn where_deployments_have_records_those_decide() {
    let check = async |status: &str, expected: fn(&Progress) -> bool| {
        let (stage, applied) = deploying().await;
        stage.script.with(|state| {
            state.service_deployments = Some(vec![record(status)]);
            // The service itself has gone on to something else.
            state.services.get_mut("web").unwrap()["deployments"][0]["id"] = json!("ecs-svc/77");
        });
        let progress = look(&stage, &applied).await;
        assert!(expected(&progress), "{status}: {progress:?}");
    };
    check("SUCCESSFUL", |progress| *progress == Progress::Healthy).await;
    check("IN_PROGRESS", |progress| matches!(progress, Progress::Progressing { .. })).await;
    check("ROLLBACK_SUCCESSFUL", |progress| matches!(progress, Progress::RolledBackByTarget { .. })).await;
    check("ROLLBACK_IN_PROGRESS", |progress| matches!(progress, Progress::RolledBackByTarget { .. })).await;
    check("STOPPED", |progress| matches!(progress, Progress::Failed { .. })).await;
}

fn record(status: &str) -> Value {
    json!({"serviceDeploymentArn": "arn:aws:ecs:eu-central-1:1:service-deployment/shop/web/x", "status": status,
        "targetServiceRevisionArn": "arn:aws:ecs:eu-central-1:1:service-revision/shop/web/1", "createdAt": 1000.6})
}

#[tokio::test]
async fn a_token_of_something_else_is_no_success() {
    let stage = Stage::new().await;
    let progress = stage.target.progress(&minato_sync::Token::new("{}")).await.unwrap();
    assert_eq!(failure(progress).summary, "\"{}\" is no change of ECS");
}
