//! Services: only what differs is sent, and what is not the file's is left alone.

use minato_sync::{Outcome, Target as _};
use serde_json::{Value, json};

use super::stage::{Stage, definition, service};

/// Brings out one document after the other; what was sent for the second.
async fn second_writes(prepare: impl Fn(&Stage), first: Value, second: Value) -> Vec<(String, Value)> {
    let stage = Stage::new().await;
    let objects = |more: Value| [definition("web", "web:1"), service("web", more)];
    assert!(stage.sync(&objects(first)).await.unwrap().is_healthy());
    stage.script.writes();
    prepare(&stage);
    let outcome = stage.sync(&objects(second.clone())).await.unwrap();
    assert!(outcome.is_healthy(), "{outcome:?}");
    let writes = stage.script.writes();
    // Whatever it was, it is done once.
    assert_eq!(stage.sync(&objects(second)).await.unwrap(), Outcome::Unchanged);
    assert_eq!(stage.script.written(), [""; 0]);
    writes.into_iter().filter(|(name, _)| name != "TagResource").collect()
}

fn sent(fields: Value) -> Vec<(String, Value)> {
    let mut body = json!({"cluster": "shop", "service": "web"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    vec![("UpdateService".to_owned(), body)]
}

#[tokio::test]
async fn fields_are_sent_when_they_differ() {
    let check = async |first: Value, second: Value, expected: Vec<(String, Value)>| {
        let writes = second_writes(|_| {}, first.clone(), second.clone()).await;
        assert_eq!(writes, expected, "{first} → {second}");
    };
    check(json!({}), json!({"desiredCount": 3}), sent(json!({"desiredCount": 3}))).await;
    let balancer = json!([{"targetGroupArn": "tg", "containerName": "web", "containerPort": 80}]);
    check(
        json!({"loadBalancers": balancer}),
        json!({"loadBalancers": []}),
        sent(json!({"loadBalancers": []})),
    )
    .await;
    check(json!({"loadBalancers": balancer}), json!({}), vec![]).await;
    check(json!({"desiredCount": 2}), json!({}), vec![]).await;
    check(json!({}), json!({"tomorrow": {"a": 1}}), sent(json!({"tomorrow": {"a": 1}}))).await;
    let role = json!({"role": "arn:aws:iam::123456789012:role/ecsServiceRole"});
    check(role.clone(), role, vec![]).await;
}

#[tokio::test]
async fn a_field_that_ecs_never_tells_again_is_sent_once() {
    let grace = |seconds: u32| json!({"healthCheckGracePeriodSeconds": seconds});
    assert_eq!(second_writes(|_| {}, grace(10), grace(10)).await, vec![]);
    assert_eq!(second_writes(|_| {}, grace(10), grace(20)).await, sent(grace(20)));
}

#[tokio::test]
async fn autoscaling_keeps_its_number_of_tasks() {
    let scaled = |autoscaled: bool| {
        move |stage: &Stage| {
            stage.script.with(|state| {
                state.services.get_mut("web").unwrap()["desiredCount"] = json!(7);
                state.scalable.extend(autoscaled.then(|| "service/shop/web".to_owned()));
            });
        }
    };
    let count = || json!({"desiredCount": 2});
    assert_eq!(second_writes(scaled(true), count(), count()).await, vec![]);
    assert_eq!(second_writes(scaled(false), count(), count()).await, sent(count()));
}

#[tokio::test]
async fn where_nobody_may_say_whether_autoscaling_is_on_the_count_is_not_guessed() {
    let stage = Stage::new().await;
    let objects = |count: u32| [definition("web", "web:1"), service("web", json!({"desiredCount": count}))];
    stage.sync(&objects(2)).await.unwrap();
    stage.script.writes();
    let denied = r#"{"__type": "AccessDeniedException", "message": "not authorized"}"#;
    stage.script.with(|state| state.faults.push(("DescribeScalableTargets".into(), 400, denied.into())));
    let error = stage.sync(&objects(3)).await.unwrap_err().to_string();
    let told = "ecs.amazonaws.com/Service web: whether autoscaling moves `desiredCount` can't be asked: DescribeScalableTargets: AccessDeniedException: not authorized; allow that, or leave the field out of the file";
    assert_eq!(error, told);
    assert_eq!(stage.script.written(), [""; 0]);
}

#[tokio::test]
async fn a_change_that_ecs_can_not_make_is_refused_before_any_write() {
    let stage = Stage::new().await;
    let objects = |kind: &str| [definition("web", "web:1"), service("web", json!({"launchType": kind}))];
    stage.sync(&objects("EC2")).await.unwrap();
    stage.script.writes();
    let error = stage.sync(&objects("FARGATE")).await.unwrap_err().to_string();
    assert!(
        error.starts_with("ecs.amazonaws.com/Service web: `launchType` is EC2 and can't become FARGATE"),
        "{error}"
    );
    assert_eq!(stage.script.written(), [""; 0]);
}

#[tokio::test]
async fn tags_of_others_stay() {
    let stage = Stage::new().await;
    let objects = |team: &str| {
        [definition("web", "web:1"), service("web", json!({"tags": [{"key": "team", "value": team}]}))]
    };
    stage.sync(&objects("a")).await.unwrap();
    stage.script.with(|state| {
        state.services.get_mut("web").unwrap()["tags"]
            .as_array_mut()
            .unwrap()
            .push(json!({"key": "cost", "value": "7"}));
    });
    assert_eq!(stage.sync(&objects("a")).await.unwrap(), Outcome::Unchanged);
    stage.script.writes();
    stage.sync(&objects("b")).await.unwrap();
    assert_eq!(stage.script.written(), ["TagResource"]);
    let tags = stage.script.with(|state| state.services["web"]["tags"].to_string());
    assert!(
        tags.contains(r#"{"key":"cost","value":"7"}"#) && tags.contains(r#"{"key":"team","value":"b"}"#),
        "{tags}"
    );
}

#[tokio::test]
async fn more_services_than_fit_in_one_answer_are_all_seen() {
    let stage = Stage::new().await;
    let mut objects = vec![definition("web", "web:1")];
    objects.extend((0..25).map(|number| service(&format!("web-{number}"), json!({}))));
    stage.sync(&objects).await.unwrap();
    stage.script.writes();
    assert_eq!(stage.sync(&objects).await.unwrap(), Outcome::Unchanged);
    assert_eq!(stage.script.written(), [""; 0]);
}

#[tokio::test]
async fn an_object_and_its_document_have_one_name() {
    let stage = Stage::new().await;
    let other = service("web", json!({"serviceName": "shop"}));
    let error = stage.target.predict(&other, None, &stage.context(&[])).await.unwrap_err();
    let told = "ecs.amazonaws.com/Service web: `serviceName` is shop, but the object is named web; give both one name";
    assert_eq!(error.to_string(), told);
}
