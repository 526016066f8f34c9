//! moto as `tools/moto` starts it, behind a proxy that completes what moto says of ECS and can misbehave.

use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::ecs_deployments::{Course, Deployments};
use super::parts::repository;
use super::proxy::{Answer, Fate, Proxy, Request, Server};

pub const REGION: &str = "eu-central-1";
pub const CLUSTER: &str = "shop";
const STOPPED_TASK: &str = "arn:aws:ecs:eu-central-1:123456789012:task/shop/stopped-";

/// An AWS account in Frankfurt with an ECS cluster.
pub struct Aws {
    moto: Mutex<Moto>,
    proxy: Proxy,
    deployments: Arc<Mutex<Deployments>>,
}

impl Aws {
    pub fn start() -> Aws {
        let moto = Moto::start();
        let proxy = Proxy::before(&moto.endpoint);
        let aws = Aws { moto: Mutex::new(moto), proxy, deployments: Arc::default() };
        aws.begin();
        aws
    }

    fn begin(&self) {
        self.works();
        self.cli(&["ecs", "create-cluster", "--cluster-name", CLUSTER]);
        self.forget_calls();
    }

    /// Ends moto, and all that it knew with it.
    pub fn kill(&self) {
        self.moto.lock().unwrap().kill();
    }

    /// moto anew and empty, for those that knew the old one.
    pub fn start_again(&self) {
        let moto = Moto::start();
        self.proxy.moved(&moto.endpoint);
        *self.moto.lock().unwrap() = moto;
        *self.deployments.lock().unwrap() = Deployments::default();
        self.begin();
    }

    /// What Minato needs to find it, in the SDKs' own variables.
    pub fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT_URL", &self.proxy.address),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    /// The AWS CLI's answer; it must succeed.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Value {
        let run = Command::new(repository().join("tools/moto"))
            .arg("aws")
            .arg(self.moto.lock().unwrap().folder.path())
            .args(arguments)
            .args(["--output", "json"])
            .env("AWS_ENDPOINT_URL", &self.proxy.address)
            .output()
            .unwrap();
        let Output { status, stdout, stderr } = run;
        assert!(status.success(), "aws {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        serde_json::from_slice(&stdout).unwrap_or_default()
    }

    /// What ECS says of one service, without moving its deployments on.
    #[track_caller]
    pub fn service(&self, name: &str) -> Value {
        let answer = self.cli(&["ecs", "describe-services", "--cluster", CLUSTER, "--services", name]);
        answer["services"][0].clone()
    }

    /// The operations that were called since they were last forgotten.
    pub fn calls(&self) -> Vec<String> {
        self.proxy.requests().iter().map(operation).collect()
    }

    /// When this operation was called.
    pub fn times_of(&self, wanted: &str) -> Vec<Instant> {
        let requests = self.proxy.requests();
        requests
            .iter()
            .filter(|request| operation(request) == wanted)
            .map(|request| request.arrived)
            .collect()
    }

    pub fn forget_calls(&self) {
        self.proxy.forget_requests();
    }

    /// Those of them that change something.
    pub fn writes(&self) -> Vec<String> {
        let reads = ["Describe", "List", "Get", "Filter"];
        self.calls().into_iter().filter(|call| !reads.iter().any(|verb| call.starts_with(verb))).collect()
    }

    /// From now on every request is answered as it should be.
    pub fn works(&self) {
        let deployments = self.deployments.clone();
        self.proxy.decide(move |request, moto| answer(request, moto, &deployments));
    }

    /// From now on `fail` may answer in AWS' place.
    pub fn fails(&self, fail: impl Fn(&str) -> Option<Fate> + Send + Sync + 'static) {
        let deployments = self.deployments.clone();
        self.proxy.decide(move |request, moto| {
            fail(&operation(request)).unwrap_or_else(|| answer(request, moto, &deployments))
        });
    }
}

/// `ThrottlingException`, as AWS says it: with code 400.
pub fn throttled() -> Fate {
    let document = json!({"__type": "ThrottlingException", "message": "Rate exceeded"});
    Fate::Answer(Answer::json(400, &document))
}

pub fn internal_error() -> Fate {
    let document =
        json!({"__type": "ServerException", "message": "Service Unavailable. Please try again later."});
    Fate::Answer(Answer::json(500, &document))
}

