//! A small ECS over HTTP: task definitions and services in memory, deployments in whatever state a test gives them,
//! faults on demand. It answers in the form that AWS documents, and writes down every call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CLUSTER: &str = "arn:aws:ecs:eu-central-1:123456789012:cluster/shop";

/// The API, until it is dropped.
pub struct Script {
    pub address: String,
    state: Arc<Mutex<State>>,
    server: Arc<Server>,
}

struct Server(tokio::task::JoinHandle<()>);

#[derive(Default)]
pub struct State {
    /// ARN → the answer of `DescribeTaskDefinition`.
    pub definitions: BTreeMap<String, Value>,
    /// Name → service.
    pub services: BTreeMap<String, Value>,
    pub stopped_tasks: Vec<Value>,
    pub log_lines: Vec<String>,
    /// `None`: this API has no service deployments.
    pub service_deployments: Option<Vec<Value>>,
    pub scalable: Vec<String>,
    /// What ECS adds to containers and nobody here has heard of.
    pub unknown_default: Option<Value>,
    /// State of deployments that are made from now on.
    pub rollout: String,
    /// (operation, status, body) for the next calls of it.
    pub faults: Vec<(String, u16, String)>,
    /// Calls that are carried out and answered with 503, once each.
    pub lost_answers: Vec<String>,
    /// (operation, body), in order.
    pub calls: Vec<(String, Value)>,
    numbers: u64,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Script {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { rollout: "COMPLETED".to_owned(), ..State::default() }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, server: Arc::new(Server(server)) }
    }

    /// The same API for another caller.
    pub fn again(&self) -> Self {
        Self {
            address: self.address.clone(),
            state: Arc::clone(&self.state),
            server: Arc::clone(&self.server),
        }
    }

    /// Looks at the state, or changes it.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// The calls that write, since the last time, with what they sent.
    pub fn writes(&self) -> Vec<(String, Value)> {
        let calls = self.with(|state| std::mem::take(&mut state.calls));
        let reads = ["Describe", "List", "Get"];
        calls.into_iter().filter(|(name, _)| !reads.iter().any(|read| name.starts_with(read))).collect()
    }

    /// Their names.
    pub fn written(&self) -> Vec<String> {
        self.writes().into_iter().map(|(name, _)| name).collect()
    }

    /// Gives the service's primary deployment a state and a reason.
    pub fn rollout(&self, service: &str, state: &str, reason: &str) {
        self.with(|all| {
            let primary = &mut all.services.get_mut(service).unwrap()["deployments"][0];
            primary["rolloutState"] = json!(state);
            primary["rolloutStateReason"] = json!(reason);
        });
    }

    /// What ECS' circuit breaker does: the failed deployment stays for a while, the earlier one is back.
    pub fn roll_back(&self, service: &str, to: &str) {
        self.with(|all| {
            let service = all.services.get_mut(service).unwrap();
            let mut failed = service["deployments"][0].clone();
            failed["status"] = json!("ACTIVE");
            failed["rolloutState"] = json!("FAILED");
            failed["rolloutStateReason"] = json!("ECS deployment circuit breaker: tasks failed to start.");
            let back = json!({"id": "ecs-svc/900", "status": "PRIMARY", "taskDefinition": to, "rolloutState": "COMPLETED",
                "rolloutStateReason": "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/900."});
            service["taskDefinition"] = json!(to);
            service["deployments"] = json!([back, failed]);
        });
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    while let Some((operation, signed, body)) = read(&mut stream).await {
        let (status, answer) = {
            let mut state = state.lock().unwrap();
            state.calls.push((operation.clone(), body.clone()));
            if signed { state.answer(&operation, &body) } else { (403, String::from("unsigned")) }
        };
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n\r\n", answer.len());
        if stream.write_all(head.as_bytes()).await.is_err()
            || stream.write_all(answer.as_bytes()).await.is_err()
        {
            return;
        }
    }
}

/// (operation, whether it is signed, body) of the next request.
async fn read(stream: &mut TcpStream) -> Option<(String, bool, Value)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("");
    let length: usize = header("content-length").parse().ok()?;
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let original = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let target = original.lines().find(|line| line.to_lowercase().starts_with("x-amz-target"))?;
    let operation = target.rsplit('.').next()?.to_owned();
    let signed = header("authorization").starts_with("aws4-hmac-sha256 credential=")
        && header("content-type") == "application/x-amz-json-1.1";
    Some((operation, signed, serde_json::from_slice(&bytes[end..end + length]).ok()?))
}

