//! An admission webhook that adds fields and puts lists into another order makes no difference: Synced, and nothing to write.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use support::application::Version;
use support::engine::{Deployer, Engine, Kubernetes};
use support::machine::Machine;
use support::parts::{Part, present};
use support::shop::Shop;

#[test]
fn what_a_webhook_adds_is_no_difference() {
    if !present("what_a_webhook_adds_is_no_difference", &[Part::Command("git"), Part::ControlPlane]) {
        return;
    }
    let (machine, mut kubernetes) = (Machine::new(), Kubernetes::shared());
    let shop = Shop::new(&Version::good("1"));
    kubernetes.plane.kubectl(&["create", "namespace", "shop"]);
    kubernetes.plane.kubectl(&["label", "namespace", "shop", "webhook=on"]);
    kubernetes.plane.apply_webhook();
    let deployer = Deployer::new(&machine, &kubernetes);
    let file = shop.destined(&kubernetes.destination());
    deployer.sync(&file).expect(0);

    let live = kubernetes.plane.kubectl_json(&["get", "deployment", "shop", "--namespace", "shop"]);
    let container = &live["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"][0]["name"], "WEBHOOK", "the webhook has been asked: {live}");
    assert_eq!(container["env"][1]["name"], "VERSION", "and has reversed the list: {live}");

    let status = deployer.status();
    assert_eq!((&status["sync"], &status["health"]), (&"Synced".into(), &"Healthy".into()), "{status}");
    let diff = deployer.run(&["diff", "-f", file.to_str().unwrap(), "-o", "json"]);
    for object in diff.expect(0).json().as_array().unwrap() {
        assert_eq!((&object["state"], object.get("differences")), (&"Synced".into(), None), "{diff}");
    }
    kubernetes.watch();
    deployer.sync(&file).expect(0);
    assert_eq!(kubernetes.writes(), Vec::<String>::new());

    // A change of ours is still seen, and what the webhook did stays.
    shop.commit(&Version::good("2"));
    deployer.run(&["diff", "-f", file.to_str().unwrap()]).expect(1).says("env");
    deployer.sync(&file).expect(0);
    let live = kubernetes.plane.kubectl_json(&["get", "deployment", "shop", "--namespace", "shop"]);
    let env = live["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(env.contains(&serde_json::json!({"name": "VERSION", "value": "2"})), "{env:?}");
    assert!(env.contains(&serde_json::json!({"name": "WEBHOOK", "value": "here"})), "{env:?}");
}
