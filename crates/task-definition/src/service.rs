//! A service: how many tasks, and how they are replaced.

use std::cell::RefCell;

use minato_resource::{Diagnostic, Object};

use crate::document::family_of;
use crate::fields::Fields;

/// The fields of `CreateService` that Minato reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDefinition {
    /// Name; the object's when the document does not say one.
    pub service_name: String,
    /// `family`, `family:revision` or an ARN.
    pub task_definition: Option<String>,
    /// How many tasks; `None` leaves it to autoscaling, and means 1 for a new service.
    pub desired_count: Option<u32>,
    /// How tasks are replaced.
    pub deployment_configuration: DeploymentConfiguration,
    /// Target groups that send to it.
    pub load_balancers: Vec<LoadBalancer>,
    /// Cloud Map services under which its tasks are found.
    pub service_registries: Vec<ServiceRegistry>,
    /// Subnets and security groups of `awsvpc` tasks.
    pub network_configuration: Option<AwsVpcConfiguration>,
    /// `FARGATE`, `EC2`, `EXTERNAL`.
    pub launch_type: Option<String>,
    /// Seconds in which failing load balancer checks do not count.
    pub health_check_grace_period_seconds: Option<u64>,
    /// The cluster, when the document says it.
    pub cluster: Option<String>,
}

/// `deploymentConfiguration`, with ECS's defaults for rolling updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentConfiguration {
    /// Tasks that stay healthy, in percent of the desired count; 100 unless said.
    pub minimum_healthy_percent: u32,
    /// Tasks that may be there, in percent of the desired count; 200 unless said.
    pub maximum_percent: u32,
    /// Gives a failing deployment up.
    pub circuit_breaker: Option<CircuitBreaker>,
}

/// `deploymentCircuitBreaker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Whether failing deployments are given up.
    pub enable: bool,
    /// Whether the last good one comes back then.
    pub rollback: bool,
}

/// A target group that sends to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// ARN of the target group.
    pub target_group_arn: Option<String>,
    /// The container that gets the traffic.
    pub container_name: Option<String>,
    /// Its port.
    pub container_port: Option<u16>,
}

/// A Cloud Map service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRegistry {
    /// Its ARN.
    pub registry_arn: Option<String>,
    /// The container that it points at.
    pub container_name: Option<String>,
    /// The container's port.
    pub container_port: Option<u16>,
}

/// `networkConfiguration.awsvpcConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsVpcConfiguration {
    /// Subnets.
    pub subnets: Vec<String>,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// Whether tasks get a public address.
    pub assign_public_ip: bool,
}

impl ServiceDefinition {
    /// Reads the types out of an object of kind `Service` in the group of ECS. `None` only when the object holds no
    /// mapping at all.
    pub fn from_object(object: &Object) -> (Option<ServiceDefinition>, Vec<Diagnostic>) {
        let diagnostics = RefCell::new(Vec::new());
        let service = Fields::of(object, &diagnostics).map(|fields| read(object, &fields));
        (service, diagnostics.into_inner())
    }

    /// The family of the task definition that it runs.
    pub fn family(&self) -> Option<&str> {
        self.task_definition.as_deref().map(family_of)
    }
}

fn read(object: &Object, fields: &Fields<'_>) -> ServiceDefinition {
    let deployment = fields.mapping("deploymentConfiguration");
    let network =
        fields.mapping("networkConfiguration").and_then(|network| network.mapping("awsvpcConfiguration"));
    ServiceDefinition {
        service_name: fields.text("serviceName").unwrap_or_else(|| object.name().to_owned()),
        task_definition: fields.text("taskDefinition"),
        desired_count: fields.integer("desiredCount"),
        deployment_configuration: deployment.as_ref().map(deployment_configuration).unwrap_or_default(),
        load_balancers: fields.list("loadBalancers", load_balancer),
        service_registries: fields.list("serviceRegistries", service_registry),
        network_configuration: network.as_ref().map(aws_vpc),
        launch_type: fields.text("launchType"),
        health_check_grace_period_seconds: fields.integer("healthCheckGracePeriodSeconds"),
        cluster: fields.text("cluster"),
    }
}

impl Default for DeploymentConfiguration {
    fn default() -> DeploymentConfiguration {
        DeploymentConfiguration { minimum_healthy_percent: 100, maximum_percent: 200, circuit_breaker: None }
    }
}

fn deployment_configuration(fields: &Fields<'_>) -> DeploymentConfiguration {
    let defaults = DeploymentConfiguration::default();
    let minimum = fields.integer("minimumHealthyPercent").unwrap_or(defaults.minimum_healthy_percent);
    let maximum = fields.integer("maximumPercent").unwrap_or(defaults.maximum_percent);
    if maximum <= minimum && maximum <= 100 {
        let message = format!(
            "a rolling update cannot move: at least {minimum} % must stay and at most {maximum} % may be there"
        );
        fields.error("ecs-deployment", "maximumPercent", message);
    }
    let breaker = fields.mapping("deploymentCircuitBreaker").map(|breaker| CircuitBreaker {
        enable: breaker.boolean("enable").unwrap_or(false),
        rollback: breaker.boolean("rollback").unwrap_or(false),
    });
    DeploymentConfiguration {
        minimum_healthy_percent: minimum,
        maximum_percent: maximum,
        circuit_breaker: breaker,
    }
}

fn load_balancer(fields: &Fields<'_>) -> LoadBalancer {
    LoadBalancer {
        target_group_arn: fields.text("targetGroupArn"),
        container_name: fields.text("containerName"),
        container_port: fields.integer("containerPort"),
    }
}

fn service_registry(fields: &Fields<'_>) -> ServiceRegistry {
    ServiceRegistry {
        registry_arn: fields.text("registryArn"),
        container_name: fields.text("containerName"),
        container_port: fields.integer("containerPort"),
    }
}

fn aws_vpc(fields: &Fields<'_>) -> AwsVpcConfiguration {
    AwsVpcConfiguration {
        subnets: fields.texts("subnets"),
        security_groups: fields.texts("securityGroups"),
        assign_public_ip: fields.text("assignPublicIp").as_deref() == Some("ENABLED"),
    }
}
