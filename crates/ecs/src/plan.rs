//! What to send for a service: a pure decision over what is live and what a file asks for.

use serde_json::{Map, Value, json};

/// Fields whose change starts a deployment (API reference, `UpdateService`). The others take effect on what runs.
const DEPLOYING: [&str; 8] = [
    "taskDefinition",
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

/// Fields that ECS takes at creation only.
const CREATE_ONLY: [&str; 3] = ["launchType", "schedulingStrategy", "role"];

/// What `schedulingStrategy` is when nobody says.
const REPLICA: &str = "REPLICA";

/// Inputs of the decision about a service that is there; both in normal form.
pub(crate) struct Situation<'a> {
    /// What is live.
    pub live: &'a Value,
    /// What the file asks for.
    pub wish: &'a Value,
    /// What live becomes ([`crate::form::laid_over`]).
    pub predicted: &'a Value,
    /// Somebody asks once more for what failed.
    pub again: bool,
}

/// What can't be done to a service that is there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// A field that can't change.
    #[error(
        "`{field}` is {live} and can't become {wish}: ECS takes it only when a service is created; take the change back, or delete the service first (its tasks stop)"
    )]
    CreateOnly { field: &'static str, live: String, wish: String },
    /// Somebody else deploys.
    #[error(
        "its deployment controller is {controller}, so `{field}` can't be changed by an update of the service: deploy it with {controller}, or set `deploymentController` to ECS"
    )]
    Controller { controller: String, field: String },
}

/// The fields of the `UpdateService` that is needed; `None` when nothing is.
pub(crate) fn update(situation: &Situation) -> Result<Option<Map<String, Value>>, PlanError> {
    check(situation)?;
    let mut fields = Map::new();
    for name in changed(situation) {
        if let Some(value) = situation.wish.get(name) {
            fields.insert(name.clone(), value.clone());
        }
    }
    let deploys = fields.keys().any(|name| DEPLOYING.contains(&name.as_str()));
    if situation.again && !deploys && controller(situation.live) == "ECS" {
        fields.insert("forceNewDeployment".to_owned(), Value::Bool(true));
    }
    Ok((!fields.is_empty()).then_some(fields))
}

/// Whether the live service can become what is asked for.
pub(crate) fn check(situation: &Situation) -> Result<(), PlanError> {
    for field in CREATE_ONLY {
        let default = (field == "schedulingStrategy").then(|| Value::from(REPLICA));
        let Some(wish) = situation.wish.get(field) else { continue };
        let live = situation.live.get(field).or(default.as_ref());
        // Which role ECS took by itself, it does not tell.
        if live.is_none() && field == "role" || live == Some(wish) {
            continue;
        }
        let live = live.map_or("not set".to_owned(), shown);
        return Err(PlanError::CreateOnly { field, live, wish: shown(wish) });
    }
    let controller = controller(situation.wish_or_live());
    let mut changed = changed(situation);
    match changed.find(|name| controller != "ECS" && DEPLOYING.contains(&name.as_str())) {
        Some(field) => Err(PlanError::Controller { controller: controller.to_owned(), field: field.clone() }),
        None => Ok(()),
    }
}

/// The fields of the `CreateService` for a document (`creation` of it): ECS wants a number of tasks said.
pub(crate) fn create(creation: Value) -> Map<String, Value> {
    let Value::Object(mut fields) = creation else { return Map::new() };
    let daemon = fields.get("schedulingStrategy").and_then(Value::as_str) == Some("DAEMON");
    if daemon {
        fields.shift_remove("desiredCount");
    } else {
        fields.entry("desiredCount").or_insert_with(|| json!(1));
    }
    fields
}

impl Situation<'_> {
    /// Where the deployment controller is said.
    fn wish_or_live(&self) -> &Value {
        if self.wish.get("deploymentController").is_some() { self.wish } else { self.live }
    }
}

/// The top-level fields of the file that are to change.
fn changed<'a>(situation: &'a Situation) -> impl Iterator<Item = &'a String> {
    let wished = situation.wish.as_object().into_iter().flatten().map(|(name, _)| name);
    wished.filter(|name| {
        let (live, predicted) = (situation.live.get(name.as_str()), situation.predicted.get(name.as_str()));
        let same = match (live, predicted) {
            (Some(live), Some(predicted)) => minato_sync::differences(live, predicted).is_empty(),
            (live, predicted) => live == predicted,
        };
        !same && !CREATE_ONLY.contains(&name.as_str())
    })
}

