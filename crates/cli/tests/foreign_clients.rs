//! kubectl and the AWS CLI see what Minato says it made.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use serde_json::{Value, json};

use support::application::Version;
use support::aws::CLUSTER;
use support::engine::{Deployer, Ecs, Engine, Kubernetes};
use support::machine::Machine;
use support::parts::{Part, present};
use support::shop::{IMAGE, Shop};

#[test]
fn kubectl_sees_every_object_that_status_lists() {
    let test = "kubectl_sees_every_object_that_status_lists";
    if !present(test, &[Part::Command("git"), Part::ControlPlane]) {
        return;
    }
    let (machine, kubernetes) = (Machine::new(), Kubernetes::shared());
    let shop = Shop::new(&Version::good("1"));
    let deployer = Deployer::new(&machine, &kubernetes);
    deployer.sync(&shop.destined(&kubernetes.destination())).expect(0);

    let status = deployer.status();
    let objects = status["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 2, "{status}");
    for object in objects {
        // `apps/Deployment shop/shop`, and `Service shop/shop` of the core group.
        let (kind, place) = object["key"].as_str().unwrap().split_once(' ').unwrap();
        let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
        let (namespace, name) = place.split_once('/').unwrap();
        let live = kubernetes.plane.kubectl_json(&["get", kind, name, "--namespace", namespace]);
        let tracking = format!("shop:{group}/{kind}:{namespace}/{name}");
        assert_eq!(
            live["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"],
            tracking.as_str(),
            "{live}"
        );
    }
    let live = kubernetes.plane.kubectl_json(&["get", "deployment", "shop", "--namespace", "shop"]);
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], IMAGE);
    assert_eq!(live["status"]["availableReplicas"], 2);

    deployer.run(&["delete", "shop"]).expect(0);
    let left = kubernetes.plane.kubectl_json(&["get", "deployment,service", "--namespace", "shop"]);
    assert_eq!(left["items"], json!([]));
}

#[test]
fn the_aws_cli_sees_the_service_and_the_revision() {
    if !present("the_aws_cli_sees_the_service_and_the_revision", &[Part::Command("git"), Part::Moto]) {
        return;
    }
    let (machine, ecs) = (Machine::new(), Ecs::start());
    let shop = Shop::new(&Version::good("1"));
    let deployer = Deployer::new(&machine, &ecs);
    let file = shop.destined(&ecs.destination());
    deployer.sync(&file).expect(0);
    shop.commit(&Version::good("2"));
    deployer.sync(&file).expect(0);

    let service = ecs.aws.service("shop");
    assert_eq!((&service["status"], &service["desiredCount"]), (&json!("ACTIVE"), &json!(2)), "{service}");
    let revision = service["taskDefinition"].as_str().unwrap();
    assert!(revision.ends_with("task-definition/shop:2"), "{revision}");
    let asked = ["ecs", "describe-task-definition", "--task-definition", revision];
    let definition = &ecs.aws.cli(&asked)["taskDefinition"];
    assert_eq!(variable(definition, "VERSION"), "2");
    assert_eq!(definition["containerDefinitions"][0]["image"], IMAGE);
    let listed = ecs.aws.cli(&["ecs", "list-services", "--cluster", CLUSTER]);
    assert_eq!(listed["serviceArns"], json!([service["serviceArn"]]));
    let arn = service["serviceArn"].as_str().unwrap();
    let tags = ecs.aws.cli(&["ecs", "list-tags-for-resource", "--resource-arn", arn]);
    let tags = tags["tags"].as_array().unwrap();
    assert!(tags.iter().any(|tag| tag["key"] == "argocd.argoproj.io/tracking-id"), "whose it is: {tags:?}");

    deployer.run(&["delete", "shop"]).expect(0);
    assert_ne!(ecs.aws.service("shop")["status"], "ACTIVE");
    let asked = ["ecs", "describe-task-definition", "--task-definition", revision];
    assert_eq!(ecs.aws.cli(&asked)["taskDefinition"]["status"], "ACTIVE", "revisions stay, for going back");
}

fn variable(definition: &Value, name: &str) -> String {
    let variables = definition["containerDefinitions"][0]["environment"].as_array().unwrap();
    let found = variables.iter().find(|variable| variable["name"] == name).unwrap();
    found["value"].as_str().unwrap().to_owned()
}
