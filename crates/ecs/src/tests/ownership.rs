//! Whose a service is.

use minato_sync::{TRACKING_ANNOTATION, Target as _};
use serde_json::json;

use super::stage::{Stage, definition, service, web};

#[tokio::test]
async fn a_service_says_whose_it_is() {
    let stage = Stage::new().await;
    stage.sync(&web("web:1")).await.unwrap();
    let tags = stage.script.with(|state| state.services["web"]["tags"].clone());
    let id = json!({"key": TRACKING_ANNOTATION, "value": "shop:ecs.amazonaws.com/Service:/web"});
    assert!(tags.as_array().unwrap().contains(&id), "{tags}");
    let live = stage.target.live(&stage.owner()).await.unwrap();
    let keys: Vec<String> = live.iter().map(|object| object.key().to_string()).collect();
    assert_eq!(keys, ["ecs.amazonaws.com/TaskDefinition web", "ecs.amazonaws.com/Service web"]);
}

#[tokio::test]
async fn a_service_of_nobody_is_taken_over_and_one_of_another_application_is_not() {
    let stage = Stage::new().await;
    stage.sync(&web("web:1")).await.unwrap();
    let other = Stage::over(stage.script.again(), "other");
    let wanted = [definition("other", "web:1"), service("web", json!({"taskDefinition": "other"}))];
    stage.script.writes();
    let error = other.sync(&wanted).await.unwrap_err();
    let told = "ecs.amazonaws.com/Service web: it belongs to application shop; give it another name, or delete it there first";
    assert_eq!(error.to_string(), told);
    assert_eq!(other.script.written(), [""; 0]);
    assert!(other.target.live(&other.owner()).await.unwrap().iter().all(|object| object.name() != "web"));
    other.target.delete(wanted[1].key(), &other.owner()).await.unwrap();
    assert_eq!(other.script.with(|state| state.services["web"]["status"].clone()), "ACTIVE");

    other.script.with(|state| state.services.get_mut("web").unwrap()["tags"] = json!([]));
    assert!(other.sync(&wanted).await.unwrap().is_healthy());
    assert_eq!(other.target.live(&other.owner()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_an_object_says_about_its_removal_is_kept_at_the_service() {
    let stage = Stage::new().await;
    let keep = json!({"argocd.argoproj.io/sync-options": "Prune=false"});
    let kept = service("kept", json!({})).with("/metadata/annotations", keep).unwrap();
    let [definition, web] = web("web:1");
    stage.sync(&[definition.clone(), web.clone(), kept]).await.unwrap();
    stage.script.writes();
    stage.sync(&[definition, web]).await.unwrap();
    assert_eq!(stage.script.written(), [""; 0]);
}