fn controller(service: &Value) -> &str {
    service.pointer("/deploymentController/type").and_then(Value::as_str).unwrap_or("ECS")
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::laid_over;
    use proptest::prelude::*;

    fn check_update(live: Value, wish: Value, again: bool, expected: &str) {
        let predicted = laid_over(&live, &wish, false);
        let situation = Situation { live: &live, wish: &wish, predicted: &predicted, again };
        let told = match update(&situation) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(fields)) => Value::Object(fields).to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected, "{live} ← {wish}");
    }

    #[test]
    fn only_what_differs_is_sent() {
        let live = json!({"taskDefinition": "web:1", "desiredCount": 2, "loadBalancers": [],
            "deploymentConfiguration": {"maximumPercent": 200, "strategy": "ROLLING"}, "schedulingStrategy": "REPLICA",
            "propagateTags": "NONE"});
        let check = |wish: Value, expected: &str| check_update(live.clone(), wish, false, expected);
        check(json!({"taskDefinition": "web:1", "desiredCount": 2, "loadBalancers": []}), "nothing");
        check(json!({}), "nothing");
        check(json!({"taskDefinition": "web:2"}), r#"{"taskDefinition":"web:2"}"#);
        check(json!({"taskDefinition": "web:1", "desiredCount": 3}), r#"{"desiredCount":3}"#);
        check(json!({"deploymentConfiguration": {"maximumPercent": 200}}), "nothing");
        check(
            json!({"deploymentConfiguration": {"maximumPercent": 150}}),
            r#"{"deploymentConfiguration":{"maximumPercent":150}}"#,
        );
        check(
            json!({"loadBalancers": [{"targetGroupArn": "tg"}]}),
            r#"{"loadBalancers":[{"targetGroupArn":"tg"}]}"#,
        );
        check(json!({"serviceRegistries": []}), "nothing");
        check(json!({"brandNew": {"x": 1}}), r#"{"brandNew":{"x":1}}"#);
    }

    #[test]
    fn an_empty_list_clears_and_silence_keeps() {
        let live = json!({"loadBalancers": [{"targetGroupArn": "tg", "containerPort": 80}]});
        check_update(live.clone(), json!({"loadBalancers": []}), false, r#"{"loadBalancers":[]}"#);
        check_update(live, json!({}), false, "nothing");
    }

    #[test]
    fn fields_of_creation_only_are_refused() {
        let refused = |field: &str, live: &str, wish: &str| {
            format!(
                "`{field}` is {live} and can't become {wish}: ECS takes it only when a service is created; take the change back, or delete the service first (its tasks stop)"
            )
        };
        check_update(
            json!({"launchType": "EC2"}),
            json!({"launchType": "FARGATE"}),
            false,
            &refused("launchType", "EC2", "FARGATE"),
        );
        check_update(
            json!({}),
            json!({"launchType": "FARGATE"}),
            false,
            &refused("launchType", "not set", "FARGATE"),
        );
        check_update(
            json!({}),
            json!({"schedulingStrategy": "DAEMON"}),
            false,
            &refused("schedulingStrategy", "REPLICA", "DAEMON"),
        );
        check_update(json!({}), json!({"schedulingStrategy": "REPLICA"}), false, "nothing");
        check_update(json!({"role": "a"}), json!({"role": "b"}), false, &refused("role", "a", "b"));
        check_update(json!({}), json!({"role": "b"}), false, "nothing");
    }

    #[test]
    fn what_failed_is_brought_out_again_when_somebody_asks() {
        let live = json!({"taskDefinition": "web:1", "desiredCount": 1});
        check_update(
            live.clone(),
            json!({"taskDefinition": "web:1"}),
            true,
            r#"{"forceNewDeployment":true}"#,
        );
        check_update(live.clone(), json!({"taskDefinition": "web:2"}), true, r#"{"taskDefinition":"web:2"}"#);
        check_update(
            live,
            json!({"desiredCount": 2}),
            true,
            r#"{"desiredCount":2,"forceNewDeployment":true}"#,
        );
    }

    #[test]
    fn what_another_controller_deploys_is_left_to_it() {
        let live = json!({"taskDefinition": "web:1", "desiredCount": 1, "deploymentController": {"type": "CODE_DEPLOY"}});
        let refused = "its deployment controller is CODE_DEPLOY, so `taskDefinition` can't be changed by an update of the service: deploy it with CODE_DEPLOY, or set `deploymentController` to ECS";
        check_update(live.clone(), json!({"taskDefinition": "web:2"}), false, refused);
        check_update(live.clone(), json!({"desiredCount": 2}), false, r#"{"desiredCount":2}"#);
        check_update(live, json!({"desiredCount": 1}), true, "nothing");
    }

    #[test]
    fn a_new_service_has_a_number_of_tasks_unless_it_is_a_daemon() {
        for (document, expected) in [
            (json!({"launchType": "EC2"}), json!({"launchType": "EC2", "desiredCount": 1})),
            (json!({"desiredCount": 0}), json!({"desiredCount": 0})),
            (
                json!({"schedulingStrategy": "DAEMON", "desiredCount": 3}),
                json!({"schedulingStrategy": "DAEMON"}),
            ),
        ] {
            assert_eq!(Value::Object(create(document)), expected);
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), (0u8..3).prop_map(Value::from), "[ab]".prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("(a|b|desiredCount)", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("(a|b|desiredCount|taskDefinition)", value, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        /// What ECS does with an update, done here: the second time there is nothing to send.
        #[test]
        fn an_update_is_needed_once(live in document(), wish in document()) {
            let predicted = laid_over(&live, &wish, false);
            let again = laid_over(&predicted, &wish, false);
            prop_assert_eq!(&again, &predicted);
            let situation = Situation { live: &predicted, wish: &wish, predicted: &again, again: false };
            prop_assert_eq!(update(&situation).unwrap(), None);
        }
    }
}
