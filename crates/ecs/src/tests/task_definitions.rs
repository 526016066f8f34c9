//! Task definitions: registered once, used again, never taken from others.

use minato_sync::{Outcome, Target};
use serde_json::json;

use super::stage::{Stage, definition, service, web};

#[tokio::test]
async fn a_field_that_nobody_here_knows_reaches_the_api() {
    let stage = Stage::new().await;
    stage.sync(&web("web:1")).await.unwrap();
    let (name, body) = stage.script.writes().remove(0);
    assert_eq!(name, "RegisterTaskDefinition");
    assert_eq!(body["aFieldOfTomorrow"], json!({"x": [1]}));
    assert_eq!(body["family"], "web");
}

#[tokio::test]
async fn a_revision_that_others_registered_is_taken_over_when_it_is_equal() {
    let stage = Stage::new().await;
    stage.sync(&web("web:1")).await.unwrap();
    // Nobody's: as a pipeline with the AWS CLI leaves it.
    stage.script.with(|state| {
        for answer in state.definitions.values_mut() {
            answer["tags"] = json!([]);
        }
        state.services.clear();
    });
    stage.script.writes();
    let stage = Stage::over(stage.script.again(), "shop");
    stage.sync(&web("web:1")).await.unwrap();
    assert_eq!(stage.script.written(), ["TagResource", "CreateService"]);
    assert_eq!(stage.sync(&web("web:1")).await.unwrap(), Outcome::Unchanged);
}

#[tokio::test]
async fn an_equal_revision_of_another_application_is_left_to_it() {
    let stage = Stage::new().await;
    stage.sync(&web("web:1")).await.unwrap();
    stage.script.writes();
    let other = Stage::over(stage.script.again(), "other");
    let mine = [definition("web", "web:1"), service("mine", json!({}))];
    other.sync(&mine).await.unwrap();
    assert_eq!(other.script.written(), ["RegisterTaskDefinition", "CreateService"]);
    assert_eq!(other.sync(&mine).await.unwrap(), Outcome::Unchanged);
}

#[tokio::test]
async fn a_definition_that_no_service_runs_is_the_newest_of_its_family() {
    let stage = Stage::new().await;
    let of = |image: &str| [definition("web", image)];
    stage.sync(&of("web:1")).await.unwrap();
    assert_eq!(stage.sync(&of("web:1")).await.unwrap(), Outcome::Unchanged);
    stage.sync(&of("web:2")).await.unwrap();
    // Whoever runs `web` gets the newest revision, so going back is a new one.
    stage.sync(&of("web:1")).await.unwrap();
    assert_eq!(stage.script.written(), ["RegisterTaskDefinition"; 3]);
    let other = Stage::over(stage.script.again(), "other");
    let outcome = other.sync(&of("web:3")).await.unwrap();
    let told = "ecs.amazonaws.com/TaskDefinition web: it belongs to application shop; give it another name, or delete it there first";
    assert_eq!(outcome.cause().map(|cause| cause.summary.as_str()), Some(told));
    stage.delete().await.unwrap();
    assert!(other.sync(&of("web:3")).await.unwrap().is_healthy());
}

#[tokio::test]
async fn what_ecs_would_refuse_is_refused_before_any_write() {
    let stage = Stage::new().await;
    let bad = definition("web", "web:1").with("/spec/containerDefinitions/0/image", json!(7)).unwrap();
    let error = stage.target.predict(&bad, None, &stage.context(&[])).await.unwrap_err();
    assert!(error.to_string().contains("`image`"), "{error}");
    let missing = service("web", json!({}));
    let error = stage.target.predict(&missing, None, &stage.context(&[])).await.unwrap_err();
    let told = "ecs.amazonaws.com/Service web: task definition web is neither among the files nor registered at ECS; add it to the files";
    assert_eq!(error.to_string(), told);
    assert_eq!(stage.script.written(), [""; 0]);
}

#[tokio::test]
async fn a_default_that_nobody_here_knows_is_no_difference() {
    let stage = Stage::new().await;
    stage.script.with(|state| state.unknown_default = Some(json!("on")));
    stage.sync(&web("web:1")).await.unwrap();
    assert_eq!(stage.script.written(), ["RegisterTaskDefinition", "TagResource", "CreateService"]);
    assert_eq!(stage.sync(&web("web:1")).await.unwrap(), Outcome::Unchanged);
    assert_eq!(stage.script.written(), [""; 0]);

    // Somebody makes another revision in the console, which copies the tags, and has the service run it.
    stage.script.with(|state| {
        let (arn, mut copy) =
            state.definitions.first_key_value().map(|(arn, copy)| (arn.clone(), copy.clone())).unwrap();
        let arn = format!("{}2", arn.strip_suffix('1').unwrap());
        copy["taskDefinition"]["taskDefinitionArn"] = json!(arn);
        copy["taskDefinition"]["revision"] = json!(2);
        copy["taskDefinition"]["containerDefinitions"][0]["user"] = json!("root");
        state.definitions.insert(arn.clone(), copy);
        state.services.get_mut("web").unwrap()["taskDefinition"] = json!(arn);
    });
    assert!(matches!(stage.sync(&web("web:1")).await.unwrap(), Outcome::Deployed(_)));
    let writes = stage.script.writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert!(writes[0].1["taskDefinition"].as_str().unwrap().ends_with("web:1"), "{writes:?}");
}
