//! The imitated engines of the whole-program tests do what the real ones do, as far as the tests rely on it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use support::aws::Aws;
use support::cluster::ControlPlane;
use support::ecs_deployments::{Course, Deployments};
use support::http;
use support::parts::{Part, present};
use support::proxy::{Answer, Fate, Proxy};

#[test]
fn an_ecs_deployment_completes_and_the_one_before_it_goes() {
    let mut ecs = EcsService::created();
    ecs.look(3);
    ecs.update("web:2", Course::Completes);
    assert_eq!(ecs.told(), ["PRIMARY IN_PROGRESS web:2", "ACTIVE COMPLETED web:1"]);
    ecs.look(3);
    assert_eq!(ecs.told(), ["PRIMARY COMPLETED web:2"]);
    ecs.update("web:2", Course::Completes);
    assert_eq!(ecs.told(), ["PRIMARY COMPLETED web:2"], "the same definition starts nothing");
}

#[test]
fn the_circuit_breaker_goes_back_to_what_was_complete() {
    let mut ecs = EcsService::created();
    ecs.look(3);
    ecs.update("web:2", Course::Fails);
    ecs.look(3);
    assert_eq!(ecs.told(), ["PRIMARY COMPLETED web:1", "ACTIVE FAILED web:2"]);
    let reason = ecs.describe()["deployments"][0]["rolloutStateReason"].to_string();
    assert!(reason.contains("rolling back to deploymentId"), "{reason}");
}

#[test]
fn a_deployment_that_waits_is_replaced_by_a_later_one() {
    let mut ecs = EcsService::created();
    ecs.look(3);
    ecs.update("web:2", Course::Waits);
    ecs.look(9);
    assert_eq!(ecs.told(), ["PRIMARY IN_PROGRESS web:2", "ACTIVE COMPLETED web:1"]);
    ecs.update("web:3", Course::Completes);
    ecs.look(3);
    assert_eq!(ecs.told(), ["PRIMARY COMPLETED web:3"]);
}

#[test]
fn the_proxy_passes_answers_and_hangs_up() {
    let proxy = Proxy::before(&one_word_server());
    assert_eq!(http::get(&proxy.address, "/a").unwrap(), (200, "word".to_owned()));
    proxy.decide(|_, _| Fate::Answer(Answer::json(429, &json!({"why": "busy"}))));
    assert_eq!(http::get(&proxy.address, "/b").unwrap(), (429, "{\"why\":\"busy\"}".to_owned()));
    proxy.decide(|_, _| Fate::Cut);
    assert!(http::get(&proxy.address, "/c").is_err());
    let paths: Vec<String> = proxy.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/a", "/b", "/c"]);
}

#[test]
fn moto_is_started_killed_and_started_again_empty() {
    if !present("moto_is_started_killed_and_started_again_empty", &[Part::Moto]) {
        return;
    }
    let aws = Aws::start();
    let register = ["--container-definitions", r#"[{"name": "web", "image": "web", "memory": 64}]"#];
    aws.cli(&[&["ecs", "register-task-definition", "--family", "web"][..], &register].concat());
    assert_eq!(aws.writes(), ["RegisterTaskDefinition"]);
    aws.kill();
    aws.start_again();
    assert_eq!(aws.cli(&["ecs", "list-task-definitions"])["taskDefinitionArns"], json!([]));
}

#[test]
fn the_control_plane_tells_how_pods_fare_and_who_asked() {
    if !present("the_control_plane_tells_how_pods_fare_and_who_asked", &[Part::ControlPlane]) {
        return;
    }
    let plane = ControlPlane::start();
    plane.kubectl(&["create", "deployment", "web", "--image=web:1"]);
    plane.kubectl(&["create", "deployment", "bad", "--image=web:1-crash-at-start"]);
    plane.kubectl(&["wait", "deployment/web", "--for=condition=Available", "--timeout=60s"]);
    // Its Pod is there.
    let created = "--for=jsonpath={.status.unavailableReplicas}=1";
    plane.kubectl(&["wait", "deployment/bad", created, "--timeout=60s"]);
    let waiting = "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff";
    plane.kubectl(&["wait", "pods", "--selector=app=bad", waiting, "--timeout=60s"]);
    assert!(plane.kubectl(&["logs", "deployment/bad"]).contains("fatal: the database does not answer"));
    let asked = plane.audited();
    assert!(asked.iter().any(|asked| asked.is_write() && asked.path.contains("/deployments")), "{asked:?}");
    assert!(asked.iter().all(|asked| !asked.is_minato()), "only kubectl has asked");
}

/// A service `web` of one task, as moto would describe it.
struct EcsService {
    deployments: Deployments,
    said: Value,
}

impl EcsService {
    fn created() -> EcsService {
        let said = json!({"serviceName": "web", "serviceArn": "arn:web", "desiredCount": 1});
        let breaker = json!({"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}}});
        let mut service = EcsService { deployments: Deployments::default(), said };
        service.deployments.changed(&breaker, &service.said, "web:1", Course::Completes);
        service
    }

    fn update(&mut self, task_definition: &str, course: Course) {
        self.deployments.changed(&json!({}), &self.said, task_definition, course);
    }

    fn look(&mut self, times: u32) {
        (0..times).for_each(|_| self.deployments.advance(&self.said));
    }

    fn describe(&self) -> Value {
        let mut service = self.said.clone();
        self.deployments.complete(&mut service);
        service
    }

    /// Each deployment's status, state and task definition.
    fn told(&self) -> Vec<String> {
        let described = self.describe();
        let deployments = described["deployments"].as_array().unwrap();
        let words = |d: &Value| {
            ["status", "rolloutState", "taskDefinition"].map(|field| d[field].as_str().unwrap().to_owned())
        };
        deployments.iter().map(|deployment| words(deployment).join(" ")).collect()
    }
}

/// Answers everything with `word`, in chunks.
fn one_word_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = [0; 1024];
            let _ = client.read(&mut head);
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            for letter in [b"wo", b"rd"] {
                let _ = client.write_all(letter);
            }
        }
    });
    address
}
