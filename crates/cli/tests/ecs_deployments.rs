//! An ECS deployment that did not become what was asked for is a failure with its cause, whatever runs afterwards.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::time::{Duration, Instant};

use support::application::Version;
use support::engine::{Deployer, Ecs, Engine};
use support::machine::Machine;
use support::parts::{Part, present};
use support::shop::Shop;

const NEEDS: [Part; 2] = [Part::Command("git"), Part::Moto];

#[test]
fn a_deployment_that_aws_rolled_back_is_a_failure() {
    if !present("a_deployment_that_aws_rolled_back_is_a_failure", &NEEDS) {
        return;
    }
    let (machine, ecs, shop) = (Machine::new(), Ecs::start(), Shop::new(&Version::good("1")));
    shop.commit_with_service(&Version::good("1"), ROLLED_BACK_BY_AWS);
    let deployer = Deployer::new(&machine, &ecs);
    // Nobody but ECS itself may bring version 1 back here.
    let text = shop
        .application(&ecs.destination())
        .replace("metadata:", "metadata:\n  annotations: {minato.dev/rollback: \"off\"}");
    let file = shop.written("application.yaml", &text);
    deployer.sync(&file).expect(0);

    shop.commit_with_service(&Version::good("2").behaving("crash-at-start"), ROLLED_BACK_BY_AWS);
    let run = deployer.sync(&file);
    run.expect(1).says("circuit breaker").says("exited with code 3");
    assert_eq!(deployer.results(), ["healthy", "failed"]);
    let service = ecs.aws.service("shop");
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("shop:1"), "ECS went back: {service}");
    let status = deployer.status();
    assert_ne!(status["health"], "Healthy", "{status}");

    shop.commit_with_service(&Version::good("3"), ROLLED_BACK_BY_AWS);
    deployer.sync(&file).expect(0);
    assert_eq!(deployer.status()["health"], "Healthy");
}

#[test]
fn a_deployment_that_somebody_replaced_midway_is_a_failure() {
    if !present("a_deployment_that_somebody_replaced_midway_is_a_failure", &NEEDS) {
        return;
    }
    let (machine, ecs, shop) = (Machine::new(), Ecs::start(), Shop::new(&Version::good("1")));
    let deployer = Deployer::new(&machine, &ecs);
    let file = shop.destined(&ecs.destination());
    deployer.sync(&file).expect(0);

    ecs.aws.forget_calls();
    shop.commit(&Version::good("2").behaving("waits"));
    let running = deployer.start_sync(&file);
    wait_until(|| {
        let calls = ecs.aws.calls();
        let updated = calls.iter().position(|call| call == "UpdateService");
        updated.is_some_and(|at| calls[at..].iter().any(|call| call == "DescribeServices"))
    });
    let somebody =
        ["ecs", "update-service", "--cluster", "shop", "--service", "shop", "--task-definition", "shop:1"];
    ecs.aws.cli(&somebody);
    let run = running.wait();
    run.expect(1).says("replaced");
    assert_eq!(deployer.results(), ["healthy", "failed"]);
}

#[test]
fn a_deployment_that_fails_without_ecs_going_back_is_brought_back_by_minato() {
    if !present("a_deployment_that_fails_without_ecs_going_back_is_brought_back_by_minato", &NEEDS) {
        return;
    }
    let (machine, ecs, shop) = (Machine::new(), Ecs::start(), Shop::new(&Version::good("1")));
    let deployer = Deployer::new(&machine, &ecs);
    let file = shop.destined(&ecs.destination());
    deployer.sync(&file).expect(0);
    shop.commit(&Version::good("2").behaving("crash-at-start"));
    ecs.aws.forget_calls();
    deployer.sync(&file).expect(1).says("circuit breaker").says("exited with code 3").says("serves");
    let service = ecs.aws.service("shop");
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("shop:1"), "{service}");
    let registered = ecs.aws.writes().iter().filter(|call| *call == "RegisterTaskDefinition").count();
    assert_eq!(registered, 1, "going back uses the revision that is there");
}

#[track_caller]
fn wait_until(seen: impl Fn() -> bool) {
    let began = Instant::now();
    while !seen() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came to this");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const ROLLED_BACK_BY_AWS: &str = r#"{
  "serviceName": "shop",
  "taskDefinition": "shop",
  "desiredCount": 2,
  "launchType": "EC2",
  "deploymentConfiguration": {
    "deploymentCircuitBreaker": { "enable": true, "rollback": true }
  }
}
"#;
