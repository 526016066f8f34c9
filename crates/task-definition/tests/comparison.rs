//! What a file says and what ECS answers for it are one revision.

use minato_task_definition::{creation, normalise, normalise_service, registration};
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

#[test]
fn defaults_that_ecs_adds_are_no_difference() {
    same(
        json!({"containerDefinitions": [{"name": "a", "mountPoints": [{"sourceVolume": "v"}],
                "healthCheck": {"command": ["CMD", "a"]}}],
            "volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs"}}]}),
        json!({"networkMode": "bridge", "enableFaultInjection": false,
            "containerDefinitions": [{"name": "a", "mountPoints": [{"sourceVolume": "v", "readOnly": false}],
                "healthCheck": {"command": ["CMD", "a"], "startPeriod": 0}}],
            "volumes": [{"name": "v", "host": {}, "efsVolumeConfiguration": {"fileSystemId": "fs", "rootDirectory": "/"}}]}),
    );
    different(json!({"enableFaultInjection": true}), json!({}));
    different(json!({"networkMode": "host"}), json!({}));
}

#[test]
fn a_registration_is_the_document_without_answers() {
    let document = json!({"family": "web", "revision": 7, "status": "ACTIVE", "cpu": 256, "memory": "2GB",
        "taskRoleArn": null, "brandNew": {"a": [null, {"b": null}]}, "volumes": []});
    let expected = json!({"family": "web", "cpu": "256", "memory": "2048", "brandNew": {"a": [null, {}]}, "volumes": []});
    assert_eq!(registration(&document), expected);
    assert_eq!(registration(&json!("no mapping")), json!("no mapping"));
}

#[test]
fn a_service_as_ecs_tells_it_is_the_service_that_was_created() {
    let created = json!({
        "serviceName": "web", "cluster": "main", "taskDefinition": "web:7", "desiredCount": 2, "role": "shop-role",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["b", "a"]}},
        "loadBalancers": [{"targetGroupArn": "z", "containerPort": 1}, {"targetGroupArn": "a", "containerPort": 1}],
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}],
        "serviceConnectConfiguration": {"enabled": true}, "clientToken": "x", "forceNewDeployment": true,
    });
    let told = json!({
        "serviceArn": "arn:s", "clusterArn": "arn:c", "serviceName": "web", "status": "ACTIVE", "runningCount": 1,
        "pendingCount": 1, "createdAt": 1.5, "createdBy": "arn:x", "events": [{"message": "m"}], "taskSets": [],
        "taskDefinition": "arn:aws:ecs:r:1:task-definition/web:7", "desiredCount": 2,
        "roleArn": "arn:aws:iam::1:role/shop-role",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["a", "b"], "assignPublicIp": "DISABLED"}},
        "loadBalancers": [{"targetGroupArn": "a", "containerPort": 1}, {"targetGroupArn": "z", "containerPort": 1}],
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 0, "base": 0}],
        "deployments": [{"status": "ACTIVE", "serviceConnectConfiguration": {"enabled": false}},
            {"status": "PRIMARY", "serviceConnectConfiguration": {"enabled": true}}],
        "tags": [{"key": "a", "value": "b"}], "currentServiceDeployment": "arn:d", "platformFamily": "Linux",
    });
    assert_eq!(normalise_service(&created), normalise_service(&told));
}

#[test]
fn in_a_service_an_empty_list_is_said_and_null_is_not() {
    let service = json!({"loadBalancers": [], "serviceRegistries": null, "brandNew": {"a": 1}});
    assert_eq!(normalise_service(&service), json!({"loadBalancers": [], "brandNew": {"a": 1}}));
}

#[test]
fn the_role_that_ecs_took_by_itself_is_not_asked_for() {
    for (role, expected) in [
        ("arn:aws:iam::1:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS", json!({})),
        ("arn:aws:iam::1:role/path/shop", json!({"role": "arn:aws:iam::1:role/path/shop"})),
    ] {
        assert_eq!(creation(&json!({"roleArn": role})), expected);
    }
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
        let once = normalise_service(&value);
        prop_assert_eq!(normalise_service(&once), once);
    }
}
