//! Whatever an API answers, nothing panics, and every bad end has a cause.

use proptest::prelude::*;
use serde_json::Value;

use crate::form::{live_service, live_task_definition};
use crate::progress::{Evidence, Standing, matching, standing, standing_of_own, task_of_interest};
use crate::revision::Revision;

/// Documents made of the names that are read, with values of any type.
fn answer() -> impl Strategy<Value = Value> {
    let names = "(deployments|events|message|id|status|rolloutState|rolloutStateReason|taskDefinition|desiredCount|runningCount|failedTasks|serviceName|tags|key|value|family|revision|taskDefinitionArn|containers|name|exitCode|startedBy|stoppedAt|createdAt|loadBalancers|networkConfiguration|serviceDeploymentArn)";
    let texts =
        "(PRIMARY|ACTIVE|COMPLETED|FAILED|IN_PROGRESS|ecs-svc/1|rolling back to ecs-svc/1|\\(a\\) \\(|é|)";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_answer_panics(answer in answer()) {
        let found = standing(Some(&answer), Some("ecs-svc/1"));
        let task = task_of_interest(vec![answer.clone(), answer.clone()], "ecs-svc/1");
        let evidence = Evidence { service: Some(answer.clone()), task: task.or(Some(answer.clone())), ..Evidence::default() };
        prop_assert_eq!(evidence.cause("web", None, &found).is_none(), matches!(found, Standing::Completed | Standing::Underway(_)));
        standing_of_own(&answer);
        matching(std::slice::from_ref(&answer), "ecs-svc/1", Some(1.0));
        live_service(&answer);
        Revision::read(&answer).as_ref().and_then(live_task_definition);
    }
}
