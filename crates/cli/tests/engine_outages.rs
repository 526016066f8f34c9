//! An engine that is away, busy or broken in the middle of a sync: it is asked again with growing pauses, then the error
//! says what was asked of whom; the next sync completes the work.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test says so and ends")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use support::application::Version;
use support::aws::{Aws, CLUSTER, REGION, internal_error, throttled};
use support::cluster::{ControlPlane, PlainServer};
use support::machine::{Machine, Run};
use support::parts::{Part, present};
use support::proxy::{Answer, Fate, Proxy, Request};
use support::shop::Shop;

const FOR_ECS: [Part; 2] = [Part::Command("git"), Part::Moto];
const FOR_KUBERNETES: [Part; 2] = [Part::Command("git"), Part::ControlPlane];

#[test]
fn ecs_that_throttles_for_a_while_is_asked_again() {
    let test = "ecs_that_throttles_for_a_while_is_asked_again";
    let Some(ecs) = OnEcs::start(test) else { return };
    ecs.aws.fails(first(3, |operation| operation == "RegisterTaskDefinition", throttled));
    ecs.sync().expect(0);
    let times = ecs.aws.times_of("RegisterTaskDefinition");
    assert_eq!(times.len(), 4, "three that were refused and one that was not");
    assert!(times[3] - times[0] > Duration::from_millis(10), "with pauses, of random lengths");
}

#[test]
fn ecs_that_answers_500_midway_is_an_error_and_the_next_sync_completes() {
    let test = "ecs_that_answers_500_midway_is_an_error_and_the_next_sync_completes";
    let Some(ecs) = OnEcs::start(test) else { return };
    ecs.aws.fails(|operation| (operation == "CreateService").then(internal_error));
    ecs.sync().expect(2).says("CreateService").says("Service Unavailable");
    ecs.completes_now();
    let registered = ecs.aws.times_of("RegisterTaskDefinition").len();
    assert_eq!(registered, 1, "the revision that was registered is the one that runs");
}

#[test]
fn moto_that_is_killed_midway_is_an_error_and_the_next_sync_completes() {
    let test = "moto_that_is_killed_midway_is_an_error_and_the_next_sync_completes";
    let Some(ecs) = OnEcs::start(test) else { return };
    let aws = ecs.aws.clone();
    ecs.aws.fails(move |operation| {
        (operation == "CreateService").then(|| {
            aws.kill();
            Fate::Cut
        })
    });
    ecs.sync().expect(2).says("CreateService");
    // All that moto knew is gone, as if somebody had deleted it.
    ecs.aws.start_again();
    ecs.completes_now();
}

#[test]
fn ecs_that_is_not_there_at_all_is_an_error_that_names_the_address() {
    let test = "ecs_that_is_not_there_at_all_is_an_error_that_names_the_address";
    let Some(ecs) = OnEcs::start(test) else { return };
    ecs.aws.fails(|_| Some(Fate::Cut));
    let address = ecs.aws.environment()[0].1.to_owned();
    ecs.sync().expect(2).says(&address);
    ecs.aws.works();
    ecs.completes_now();
}

#[test]
fn an_api_server_that_answers_429_for_a_while_is_asked_again() {
    let test = "an_api_server_that_answers_429_for_a_while_is_asked_again";
    let Some(cluster) = OnKubernetes::start(test, "busy") else { return };
    cluster.fails(first(3, changes_the_deployment, || refused(429, "TooManyRequests")));
    cluster.sync().expect(0);
    let times = cluster.changes_of_the_deployment();
    assert_eq!(times.len(), 4, "three that were refused and one that was not");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(50)), "with pauses");
}

#[test]
fn an_api_server_that_answers_500_midway_is_an_error_and_the_next_sync_completes() {
    let test = "an_api_server_that_answers_500_midway_is_an_error_and_the_next_sync_completes";
    let Some(cluster) = OnKubernetes::start(test, "broken") else { return };
    cluster.fails(|request| changes_the_deployment(request).then(|| refused(500, "InternalError")));
    cluster.sync().expect(2).says("Deployment").says("as the test says");
    cluster.works();
    cluster.completes_now();
}

#[test]
fn an_api_server_that_is_killed_midway_is_an_error_and_the_next_sync_completes() {
    let test = "an_api_server_that_is_killed_midway_is_an_error_and_the_next_sync_completes";
    let Some(cluster) = OnKubernetes::start(test, "killed") else { return };
    let plane = cluster.plane.clone();
    cluster.fails(move |request| {
        changes_the_deployment(request).then(|| {
            plane.end("kube-apiserver");
            Fate::Cut
        })
    });
    cluster.sync().expect(2).says("Deployment");
    cluster.plane.again("kube-apiserver");
    cluster.works();
    cluster.completes_now();
}

