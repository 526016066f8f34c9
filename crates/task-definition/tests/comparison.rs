//! What a file says and what ECS answers for it are one revision.

use minato_task_definition::normalise;
use proptest::prelude::*;
use serde_json::{Value, json};

fn same(left: Value, right: Value) {
    assert_eq!(normalise(&left), normalise(&right));
}

fn different(left: Value, right: Value) {
    assert_ne!(normalise(&left), normalise(&right));
}

#[test]
fn an_answer_equals_its_registration() {
    same(
        json!({
            "family": "web", "networkMode": "awsvpc", "cpu": "1 vCPU", "memory": "2GB",
            "containerDefinitions": [{
                "name": "web", "image": "i",
                "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
                "portMappings": [{"containerPort": 80}],
                "healthCheck": {"command": ["CMD", "a"]},
            }],
        }),
        json!({
            "taskDefinitionArn": "arn:aws:ecs:r:1:task-definition/web:7", "revision": 7, "status": "ACTIVE",
            "requiresAttributes": [{"name": "x"}], "compatibilities": ["EC2", "FARGATE"],
            "registeredAt": 1.5, "registeredBy": "arn:x",
            "family": "web", "networkMode": "awsvpc", "cpu": "1024", "memory": "2048", "volumes": [],
            "placementConstraints": [],
            "containerDefinitions": [{
                "name": "web", "image": "i", "cpu": 0, "essential": true, "mountPoints": [], "volumesFrom": [],
                "systemControls": [],
                "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
                "healthCheck": {"command": ["CMD", "a"], "interval": 30, "timeout": 5, "retries": 3},
            }],
        }),
    );
}

#[test]
fn a_field_that_is_not_known_here_counts() {
    different(json!({"family": "web", "brandNew": 1}), json!({"family": "web", "brandNew": 2}));
    different(json!({"family": "web"}), json!({"family": "web", "brandNew": 2}));
}

#[test]
fn the_order_of_containers_and_commands_counts() {
    let task = |names: [&str; 2]| json!({"containerDefinitions": names.map(|name| json!({"name": name}))});
    different(task(["a", "b"]), task(["b", "a"]));
    let command = |words: [&str; 2]| json!({"containerDefinitions": [{"name": "a", "command": words}]});
    different(command(["a", "b"]), command(["b", "a"]));
}

#[test]
fn the_machines_port_counts_under_bridge() {
    let task = |mode: &str, host: Value| json!({"networkMode": mode, "containerDefinitions": [{"portMappings": [{"containerPort": 80, "hostPort": host}]}]});
    different(task("bridge", json!(8080)), task("bridge", json!(null)));
    same(task("bridge", json!(0)), task("bridge", json!(null)));
    same(task("awsvpc", json!(80)), task("awsvpc", json!(null)));
}

fn value() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "family",
        "cpu",
        "memory",
        "networkMode",
        "containerDefinitions",
        "portMappings",
        "environment",
        "name",
        "hostPort",
        "containerPort",
        "healthCheck",
        "volumes",
        "tags",
        "essential",
        "other",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0u64..3).prop_map(Value::from),
        prop::sample::select(vec!["awsvpc", "bridge", "1 vCPU", "2GB", "a", ""]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(|fields| fields
                .into_iter()
                .map(|(name, field)| (name.to_owned(), field))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn normal_form_is_stable(value in value()) {
        let once = normalise(&value);
        prop_assert_eq!(normalise(&once), once);
    }
}
