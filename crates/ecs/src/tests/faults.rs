//! An API that throttles, fails, talks nonsense, or is not there.

use minato_sync::{Outcome, Redactor, SyncError, Target as _, TargetError};
use serde_json::json;

use super::stage::{Stage, definition, service, target, web};
use crate::Options;

const THROTTLED: &str = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;

impl Stage {
    fn faults(&self, operation: &str, status: u16, body: &str, times: usize) {
        let fault = (operation.to_owned(), status, body.to_owned());
        self.script.with(|state| state.faults.extend(std::iter::repeat_n(fault, times)));
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let stage = Stage::new().await;
    stage.faults("ListServices", 400, THROTTLED, 2);
    stage.faults("DescribeTaskDefinition", 503, "", 1);
    stage.faults("RegisterTaskDefinition", 400, THROTTLED, 1);
    stage.faults("CreateService", 500, r#"{"__type":"ServerException"}"#, 1);
    assert!(stage.sync(&web("web:1")).await.unwrap().is_healthy());
    assert_eq!(stage.sync(&web("web:1")).await.unwrap(), Outcome::Unchanged);
}

#[tokio::test]
async fn what_does_not_pass_is_said_and_the_next_sync_completes() {
    let stage = Stage::new().await;
    stage.faults("RegisterTaskDefinition", 400, THROTTLED, 100);
    let error = stage.sync(&web("web:1")).await.unwrap_err();
    assert!(matches!(error, SyncError::Target(TargetError::Unavailable { .. })), "{error:?}");
    assert_eq!(
        error.to_string(),
        "ecs://eu-central-1/shop: RegisterTaskDefinition: ThrottlingException: Rate exceeded"
    );
    stage.script.with(|state| state.faults.clear());
    stage.script.writes();
    assert!(stage.sync(&web("web:1")).await.unwrap().is_healthy());
    assert_eq!(stage.script.written(), ["RegisterTaskDefinition", "CreateService"]);
}

/// The API did it and its answer got lost, as it does to a process that is killed right after: at each write, it is not
/// done twice.
#[tokio::test]
async fn what_was_done_and_not_answered_is_not_done_again() {
    let stage = Stage::new().await;
    let lose = |operations: &[&str]| {
        let operations: Vec<String> = operations.iter().map(|&name| name.to_owned()).collect();
        stage.script.with(|state| state.lost_answers = operations);
    };
    stage.script.with(|state| state.unknown_default = Some(json!("on")));
    lose(&["RegisterTaskDefinition", "CreateService", "TagResource"]);
    assert!(stage.sync(&web("web:1")).await.unwrap().is_healthy());
    // The mark that a revision needs is written after it; a revision that died before that is registered again.
    assert_eq!(stage.script.with(|state| (state.definitions.len(), state.services.len())), (2, 1));
    assert_eq!(stage.sync(&web("web:1")).await.unwrap(), Outcome::Unchanged);

    stage.script.with(|state| state.unknown_default = None);
    lose(&["RegisterTaskDefinition", "UpdateService", "TagResource"]);
    let mut objects = web("web:2");
    objects[1] = service("web", json!({"desiredCount": 3}));
    stage.script.writes();
    assert!(stage.sync(&objects).await.unwrap().is_healthy());
    assert_eq!(stage.script.written(), ["RegisterTaskDefinition", "UpdateService", "TagResource"]);
    assert_eq!(stage.sync(&objects).await.unwrap(), Outcome::Unchanged);

    lose(&["DeleteService", "UntagResource"]);
    stage.delete().await.unwrap();
    assert_eq!(stage.target.live(&stage.owner()).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_refusal_is_the_objects_and_an_unknown_cluster_is_not() {
    let stage = Stage::new().await;
    stage.faults(
        "CreateService",
        400,
        r#"{"__type":"InvalidParameterException","message":"No such role."}"#,
        1,
    );
    let outcome = stage.sync(&web("web:1")).await.unwrap();
    let told = "ecs.amazonaws.com/Service web: CreateService: InvalidParameterException: No such role.";
    assert_eq!(outcome.cause().map(|cause| cause.summary.as_str()), Some(told));

    stage.faults(
        "ListServices",
        400,
        r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#,
        1,
    );
    let error = stage.target.live(&stage.owner()).await.unwrap_err();
    assert!(matches!(error, TargetError::Broken { .. }));
    assert_eq!(
        error.to_string(),
        "ecs://eu-central-1/shop: ListServices: ClusterNotFoundException: Cluster not found."
    );
}

#[tokio::test]
async fn nonsense_is_refused() {
    let stage = Stage::new().await;
    for (body, told) in [("[]", "no JSON object"), ("<html>", "no JSON"), (r#"{"serviceArns": "#, "no JSON")]
    {
        stage.faults("ListServices", 200, body, 1);
        let error = stage.target.live(&stage.owner()).await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    // An answer of the right form with the wrong content names nothing.
    stage.faults("ListServices", 200, r#"{"serviceArns": {"a": 1}, "nextToken": 7}"#, 1);
    assert_eq!(stage.target.live(&stage.owner()).await.unwrap().len(), 0);
    // A list without an end.
    stage.faults("ListServices", 200, r#"{"serviceArns": [], "nextToken": "0"}"#, 100);
    let error = stage.target.live(&stage.owner()).await.unwrap_err().to_string();
    assert!(error.contains("more than 100 pages"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_refused() {
    let stage = Stage::new().await;
    let long = format!(r#"{{"serviceArns": ["{}"]}}"#, "x".repeat(17 << 20));
    stage.faults("ListServices", 200, &long, 1);
    let error = stage.target.live(&stage.owner()).await.unwrap_err().to_string();
    assert!(error.contains("longer than 16777216 bytes"), "{error}");
}

#[tokio::test]
async fn a_service_that_still_drains_is_waited_for() {
    let stage = Stage::new().await;
    stage.sync(&web("web:1")).await.unwrap();
    stage.script.with(|state| state.services.get_mut("web").unwrap()["status"] = json!("DRAINING"));
    let objects = [definition("web", "web:1"), service("web", json!({}))];
    let error = stage.target.apply(&objects[1], &stage.context(&objects)).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    stage.script.with(|state| state.services.get_mut("web").unwrap()["status"] = json!("INACTIVE"));
    assert!(stage.target.apply(&objects[1], &stage.context(&objects)).await.is_ok());
}

#[tokio::test]
async fn nobody_there_may_pass() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let options = Options { redactor: Redactor::new([3; 32]), families: Vec::new() };
    let owner = minato_sync::Owner::new("shop".parse().unwrap());
    let error = target(&address, options).live(&owner).await.unwrap_err();
    assert!(matches!(error, TargetError::Unavailable { .. }), "{error:?}");
}