/// The first `count` of those that match get this fate.
fn first<T: ?Sized>(
    count: u32,
    matches: impl Fn(&T) -> bool + Send + Sync + 'static,
    fate: impl Fn() -> Fate + Send + Sync + 'static,
) -> impl Fn(&T) -> Option<Fate> + Send + Sync + 'static {
    let seen = AtomicU32::new(0);
    move |one| (matches(one) && seen.fetch_add(1, Ordering::SeqCst) < count).then(&fate)
}

struct OnEcs {
    aws: Arc<Aws>,
    machine: Machine,
    shop: Shop,
}

impl OnEcs {
    fn start(test: &str) -> Option<OnEcs> {
        present(test, &FOR_ECS).then(|| OnEcs {
            aws: Arc::new(Aws::start()),
            machine: Machine::new(),
            shop: Shop::new(&Version::good("1")),
        })
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.machine.start(arguments, &self.aws.environment()).wait()
    }

    fn sync(&self) -> Run {
        let file = self.shop.destined(&format!("ecs://{REGION}/{CLUSTER}"));
        self.run(&["sync", "-f", file.to_str().unwrap()])
    }

    fn completes_now(&self) {
        self.aws.works();
        self.sync().expect(0);
        self.run(&["status", "shop"]).expect(0).says("Healthy");
        assert_eq!(self.aws.service("shop")["deployments"][0]["rolloutState"], "COMPLETED");
    }
}

/// A control plane behind a proxy, in a namespace of its own.
struct OnKubernetes {
    plane: Arc<ControlPlane>,
    _plain: PlainServer,
    proxy: Proxy,
    machine: Machine,
    shop: Shop,
    namespace: &'static str,
    kubeconfig: String,
}

impl OnKubernetes {
    fn start(test: &str, namespace: &'static str) -> Option<OnKubernetes> {
        if !present(test, &FOR_KUBERNETES) {
            return None;
        }
        // One test kills the server, so it has one of its own.
        let plane =
            if namespace == "killed" { Arc::new(ControlPlane::start()) } else { ControlPlane::shared() };
        let plain = plane.plain();
        let proxy = Proxy::before(&plain.address);
        let shop = Shop::new(&Version::good("1"));
        let kubeconfig = KUBECONFIG.replace("SERVER_VALUE", &proxy.address);
        let kubeconfig = shop.written("kubeconfig", &kubeconfig).to_str().unwrap().to_owned();
        Some(OnKubernetes {
            plane,
            _plain: plain,
            proxy,
            machine: Machine::new(),
            shop,
            namespace,
            kubeconfig,
        })
    }

    fn fails(&self, fail: impl Fn(&Request) -> Option<Fate> + Send + Sync + 'static) {
        self.proxy.decide(move |request, _| fail(request).unwrap_or(Fate::Pass));
    }

    fn works(&self) {
        self.proxy.decide(|_, _| Fate::Pass);
    }

    fn changes_of_the_deployment(&self) -> Vec<Instant> {
        let requests = self.proxy.requests();
        requests
            .iter()
            .filter(|request| changes_the_deployment(request))
            .map(|request| request.arrived)
            .collect()
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.machine.start(arguments, &[("KUBECONFIG", &self.kubeconfig)]).wait()
    }

    fn sync(&self) -> Run {
        let text = self.shop.application(&self.proxy.address);
        let text = text.replace("namespace: shop", &format!("namespace: {}", self.namespace));
        let file = self.shop.written("application.yaml", &text);
        self.run(&["sync", "-f", file.to_str().unwrap()])
    }

    fn completes_now(&self) {
        self.sync().expect(0);
        self.run(&["status", "shop"]).expect(0).says("Healthy");
        let deployment =
            self.plane.kubectl_json(&["get", "deployment", "shop", "--namespace", self.namespace]);
        assert_eq!(deployment["status"]["availableReplicas"], 2, "{deployment}");
    }
}

fn changes_the_deployment(request: &Request) -> bool {
    let writes = matches!(&*request.method, "PATCH" | "PUT" | "POST");
    writes && request.path.contains("/deployments") && !request.path.contains("dryRun")
}

/// The API server's own form: metav1.Status.
fn refused(code: u16, reason: &str) -> Fate {
    let document = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "as the test says", "reason": reason, "code": code,
    });
    Fate::Answer(Answer::json(code, &document))
}

const KUBECONFIG: &str = "apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {}}]
clusters: [{name: test, cluster: {server: \"SERVER_VALUE\"}}]
";