impl State {
    fn answer(&mut self, operation: &str, body: &Value) -> (u16, String) {
        if let Some(at) = self.faults.iter().position(|(name, _, _)| name == operation) {
            let (_, status, body) = self.faults.remove(at);
            return (status, body);
        }
        let played = self.play(operation, body);
        if let Some(at) = self.lost_answers.iter().position(|name| name == operation) {
            self.lost_answers.remove(at);
            return (503, String::new());
        }
        match played {
            Ok(answer) => (200, answer.to_string()),
            Err((code, message)) => (400, json!({"__type": code, "message": message}).to_string()),
        }
    }

    fn play(&mut self, operation: &str, body: &Value) -> Result<Value, (&'static str, String)> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match operation {
            "ListServices" => Ok(self.list_services(body)),
            "DescribeServices" => Ok(self.describe_services(body)),
            "DescribeTaskDefinition" => self
                .definition(&text("taskDefinition"))
                .ok_or(("ClientException", "Unable to describe task definition.".to_owned())),
            "ListTaskDefinitions" => {
                let family = format!("/{}:", text("familyPrefix"));
                let mut arns: Vec<(u64, &String)> = self
                    .definitions
                    .keys()
                    .filter(|arn| arn.contains(&family))
                    .map(|arn| (arn.rsplit(':').next().unwrap().parse().unwrap(), arn))
                    .collect();
                arns.sort_unstable_by(|left, right| right.cmp(left));
                Ok(json!({"taskDefinitionArns": arns.iter().map(|(_, arn)| arn).collect::<Vec<_>>()}))
            }
            "RegisterTaskDefinition" => Ok(self.register(body)),
            "CreateService" => self.create(body),
            "UpdateService" => self.update(body),
            "DeleteService" => {
                let service = self.services.get_mut(&text("service"));
                let service = service.ok_or(("ServiceNotFoundException", "Service not found.".to_owned()))?;
                service["status"] = json!("DRAINING");
                Ok(json!({"service": service}))
            }
            "TagResource" | "UntagResource" => Ok(self.tag(body)),
            "ListTasks" => {
                let arns: Vec<&Value> = self.stopped_tasks.iter().map(|task| &task["taskArn"]).collect();
                Ok(json!({"taskArns": arns}))
            }
            "DescribeTasks" => Ok(json!({"tasks": self.stopped_tasks})),
            "GetLogEvents" => {
                let events: Vec<Value> = self.log_lines.iter().map(|line| json!({"message": line})).collect();
                Ok(json!({"events": events}))
            }
            "DescribeScalableTargets" => {
                let wanted = body["ResourceIds"][0].as_str().unwrap_or_default().to_owned();
                let found = self.scalable.iter().filter(|id| **id == wanted);
                Ok(json!({"ScalableTargets": found.map(|id| json!({"ResourceId": id})).collect::<Vec<_>>()}))
            }
            "ListServiceDeployments" | "DescribeServiceDeployments" => match &self.service_deployments {
                Some(deployments) => Ok(json!({"serviceDeployments": deployments})),
                None => Err(("UnknownOperationException", "unknown".to_owned())),
            },
            other => Err(("UnknownOperationException", other.to_owned())),
        }
    }

    /// Two services a page, so that everybody has to turn pages.
    fn list_services(&self, body: &Value) -> Value {
        let from: usize = body["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let active = self.services.values().filter(|service| service["status"] == "ACTIVE");
        let arns: Vec<&Value> = active.map(|service| &service["serviceArn"]).collect();
        let page: Vec<&&Value> = arns.iter().skip(from).take(2).collect();
        let next = (arns.len() > from + 2).then(|| (from + 2).to_string());
        json!({"serviceArns": page, "nextToken": next})
    }

    fn describe_services(&self, body: &Value) -> Value {
        let names: Vec<&str> =
            body["services"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(names.len() <= 10, "ECS describes at most 10 services at once");
        let named = names.iter().map(|name| name.rsplit('/').next().unwrap());
        let (found, missing): (Vec<&str>, Vec<&str>) =
            named.partition(|name| self.services.contains_key(*name));
        let services: Vec<&Value> = found.iter().map(|name| &self.services[*name]).collect();
        let failures: Vec<Value> =
            missing.iter().map(|name| json!({"arn": name, "reason": "MISSING"})).collect();
        json!({"services": services, "failures": failures})
    }

    fn definition(&self, reference: &str) -> Option<Value> {
        let name = reference.rsplit('/').next().unwrap();
        let number = |arn: &String| arn.rsplit(':').next().unwrap().parse::<u64>().unwrap();
        let matching = self.definitions.iter().filter(|(arn, _)| {
            let full = arn.rsplit('/').next().unwrap();
            full == name || full.split(':').next().unwrap() == name
        });
        matching.max_by_key(|(arn, _)| number(arn)).map(|(_, answer)| answer.clone())
    }

    /// As ECS does: answer fields and defaults come in.
    fn register(&mut self, body: &Value) -> Value {
        let family = body["family"].as_str().unwrap();
        let prefix = format!("arn:aws:ecs:eu-central-1:123456789012:task-definition/{family}");
        let revision =
            (1..).find(|number| !self.definitions.contains_key(&format!("{prefix}:{number}"))).unwrap();
        let arn = format!("{prefix}:{revision}");
        let mut definition = body.clone();
        let tags = definition.as_object_mut().unwrap().shift_remove("tags").unwrap_or(json!([]));
        definition["taskDefinitionArn"] = json!(arn);
        definition["revision"] = json!(revision);
        definition["status"] = json!("ACTIVE");
        definition["volumes"] = json!([]);
        definition["compatibilities"] = json!(["EC2"]);
        for container in definition["containerDefinitions"].as_array_mut().unwrap() {
            container["cpu"] = json!(0);
            container["essential"] = json!(true);
            container["environment"] = json!([]);
            if let Some(default) = &self.unknown_default {
                container["somethingNew"] = default.clone();
            }
        }
        let answer = json!({"taskDefinition": definition, "tags": tags});
        self.definitions.insert(arn, answer.clone());
        answer
    }

    fn create(&mut self, body: &Value) -> Result<Value, (&'static str, String)> {
        let name = body["serviceName"].as_str().unwrap().to_owned();
        match self.services.get(&name).map(|service| service["status"].as_str().unwrap()) {
            Some("DRAINING") => {
                return Err((
                    "InvalidParameterException",
                    "Unable to Start a service that is still Draining.".into(),
                ));
            }
            Some("ACTIVE") => {
                return Err(("InvalidParameterException", "Creation of service was not idempotent.".into()));
            }
            _ => {}
        }
        let mut service = body.clone();
        let arn = format!("arn:aws:ecs:eu-central-1:123456789012:service/shop/{name}");
        service["serviceArn"] = json!(arn);
        service["clusterArn"] = json!(CLUSTER);
        service["status"] = json!("ACTIVE");
        service["schedulingStrategy"] = json!("REPLICA");
        service["loadBalancers"] = body.get("loadBalancers").cloned().unwrap_or(json!([]));
        // ECS never tells this one again.
        service.as_object_mut().unwrap().shift_remove("healthCheckGracePeriodSeconds");
        service["deployments"] = json!([self.deployment(&service["taskDefinition"])]);
        self.services.insert(name, service.clone());
        Ok(json!({"service": service}))
    }

    fn update(&mut self, body: &Value) -> Result<Value, (&'static str, String)> {
        let name = body["service"].as_str().unwrap();
        let mut service =
            self.services.get(name).cloned().ok_or(("ServiceNotFoundException", name.to_owned()))?;
        for (field, value) in body.as_object().unwrap() {
            if !["cluster", "service", "forceNewDeployment", "healthCheckGracePeriodSeconds"]
                .contains(&field.as_str())
            {
                service[field] = value.clone();
            }
        }
        if body.get("taskDefinition").is_some() || body["forceNewDeployment"] == true {
            service["deployments"] = json!([self.deployment(&service["taskDefinition"])]);
        }
        self.services.insert(name.to_owned(), service.clone());
        Ok(json!({"service": service}))
    }

    fn deployment(&mut self, definition: &Value) -> Value {
        self.numbers += 1;
        json!({"id": format!("ecs-svc/{}", self.numbers), "status": "PRIMARY", "taskDefinition": definition,
            "rolloutState": self.rollout, "desiredCount": 1, "runningCount": 0, "createdAt": 1000.5})
    }

    fn tag(&mut self, body: &Value) -> Value {
        let arn = body["resourceArn"].as_str().unwrap();
        let name = arn.rsplit('/').next().unwrap();
        let owner = match self.definitions.get_mut(arn) {
            Some(answer) => answer,
            None => self.services.get_mut(name).unwrap(),
        };
        let removed = body["tagKeys"].as_array().cloned().unwrap_or_default();
        let added = body["tags"].as_array().cloned().unwrap_or_default();
        let replaced =
            |tag: &Value| removed.contains(&tag["key"]) || added.iter().any(|new| new["key"] == tag["key"]);
        let mut tags: Vec<Value> = owner["tags"].as_array().cloned().unwrap_or_default();
        tags.retain(|tag| !replaced(tag));
        tags.extend(added);
        owner["tags"] = json!(tags);
        json!({})
    }
}
