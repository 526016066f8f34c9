//! One form for what a file says about a service and what `DescribeServices` answers for it.

use serde_json::{Map, Value};

use super::{default, mappings, sort_texts, without_null};
use crate::document::family_and_revision;

/// Fields that are no wish about the service: what only an answer has, what names the service, and what is about one
/// request (`clientToken`, `forceNewDeployment`). Tags are compared apart.
const OTHER_FIELDS: [&str; 21] = [
    "clientToken",
    "cluster",
    "clusterArn",
    "createdAt",
    "createdBy",
    "currentServiceDeployment",
    "currentServiceRevisions",
    "deployments",
    "events",
    "forceNewDeployment",
    "pendingCount",
    "platformFamily",
    "resourceManagementType",
    "runningCount",
    "service",
    "serviceArn",
    "serviceName",
    "status",
    "tags",
    "taskSets",
    "updatedAt",
];

/// What `DescribeServices` tells in the deployment and not in the service.
const DEPLOYMENT_FIELDS: [&str; 3] =
    ["serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"];

/// Lists whose order means nothing, and what their items are sorted by.
const SORTED: [(&str, &[&str]); 6] = [
    ("capacityProviderStrategy", &["capacityProvider"]),
    ("loadBalancers", &["targetGroupArn", "loadBalancerName", "containerName", "containerPort"]),
    ("placementConstraints", &["type", "expression"]),
    ("serviceRegistries", &["registryArn", "containerName"]),
    ("volumeConfigurations", &["name"]),
    ("vpcLatticeConfigurations", &["targetGroupArn", "portName"]),
];

/// The role that ECS takes by itself; it must not be asked for by name (API reference, `CreateService.role`).
const OWN_ROLE: &str = "AWSServiceRoleForECS";

/// The input of `CreateService` that a document stands for: as written, without `null` and without what only an answer
/// has. Name, cluster and tags are the caller's to add.
pub fn creation(service: &Value) -> Value {
    let mut value = without_null(service);
    if let Value::Object(fields) = &mut value {
        lift_from_deployment(fields);
        OTHER_FIELDS.iter().for_each(|name| {
            fields.shift_remove(*name);
        });
        let role = fields.shift_remove("roleArn");
        if let Some(role) = role.filter(|role| role.as_str().is_some_and(|role| !role.ends_with(OWN_ROLE))) {
            fields.entry("role").or_insert(role);
        }
    }
    value
}

/// Brings a service into one form: what [`creation`] leaves, with the task definition as `family[:revision]`, the role
/// by its name, and lists whose order means nothing sorted. Fields that are not known here stay as they are, and so
/// do empty lists, with which a file clears a field.
pub fn normalise_service(service: &Value) -> Value {
    let mut value = creation(service);
    let Value::Object(fields) = &mut value else { return value };
    if let Some(Value::String(text)) = fields.get_mut("taskDefinition") {
        *text = short(text);
    }
    if let Some(Value::String(role)) = fields.get_mut("role") {
        *role = role.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(Value::Object(network)) = fields.get_mut("networkConfiguration")
        && let Some(Value::Object(network)) = network.get_mut("awsvpcConfiguration")
    {
        default(network, "assignPublicIp", Value::from("DISABLED"));
        sort_texts(network, "subnets");
        sort_texts(network, "securityGroups");
    }
    SORTED.iter().for_each(|(name, by)| sort(fields, name, by));
    for strategy in mappings(fields, "capacityProviderStrategy") {
        default(strategy, "base", Value::from(0));
        default(strategy, "weight", Value::from(0));
    }
    value
}

fn lift_from_deployment(fields: &mut Map<String, Value>) {
    let deployments = fields.get("deployments").and_then(Value::as_array);
    let is_primary =
        |deployment: &&Value| deployment.get("status").and_then(Value::as_str) == Some("PRIMARY");
    let Some(primary) = deployments.and_then(|list| list.iter().find(is_primary)).cloned() else { return };
    for name in DEPLOYMENT_FIELDS {
        if let Some(value) = primary.get(name) {
            fields.entry(name).or_insert_with(|| value.clone());
        }
    }
}

fn short(reference: &str) -> String {
    match family_and_revision(reference) {
        (family, Some(revision)) => format!("{family}:{revision}"),
        (family, None) => family.to_owned(),
    }
}

fn sort(fields: &mut Map<String, Value>, name: &str, by: &[&str]) {
    let place = |item: &Value| -> Vec<String> {
        by.iter().map(|field| item.get(field).map(Value::to_string).unwrap_or_default()).collect()
    };
    if let Some(Value::Array(items)) = fields.get_mut(name) {
        items.sort_by_key(place);
    }
}