/// `DescribeServices` of `AmazonEC2ContainerServiceV20141113.DescribeServices`.
fn operation(request: &Request) -> String {
    let target = request.header("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

fn answer(request: &Request, moto: &Server, deployments: &Mutex<Deployments>) -> Fate {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let operation = operation(request);
    if let Some(answer) = about_stopped_tasks(&operation, &asked, moto, request, deployments) {
        return Fate::Answer(Answer::json(200, &answer));
    }
    if !["CreateService", "UpdateService", "DescribeServices", "DeleteService"].contains(&&*operation) {
        return Fate::Pass;
    }
    let Ok(mut answer) = moto.answer(request) else { return Fate::Cut };
    if answer.status == 200 {
        let mut document = answer.document();
        let mut deployments = deployments.lock().unwrap();
        match &*operation {
            "DescribeServices" => {
                for service in document["services"].as_array_mut().into_iter().flatten() {
                    // Only Minato's looks count, so that a test can look as often as it likes.
                    if !is_cli(request) {
                        deployments.advance(service);
                    }
                    deployments.complete(service);
                }
            }
            "DeleteService" => deployments.deleted(&document["service"]),
            _ => {
                let named =
                    asked["taskDefinition"].as_str().or(document["service"]["taskDefinition"].as_str());
                let (arn, course) = task_definition(named.unwrap_or_default(), moto, request);
                deployments.changed(&asked, &document["service"], &arn, course);
                deployments.complete(&mut document["service"]);
            }
        }
        answer.body = document.to_string().into_bytes();
    }
    Fate::Answer(answer)
}

fn is_cli(request: &Request) -> bool {
    request.header("user-agent").is_some_and(|agent| agent.contains("aws-cli"))
}

/// The ARN of a task definition, and what the variable `BEHAVIOUR` of its containers makes of a deployment.
fn task_definition(name: &str, moto: &Server, like: &Request) -> (String, Course) {
    let answer = ask(moto, like, "DescribeTaskDefinition", &json!({"taskDefinition": name}));
    let definition = &answer["taskDefinition"];
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    let variables =
        containers.flat_map(|container| container["environment"].as_array().into_iter().flatten());
    let mut behaviours = variables.filter(|variable| variable["name"] == "BEHAVIOUR");
    let course = match behaviours.next().and_then(|variable| variable["value"].as_str()) {
        None | Some("good") => Course::Completes,
        Some("waits") => Course::Waits,
        Some(_) => Course::Fails,
    };
    (definition["taskDefinitionArn"].as_str().unwrap_or(name).to_owned(), course)
}

fn ask(moto: &Server, like: &Request, operation: &str, body: &Value) -> Value {
    let mut request = like.clone();
    request.headers.retain(|(name, _)| name != "x-amz-target");
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    request.headers.push(("x-amz-target".to_owned(), target));
    request.body = body.to_string().into_bytes();
    moto.answer(&request).map(|answer| answer.document()).unwrap_or_default()
}

/// One task for each deployment whose containers end by themselves, as ECS lists stopped tasks for an hour.
fn about_stopped_tasks(
    operation: &str,
    asked: &Value,
    moto: &Server,
    request: &Request,
    deployments: &Mutex<Deployments>,
) -> Option<Value> {
    let failed = deployments.lock().unwrap().with_stopped_tasks();
    let arn = |id: &str| format!("{STOPPED_TASK}{}", id.rsplit('/').next().unwrap_or_default());
    match operation {
        "ListTasks" if asked["desiredStatus"] == "STOPPED" => {
            let of_deployment = |id: &str| asked["startedBy"].as_str().is_none_or(|by| by == id);
            let arns: Vec<_> =
                failed.iter().filter(|(id, _)| of_deployment(id)).map(|(id, _)| arn(id)).collect();
            Some(json!({"taskArns": arns}))
        }
        "DescribeTasks" if asked["tasks"][0].as_str()?.starts_with(STOPPED_TASK) => {
            let wanted = asked["tasks"].as_array()?;
            let tasks = failed.iter().filter(|(id, _)| wanted.contains(&json!(arn(id))));
            let tasks: Vec<_> = tasks
                .map(|(id, definition)| {
                    let described =
                        ask(moto, request, "DescribeTaskDefinition", &json!({"taskDefinition": definition}));
                    stopped_task(&arn(id), id, definition, &described["taskDefinition"])
                })
                .collect();
            Some(json!({"tasks": tasks, "failures": []}))
        }
        _ => None,
    }
}

fn stopped_task(arn: &str, deployment: &str, definition_arn: &str, definition: &Value) -> Value {
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    let containers: Vec<_> = containers
        .map(|container| {
            json!({"name": container["name"], "image": container["image"], "lastStatus": "STOPPED", "exitCode": 3})
        })
        .collect();
    json!({
        "taskArn": arn, "taskDefinitionArn": definition_arn, "startedBy": deployment, "group": "service:shop",
        "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited", "stoppedAt": 1.8e9, "containers": containers,
    })
}

struct Moto {
    folder: TempDir,
    endpoint: String,
}

impl Moto {
    fn start() -> Moto {
        let folder = tempfile::Builder::new().prefix("minato-moto-").tempdir().unwrap();
        let started =
            Command::new(repository().join("tools/moto")).arg("start").arg(folder.path()).output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let endpoint = String::from_utf8(started.stdout).unwrap().trim().to_owned();
        Moto { folder, endpoint }
    }
}

impl Moto {
    fn kill(&self) {
        let folder = self.folder.path();
        Command::new(repository().join("tools/moto")).arg("stop").arg(folder).status().ok();
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.kill();
    }
}
