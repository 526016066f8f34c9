//! A service definition becomes types.

use std::sync::Arc;

use minato_resource::SourceFile;
use minato_task_definition::{CircuitBreaker, ServiceDefinition, parse};

fn read(text: &str) -> (ServiceDefinition, Vec<String>) {
    let (objects, _) = parse(&Arc::new(SourceFile::new("a.json", text)));
    let (service, diagnostics) = ServiceDefinition::from_object(&objects[0]);
    (service.expect("a mapping"), diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn everything_that_is_read() {
    let (service, told) = read(
        r#"{"serviceName": "web", "cluster": "main", "taskDefinition": "arn:aws:ecs:r:1:task-definition/web-task:7",
            "desiredCount": 3, "launchType": "FARGATE", "healthCheckGracePeriodSeconds": 20,
            "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 150,
                "deploymentCircuitBreaker": {"enable": true, "rollback": true}},
            "loadBalancers": [{"targetGroupArn": "arn:tg", "containerName": "web", "containerPort": 8080}],
            "serviceRegistries": [{"registryArn": "arn:sr"}],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "assignPublicIp": "ENABLED"}}}"#,
    );
    assert_eq!(told, [""; 0]);
    assert_eq!((service.family(), service.desired_count), (Some("web-task"), Some(3)));
    let deployment = &service.deployment_configuration;
    assert_eq!((deployment.minimum_healthy_percent, deployment.maximum_percent), (50, 150));
    assert_eq!(deployment.circuit_breaker, Some(CircuitBreaker { enable: true, rollback: true }));
    assert_eq!(service.load_balancers[0].container_port, Some(8080));
    assert!(service.network_configuration.is_some_and(|network| network.assign_public_ip));
}

#[test]
fn what_is_not_said_has_the_defaults_of_ecs() {
    let (service, _) = read(r#"{"serviceName": "web", "taskDefinition": "web"}"#);
    let deployment = &service.deployment_configuration;
    assert_eq!(
        (service.desired_count, deployment.minimum_healthy_percent, deployment.maximum_percent),
        (None, 100, 200)
    );
}

#[test]
fn a_rolling_update_that_cannot_move_is_refused() {
    let (_, told) = read(
        "{\"serviceName\": \"web\", \"deploymentConfiguration\": {\n\"minimumHealthyPercent\": 100,\n\"maximumPercent\": 100}}",
    );
    assert_eq!(
        told,
        [
            "a.json:3:19: error[ecs-deployment]: a rolling update cannot move: at least 100 % must stay and at most 100 % may \
          be there"
        ]
    );
}
