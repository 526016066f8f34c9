//! The supervisor with an engine that has no containers: its own task, real probes and a real proxy, on loopback.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::record::{Record, boot_id};
use super::{Event, Events, Network, Supervisor};
use crate::control::{Paths, Reply, Request};
use crate::decide::pod::testing::{container, workload};
use crate::engine::Ended;
use crate::engine::fake::{Fake, exit};
use crate::spec::{
    Condition, Container, DependsOn, Hook, Probe, ProbeAction, ProbeScheme, Publish, Restart, Run, Service,
    ServiceKey, ServicePort, TargetPort, Workload,
};
use crate::status::{Filter, ReplicaPhase, RolloutId, RolloutStatus, ServiceStatus, Status, WorkloadStatus};

/// A supervisor in this process and its data folder.
struct Bench {
    folder: tempfile::TempDir,
    engine: Arc<Fake>,
    network: Network,
    events: Events,
    task: JoinHandle<()>,
}

impl Bench {
    fn new() -> Bench {
        // Tests run at once: each has addresses of its own.
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 88, 0, 0)) + number * 256);
        let network = Network { base, prefix: 24, bridge: None };
        let (folder, engine) = (tempfile::tempdir().unwrap(), Fake::new());
        let (events, task) = begin(&folder, &engine, &network);
        Bench { folder, engine, network, events, task }
    }

    /// As after `kill -9`: the task is gone at once, another begins from the record.
    async fn replace(&mut self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
        (self.events, self.task) = begin(&self.folder, &self.engine, &self.network);
    }

    fn paths(&self) -> Paths {
        Paths::new(self.folder.path())
    }

    async fn ask(&self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        assert!(self.events.send(Event::Request(request, reply)).is_ok(), "the supervisor ended");
        tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap()
    }

    async fn apply(&self, workload: &Workload) -> RolloutId {
        match self.ask(Request::ApplyWorkload(Box::new(workload.clone()))).await {
            Reply::Rollout(id) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn rollout(&self, id: &RolloutId) -> RolloutStatus {
        match self.ask(Request::Rollout(id.clone())).await {
            Reply::RolloutStatus(status) => status,
            other => panic!("{other:?}"),
        }
    }

    async fn settled(&self, workload: &Workload) -> RolloutStatus {
        let id = self.apply(workload).await;
        for _ in 0..2000 {
            match self.rollout(&id).await {
                RolloutStatus::Progressing { .. } => tokio::time::sleep(Duration::from_millis(10)).await,
                status => return status,
            }
        }
        panic!("still progressing: {:?}", self.status().await);
    }

    async fn status(&self) -> Status {
        match self.ask(Request::Status(Filter::default())).await {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&WorkloadStatus) -> bool) {
        for _ in 0..2000 {
            if holds(&self.status().await.workloads[0]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {what}: {:#?}\n{:#?}", self.status().await, self.engine.told());
    }

    async fn serve(&self) -> ServiceStatus {
        let port = ServicePort {
            name: String::new(),
            port: 80,
            target: TargetPort::Number(3000),
            protocol: crate::spec::PortProtocol::Tcp,
            application: None,
        };
        let service = Service {
            key: ServiceKey { application: "app".into(), namespace: "default".into(), name: "web".into() },
            selector: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
            ports: vec![port],
            publish: Publish::Yes { preferred: None },
            annotations: BTreeMap::new(),
        };
        match self.ask(Request::ApplyService(service)).await {
            Reply::Service(status) => status,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn begin(folder: &tempfile::TempDir, engine: &Arc<Fake>, network: &Network) -> (Events, JoinHandle<()>) {
    let paths = Paths::new(folder.path());
    std::fs::create_dir_all(&paths.run).unwrap();
    let record = Record::load(&paths.record).unwrap().unwrap_or_else(|| Record::new(boot_id()));
    let (events, received) = mpsc::unbounded_channel();
    let supervisor = Supervisor::new(paths, network.clone(), engine.clone(), events.clone(), record);
    let _ = events.send(Event::Clients(1));
    (events, tokio::spawn(supervisor.run(received)))
}

fn web(args: &[&str]) -> Workload {
    let mut workload = workload(1, 1, 0);
    workload.soak_seconds = 1;
    workload.pod.labels.insert("app".to_owned(), "web".to_owned());
    workload.pod.grace_seconds = 1;
    workload.pod.containers = vec![acting("web", args)];
    workload
}

fn acting(name: &str, args: &[&str]) -> Container {
    Container { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..container(name) }
}

fn get(path: &str) -> Option<Probe> {
    let (path, headers, scheme) = (path.to_owned(), Vec::new(), ProbeScheme::Http);
    let action = ProbeAction::Http { path, port: 3000, host: None, headers, scheme };
    Some(Probe { action, period_seconds: 1, ..Probe::default() })
}

fn run(argv: &[&str]) -> ProbeAction {
    ProbeAction::Exec { argv: argv.iter().map(|arg| (*arg).to_owned()).collect() }
}

/// The order in which things were asked of the engine, without the replica's id.
fn order(told: &[String]) -> Vec<String> {
    let short = |line: &String| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words[1] = words[1].split_once('.').map_or("", |(_, rest)| rest);
        words.join(" ")
    };
    told.iter().map(short).collect()
}

#[tokio::test]
async fn a_probed_workload_is_served_and_deleted_whole() {
    let bench = Bench::new();
    let mut workload = web(&["serve", "3000"]);
    workload.replicas = 2;
    workload.pod.containers[0].readiness = get("/ready");
    let service = bench.serve().await;
    assert_eq!(bench.settled(&workload).await, RolloutStatus::Healthy);
    let address = format!("127.0.0.1:{}", service.published[0].host_port);
    let load = minato_loadgen::Options { address, streaming: 0.0, ..minato_loadgen::Options::default() };
    let duration = Some(Duration::from_millis(500));
    let report = minato_loadgen::start(minato_loadgen::Options { duration, ..load }).finish().await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    assert_eq!(bench.ask(Request::DeleteApplication("app".to_owned())).await, Reply::Done);
    assert_eq!(bench.engine.ids(), Vec::<String>::new());
    assert_eq!(bench.status().await, Status::default());
    assert_eq!(std::fs::read_dir(bench.paths().pods).unwrap().count(), 0);
}

#[tokio::test]
async fn the_end_is_hook_signal_kill() {
    let bench = Bench::new();
    let mut workload = web(&["stubborn"]);
    workload.pod.containers[0].pre_stop = Some(Hook { action: run(&["0", "bye"]), sleep_seconds: 0 });
    workload.pod.containers[0].stop_signal = "SIGQUIT".to_owned();
    assert_eq!(bench.settled(&workload).await, RolloutStatus::Healthy);
    bench.ask(Request::DeleteWorkload(workload.key)).await;
    let expected = ["start 0.1", "exec 0.1 0 bye", "signal 0.1 SIGQUIT", "signal 0.1 SIGKILL", "remove 0.1"];
    assert_eq!(order(&bench.engine.told()), expected);
}

#[tokio::test]
async fn init_containers_and_dependencies_come_in_order() {
    let bench = Bench::new();
    let mut workload = web(&["sleep"]);
    let on = DependsOn { container: "db".to_owned(), condition: Condition::Healthy };
    workload.pod.containers[0].depends_on = vec![on];
    let probe = Probe { action: run(&["0"]), ..Probe::default() };
    workload.pod.containers.push(Container { readiness: Some(probe), ..acting("db", &["sleep"]) });
    workload.pod.init = vec![acting("migrate", &["exit", "0", "10"])];
    assert_eq!(bench.settled(&workload).await, RolloutStatus::Healthy);
    assert_eq!(order(&bench.engine.told()), ["start 0.1", "start 2.1", "exec 2.1 0", "start 1.1"]);
    bench.ask(Request::DeleteWorkload(workload.key)).await;
    let told = order(&bench.engine.told());
    let end = ["signal 1.1 SIGTERM", "remove 1.1", "signal 2.1 SIGTERM", "remove 2.1", "remove 0.1"];
    assert_eq!(told[4..], end, "what others depend on ends last, the namespace's keeper after all");
}

#[tokio::test]
async fn a_crash_is_told_with_its_log_and_the_old_version_stays() {
    let bench = Bench::new();
    let good = web(&["serve", "3000"]);
    assert_eq!(bench.settled(&good).await, RolloutStatus::Healthy);
    let before = bench.status().await.workloads[0].replicas.clone();
    let bad = web(&["missing"]);
    let RolloutStatus::Failed { cause } = bench.settled(&bad).await else { panic!("not failed") };
    assert!(cause.summary.contains("could not be started: no such command"), "{cause:?}");
    bench.until("rid of the bad replica", |workload| workload.replicas == before).await;
    assert_eq!(bench.status().await.workloads[0].revision, good.revision());
    // The good description again is healthy at once: it never stopped.
    assert_eq!(bench.settled(&good).await, RolloutStatus::Healthy);
    assert_eq!(bench.status().await.workloads[0].replicas, before);
}

#[tokio::test]
async fn a_task_runs_to_its_end_and_is_cleared_away() {
    let bench = Bench::new();
    let mut task = web(&["exit", "0", "20"]);
    task.run = Run::Once { attempts: 2 };
    task.pod.containers[0].restart = Restart::Never;
    assert_eq!(bench.settled(&task).await, RolloutStatus::Healthy);
    bench.until("cleared", |workload| workload.replicas[0].phase == ReplicaPhase::Succeeded).await;
    let mut failing = task.clone();
    failing.pod.containers[0].args = ["exit", "4", "20"].map(str::to_owned).to_vec();
    let RolloutStatus::Failed { cause } = bench.settled(&failing).await else { panic!("not failed") };
    assert_eq!(cause.exit.unwrap().code, Some(4), "{cause:?}");
    let starts = bench.engine.told().iter().filter(|line| line.starts_with("start")).count();
    assert_eq!(starts, 3, "one, then two attempts");
}

#[tokio::test]
async fn another_supervisor_adopts_what_runs_and_removes_what_nobody_knows() {
    let mut bench = Bench::new();
    let mut workload = web(&["serve", "3000"]);
    workload.pod.containers[0].readiness = get("/");
    let published = bench.serve().await.published;
    assert_eq!(bench.settled(&workload).await, RolloutStatus::Healthy);
    let before = bench.engine.ids();
    let stray = crate::engine::Start {
        id: "web-stray-9.0.1".to_owned(),
        replica: "web-stray-9".to_owned(),
        holder: None,
        network: bench.network.pod(bench.network.base),
        container: acting("stray", &["sleep"]),
        hostname: String::new(),
        mounts: Vec::new(),
        logs: PathBuf::new(),
    };
    crate::engine::Containers::start(&*bench.engine, stray).await.unwrap();
    std::fs::create_dir_all(bench.paths().pods.join("web-stray-9")).unwrap();
    bench.replace().await;
    let status = bench.status().await;
    assert!(status.workloads[0].replicas[0].serving, "ready as it was, before any probe: {status:#?}");
    assert_eq!(status.services[0].published, published);
    for _ in 0..500 {
        if bench.engine.ids() == before && !bench.paths().pods.join("web-stray-9").exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.engine.ids(), before);
    let starts = bench.engine.told().iter().filter(|line| line.starts_with("start")).count();
    assert_eq!(starts, 2, "nothing was started again");
}

#[tokio::test]
async fn what_ended_while_nobody_looked_is_seen_afterwards() {
    let mut bench = Bench::new();
    let workload = web(&["sleep"]);
    assert_eq!(bench.settled(&workload).await, RolloutStatus::Healthy);
    let id = bench.engine.ids()[0].clone();
    bench.task.abort();
    bench.engine.end(&id, exit(5));
    bench.replace().await;
    bench.until("started again", |workload| workload.replicas[0].restarts == 1 && workload.ready == 1).await;
    assert_eq!(bench.status().await.workloads[0].replicas[0].containers[0].last_exit.unwrap().code, Some(5));
    // A shim that was killed takes the replica's network with it: another replica takes its place.
    let replica = bench.status().await.workloads[0].replicas[0].id.clone();
    bench.task.abort();
    bench.engine.lose(&id);
    bench.replace().await;
    bench
        .until("replaced", |workload| {
            workload.ready == 1 && workload.replicas.iter().all(|one| one.id != replica)
        })
        .await;
}

#[tokio::test]
async fn a_lost_namespace_is_noticed_while_it_looks() {
    let bench = Bench::new();
    assert_eq!(bench.settled(&web(&["sleep"])).await, RolloutStatus::Healthy);
    let id = bench.engine.ids()[0].clone();
    bench.engine.end(&id, Ended::Lost);
    bench
        .until("replaced", |workload| workload.ready == 1 && !id.starts_with(&workload.replicas[0].id))
        .await;
}

#[tokio::test]
async fn after_a_reboot_nothing_runs_until_asked() {
    let mut bench = Bench::new();
    let workload = web(&["sleep"]);
    assert_eq!(bench.settled(&workload).await, RolloutStatus::Healthy);
    bench.task.abort();
    for id in bench.engine.ids() {
        bench.engine.lose(&id);
    }
    let path = bench.paths().record;
    let text = std::fs::read_to_string(&path).unwrap().replace(&boot_id(), "the boot before");
    std::fs::write(&path, text).unwrap();
    bench.replace().await;
    let status = bench.status().await;
    assert!(status.workloads[0].stopped_by_reboot && status.workloads[0].replicas.is_empty(), "{status:?}");
    assert_eq!(bench.ask(Request::Resume).await, Reply::Done);
    bench.until("up again", |workload| workload.ready == 1 && !workload.stopped_by_reboot).await;
}

#[tokio::test]
async fn what_can_not_be_is_refused_in_words() {
    let bench = Bench::new();
    let mut escaping = web(&["sleep"]);
    escaping.key.name = "../x".to_owned();
    let mut circular = web(&["sleep"]);
    let on = |name: &str| vec![DependsOn { container: name.to_owned(), condition: Condition::Started }];
    circular.pod.containers[0].depends_on = on("b");
    circular.pod.containers.push(Container { depends_on: on("web"), ..acting("b", &["sleep"]) });
    for (workload, expected) in [(escaping, "may hold only"), (circular, "in a circle: web, b")] {
        match bench.ask(Request::ApplyWorkload(Box::new(workload))).await {
            Reply::Refused(reason) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let nobody = web(&["sleep"]).key;
    assert_eq!(
        bench.ask(Request::Restart(nobody.clone())).await,
        Reply::Refused(format!("there is no workload {nobody}"))
    );
    assert_eq!(bench.ask(Request::DeleteWorkload(nobody)).await, Reply::Done, "gone already");
}

#[tokio::test]
async fn it_ends_when_nothing_is_left() {
    let bench = Bench::new();
    let workload = web(&["sleep"]);
    assert_eq!(bench.settled(&workload).await, RolloutStatus::Healthy);
    bench.ask(Request::DeleteWorkload(workload.key)).await;
    let _ = bench.events.send(Event::Clients(-1));
    for _ in 0..1000 {
        if bench.task.is_finished() {
            assert!(!bench.paths().record.exists(), "an empty record is no record");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not end");
}
