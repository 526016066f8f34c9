//! What moto leaves out: ECS deployments go through their states, one step each time somebody looks at the service.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Fields of UpdateService that start a deployment when they change.
const STARTS_DEPLOYMENT: [&str; 6] = [
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
];
/// Fields that moto forgets.
const REMEMBERED: [&str; 3] = ["deploymentConfiguration", "enableECSManagedTags", "enableExecuteCommand"];
/// Looks at a deployment before it is decided, and before one that is over is no longer listed.
const STEPS: u32 = 2;

/// What becomes of a deployment if nobody interferes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Course {
    Completes,
    /// It stays in progress.
    Waits,
    /// Its tasks end by themselves.
    Fails,
}

/// Every service's deployments, newest first, by the service's ARN.
#[derive(Default)]
pub struct Deployments {
    services: BTreeMap<String, Service>,
    made: u32,
}

#[derive(Default)]
struct Service {
    deployments: Vec<Deployment>,
    /// What the last CreateService and UpdateService said.
    said: Map<String, Value>,
    events: Vec<String>,
}

struct Deployment {
    id: String,
    task_definition: String,
    course: Course,
    status: &'static str,
    state: &'static str,
    reason: String,
    failed_tasks: u32,
    looks: u32,
}

impl Deployments {
    /// CreateService or UpdateService was answered with `service`; `course` is what this task definition makes of it.
    pub fn changed(&mut self, request: &Value, service: &Value, task_definition: &str, course: Course) {
        let name = text(service, "serviceName");
        let known = self.services.entry(text(service, "serviceArn")).or_default();
        let differs = |field: &&str| request.get(*field).is_some_and(|v| known.said.get(*field) != Some(v));
        let starts =
            known.deployments.first().is_none_or(|primary| primary.task_definition != task_definition)
                || request["forceNewDeployment"] == true
                || STARTS_DEPLOYMENT.iter().any(differs);
        known.said.extend(request.as_object().cloned().unwrap_or_default());
        if starts {
            self.made += 1;
            known.start(&name, &format!("ecs-svc/{:019}", self.made), task_definition, course);
        }
    }

    pub fn deleted(&mut self, service: &Value) {
        self.services.remove(&text(service, "serviceArn"));
    }

    /// Somebody looks at the service: it goes one step on.
    pub fn advance(&mut self, service: &Value) {
        if let Some(known) = self.services.get_mut(&text(service, "serviceArn")) {
            known.advance(&text(service, "serviceName"));
        }
    }

    /// moto's description of a service, made what ECS would say.
    pub fn complete(&self, service: &mut Value) {
        let Some(known) = self.services.get(&text(service, "serviceArn")) else { return };
        let desired = service["desiredCount"].as_u64().unwrap_or(0);
        for field in REMEMBERED {
            if let Some(value) = known.said.get(field) {
                service[field] = value.clone();
            }
        }
        let primary = &known.deployments[0];
        service["taskDefinition"] = json!(primary.task_definition);
        service["runningCount"] = json!(primary.running(desired));
        service["pendingCount"] = json!(desired - primary.running(desired));
        service["deployments"] = known.deployments.iter().map(|d| d.describe(desired)).collect();
        let event = |(number, message): (usize, &String)| json!({"id": number.to_string(), "createdAt": 1.8e9 + number as f64, "message": message});
        service["events"] = known.events.iter().enumerate().rev().map(event).collect();
    }

    /// The deployments that have had tasks which ended by themselves, with their task definitions.
    pub fn with_stopped_tasks(&self) -> Vec<(String, String)> {
        let all = self.services.values().flat_map(|service| &service.deployments);
        let failed = all.filter(|deployment| deployment.failed_tasks > 0);
        failed.map(|deployment| (deployment.id.clone(), deployment.task_definition.clone())).collect()
    }
}

impl Service {
    fn start(&mut self, name: &str, id: &str, task_definition: &str, course: Course) {
        for older in &mut self.deployments {
            older.status = "ACTIVE";
        }
        self.events.push(format!("(service {name}) (deployment {id}) deployment in progress."));
        let deployment = Deployment {
            id: id.to_owned(),
            task_definition: task_definition.to_owned(),
            course,
            status: "PRIMARY",
            state: "IN_PROGRESS",
            reason: format!("ECS deployment {id} in progress."),
            failed_tasks: 0,
            looks: 0,
        };
        self.deployments.insert(0, deployment);
    }

    fn advance(&mut self, name: &str) {
        // What has failed or was replaced is listed a little longer.
        for older in self.deployments.iter_mut().skip(1) {
            older.looks += 1;
        }
        let primary = &mut self.deployments[0];
        if primary.state != "IN_PROGRESS" {
            self.deployments.retain(|d| d.status == "PRIMARY" || d.looks <= 2 * STEPS);
            return;
        }
        primary.looks += 1;
        primary.failed_tasks += u32::from(primary.course == Course::Fails);
        if primary.looks <= STEPS {
            return;
        }
        match primary.course {
            Course::Completes => self.complete(name),
            Course::Waits => {}
            Course::Fails => self.break_circuit(name),
        }
    }

    fn complete(&mut self, name: &str) {
        let primary = &mut self.deployments[0];
        primary.state = "COMPLETED";
        primary.reason = format!("ECS deployment {} completed.", primary.id);
        self.events.push(format!("(service {name}) has reached a steady state."));
        self.deployments.truncate(1);
    }

    /// As the deployment circuit breaker does, where it is on.
    fn break_circuit(&mut self, name: &str) {
        let breaker =
            &self.said.get("deploymentConfiguration").map(|d| d["deploymentCircuitBreaker"].clone());
        let is = |switch: &str| breaker.as_ref().is_some_and(|breaker| breaker[switch] == true);
        if !is("enable") {
            return;
        }
        let earlier = self.deployments.iter().position(|deployment| deployment.state == "COMPLETED");
        let failed = &mut self.deployments[0];
        failed.state = "FAILED";
        failed.reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
        let id = &failed.id;
        self.events
            .push(format!("(service {name}) (deployment {id}) deployment failed: tasks failed to start."));
        let Some(earlier) = earlier.filter(|_| is("rollback")) else { return };
        failed.status = "ACTIVE";
        failed.looks = 0;
        let mut earlier = self.deployments.remove(earlier);
        earlier.status = "PRIMARY";
        earlier.reason =
            format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", earlier.id);
        self.events.push(format!("(service {name}) rolling back to deployment {}.", earlier.id));
        self.deployments.insert(0, earlier);
    }
}

impl Deployment {
    fn running(&self, desired: u64) -> u64 {
        match self.state {
            "COMPLETED" => desired,
            "IN_PROGRESS" if self.course != Course::Fails => desired.saturating_sub(1),
            _ => 0,
        }
    }

    fn describe(&self, desired: u64) -> Value {
        let running = self.running(desired);
        json!({
            "id": self.id,
            "status": self.status,
            "taskDefinition": self.task_definition,
            "desiredCount": desired,
            "runningCount": running,
            "pendingCount": desired - running,
            "failedTasks": self.failed_tasks,
            "rolloutState": self.state,
            "rolloutStateReason": self.reason,
            "createdAt": 1.8e9,
            "updatedAt": 1.8e9,
        })
    }
}

fn text(of: &Value, field: &str) -> String {
    of[field].as_str().unwrap_or_default().to_owned()
}
