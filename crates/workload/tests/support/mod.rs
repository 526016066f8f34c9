//! What tests on the real machine need: a runner that lets shims and the supervisor take over first, an image made of
//! this very program, a data folder of its own, and a census of what a machine has.
#![allow(dead_code, missing_docs)] // Each test program uses a part of it.

#[path = "../../../runtime/tests/support/runner.rs"]
mod runner;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};

use minato_loadgen::{Load, Options, Report};
use minato_oci::{Digest, Store};
use minato_workload::spec::{
    ApplicationProtocol, Container, EnvValue, EnvVar, ImageUse, Limits, Pod, PortProtocol, Probe,
    ProbeAction, ProbeScheme, Publish, Restart, Run, Secret, Security, ServicePort, Strategy, TargetPort,
};
use minato_workload::{
    Cause, Filter, RolloutId, RolloutStatus, Service, ServiceKey, ServiceStatus, Supervisor,
    SupervisorOptions, Workload, WorkloadKey, WorkloadStatus,
};
pub use runner::{Missing, Test};

/// Runs tests after shims, the supervisor and what runs inside the containers were given their turn.
pub fn run(tests: &[Test]) {
    minato_workload::reexec();
    inside_a_container();
    runner::run(tests);
}

/// This program is also what the containers run.
fn inside_a_container() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve") => {
            let served = block_on(minato_loadgen::serve_from_environment());
            std::process::exit(i32::from(served.is_err()));
        }
        Some("get") => {
            let got = get(&arguments[2], arguments[3].parse().unwrap(), &arguments[4]);
            println!("{got:?}");
            std::process::exit(i32::from(got.is_err()));
        }
        _ => {}
    }
}

/// One request to a name and port; the answer's body.
pub fn get(host: &str, port: u16, path: &str) -> std::io::Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(answer)),
    }
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

/// A data folder with an image, and its supervisor.
pub struct Bench {
    folder: tempfile::TempDir,
    pub supervisor: Supervisor,
    image: ImageUse,
}

impl Bench {
    /// Runs a test on a bench of its own; whatever it leaves is deleted.
    pub fn with(
        test: impl for<'a> FnOnce(&'a Bench) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
    ) -> Result<(), Missing> {
        if !rustix::process::geteuid().is_root() {
            return Err(Missing("root".to_owned()));
        }
        let before = Census::take();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        block_on(async {
            let image = image(&folder.path().join("store"))?;
            let supervisor =
                Supervisor::connect_or_start(folder.path(), &SupervisorOptions::default()).await.unwrap();
            let bench = Bench { folder, supervisor, image };
            let body = tokio::time::timeout(Duration::from_secs(180), test(&bench));
            let ended = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(body)).await;
            let ended = match ended {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_late)) => Err("it took more than 180 s".to_owned()),
                Err(_) => Err("see above".to_owned()),
            };
            if ended.is_err() {
                eprintln!("supervisor's log:\n{}", bench.log());
            }
            bench.delete().await;
            bench.wait_for_its_end().await;
            ended.unwrap_or_else(|why| panic!("{why}"));
            Ok(())
        })?;
        let gone = || before.left_behind(&data).is_empty();
        eventually("nothing is left behind", gone, || format!("{:#?}", before.left_behind(&data)));
        Ok(())
    }

    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.data().join("run/supervisor.log")).unwrap_or_default()
    }

    pub fn supervisor_pid(&self) -> u32 {
        fs::read_to_string(self.data().join("run/supervisor.lock")).unwrap().trim().parse().unwrap()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill_supervisor(&self) {
        let pid = self.supervisor_pid();
        kill(pid);
    }

    async fn delete(&self) {
        self.supervisor.delete_application("app").await.unwrap();
        let status = self.supervisor.status(&Filter::default()).await.unwrap();
        assert!(status.workloads.is_empty() && status.services.is_empty(), "{status:?}");
    }

    /// With nothing to look after it ends by itself.
    async fn wait_for_its_end(&self) {
        let lock = self.data().join("run/supervisor.lock");
        for _ in 0..200 {
            let file = fs::File::open(&lock).unwrap();
            if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the supervisor did not end:\n{}", self.log());
    }

    /// A web workload; every setting is an environment variable of the server.
    pub fn web(&self, version: &str, settings: &[(&str, &str)]) -> Workload {
        let mut env: Vec<EnvVar> = [("VERSION", version), ("PATH", "/")].map(variable).to_vec();
        env.extend(settings.iter().copied().map(variable));
        let container = Container { env, ..self.container("web") };
        Workload {
            key: WorkloadKey { application: "app".into(), namespace: "default".into(), name: "web".into() },
            replicas: 2,
            strategy: Strategy::Rolling { max_surge: 1, max_unavailable: 0 },
            min_ready_seconds: 0,
            soak_seconds: 8,
            progress_deadline_seconds: 20,
            pod: Pod {
                labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
                containers: vec![container],
                grace_seconds: 10,
                ..Pod::default()
            },
            run: Run::Forever,
            annotations: BTreeMap::new(),
        }
    }

    pub fn container(&self, name: &str) -> Container {
        Container {
            name: name.to_owned(),
            image: self.image.clone(),
            args: vec!["/server".to_owned(), "serve".to_owned()],
            env: Vec::new(),
            cwd: String::new(),
            user: String::new(),
            extra_groups: Vec::new(),
            limits: Limits::default(),
            security: Security::default(),
            mounts: Vec::new(),
            startup: None,
            readiness: Some(http_probe("/ready", 3000)),
            liveness: None,
            post_start: None,
            pre_stop: None,
            depends_on: Vec::new(),
            essential: false,
            restart: Restart::Always,
            sidecar: false,
            stop_signal: String::new(),
            stop_timeout_seconds: None,
            ports: Vec::new(),
        }
    }

    pub async fn apply(&self, workload: &Workload) -> RolloutStatus {
        let id = self.supervisor.apply_workload(workload).await.unwrap();
        self.settled(&id).await
    }

    /// The rollout's end.
    pub async fn settled(&self, id: &RolloutId) -> RolloutStatus {
        loop {
            match self.supervisor.rollout(id).await.unwrap() {
                RolloutStatus::Progressing { .. } => tokio::time::sleep(Duration::from_millis(100)).await,
                status => return status,
            }
        }
    }

    pub async fn healthy(&self, workload: &Workload) {
        let status = self.apply(workload).await;
        assert_eq!(status, RolloutStatus::Healthy, "{}", self.log());
    }

    pub async fn fails(&self, workload: &Workload) -> Cause {
        match self.apply(workload).await {
            RolloutStatus::Failed { cause } => cause,
            other => panic!("{other:?}"),
        }
    }

    pub async fn workload(&self) -> WorkloadStatus {
        let status = self.supervisor.status(&Filter::application("app")).await.unwrap();
        status.workloads.into_iter().find(|workload| workload.key.name == "web").unwrap()
    }

    /// Pids of all running containers.
    pub async fn pids(&self) -> Vec<u32> {
        let workload = self.workload().await;
        let containers = workload.replicas.iter().flat_map(|replica| &replica.containers);
        containers
            .filter_map(|container| match container.state {
                minato_workload::ContainerState::Running { pid, .. } => Some(pid),
                _ => None,
            })
            .collect()
    }

    /// The published service in front of `web`.
    pub async fn publish(&self) -> ServiceStatus {
        self.supervisor
            .apply_service(&service("web", 80, Some(ApplicationProtocol::Http), true))
            .await
            .unwrap()
    }

    /// Every line that containers of `web` wrote.
    pub fn web_logs(&self) -> Vec<String> {
        let mut lines = Vec::new();
        collect_logs(&self.data().join("logs/app/default/web"), &mut lines);
        lines
    }
}

pub fn service(name: &str, port: u16, application: Option<ApplicationProtocol>, publish: bool) -> Service {
    let port = ServicePort {
        name: String::new(),
        port,
        target: TargetPort::Number(3000),
        protocol: PortProtocol::Tcp,
        application,
    };
    Service {
        key: ServiceKey { application: "app".into(), namespace: "default".into(), name: name.into() },
        selector: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        ports: vec![port],
        publish: if publish { Publish::Yes { preferred: None } } else { Publish::No },
        annotations: BTreeMap::new(),
    }
}

pub fn variable((name, value): (&str, &str)) -> EnvVar {
    EnvVar { name: name.to_owned(), value: EnvValue::Text(Secret::new(value)) }
}

pub fn http_probe(path: &str, port: u16) -> Probe {
    let action = ProbeAction::Http {
        path: path.to_owned(),
        port,
        host: None,
        headers: Vec::new(),
        scheme: ProbeScheme::Http,
    };
    Probe { action, period_seconds: 1, failure_threshold: 2, ..Probe::default() }
}

/// The acceptance table's load: 200 requests a second, half on new connections, a tenth streaming for 2 s, some POSTs.
pub fn load(status: &ServiceStatus) -> Load {
    let address = format!("127.0.0.1:{}", status.published[0].host_port);
    minato_loadgen::start(Options { address, ..Options::default() })
}

pub fn assert_none_failed(report: &Report) {
    assert_eq!(report.failed, 0, "of {}: {:#?}", report.sent, report.failures);
    assert!(report.sent > 100, "{}", report.sent);
}

pub fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    eventually("the killed process is gone", gone, String::new);
}

pub fn eventually(what: &str, holds: impl Fn() -> bool, or_else: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in 20 s: {what}: {}", or_else());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn collect_logs(folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            collect_logs(&entry.path(), lines);
        } else {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            lines.extend(text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).map(str::to_owned));
        }
    }
}

/// An image of one layer: this program as `/server`, and the libraries it needs.
fn image(store: &Path) -> Result<ImageUse, Missing> {
    let store = Store::open(store).unwrap();
    let staged = store.stage_layer().unwrap();
    let tree = staged.path();
    let program = std::env::current_exe().unwrap();
    let mut files = vec![(program.clone(), PathBuf::from("server"))];
    for library in libraries(&program)? {
        let inside = library.strip_prefix("/").unwrap().to_owned();
        files.push((library, inside));
    }
    for (from, to) in files {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
    for folder in ["tmp", "etc", "proc", "sys", "dev"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
    }
    let diff_id = Digest::sha256(b"an image of the test itself");
    staged.commit(&diff_id, 0).unwrap();
    Ok(ImageUse {
        id: Digest::sha256(b"its config"),
        layers: vec![diff_id],
        reference: "test/server:1".to_owned(),
    })
}

fn libraries(program: &Path) -> Result<Vec<PathBuf>, Missing> {
    let output = std::process::Command::new("ldd").arg(program).output();
    let output = output.map_err(|_| Missing("ldd".to_owned()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// What a machine has that a supervisor could leave behind. Other programs come and go meanwhile, so what belongs to a
/// data folder is told by its path or a name made of it; of control groups only what is new.
pub struct Census {
    cgroups: Vec<String>,
}

impl Census {
    pub fn take() -> Census {
        Census { cgroups: cgroups() }
    }

    /// Processes (and with them their namespaces), mounts, links and control groups that were not there before.
    pub fn left_behind(&self, data: &Path) -> Vec<String> {
        use sha2::Digest as _;
        let path = data.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mounts.lines().filter(|line| line.contains(&path)).map(|line| format!("mount {line}"));
        let bridge = format!(
            "minato{}",
            hex::encode(&sha2::Sha256::digest(data.as_os_str().as_encoded_bytes())[2..6])
        );
        let links = names("/sys/class/net").into_iter().filter(|name| *name == bridge);
        let cgroups = cgroups().into_iter().filter(|cgroup| !self.cgroups.contains(cgroup));
        processes(&path).into_iter().chain(mounts).chain(links).chain(cgroups).collect()
    }
}

/// Processes that name the data folder or have something of it mounted.
fn processes(data: &str) -> Vec<String> {
    let mut found = Vec::new();
    for pid in names("/proc").into_iter().filter(|name| name.parse::<u32>().is_ok()) {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        if command.contains(data) || mounts.contains(data) {
            found.push(format!("process {pid} {command}"));
        }
    }
    found
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn cgroups() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if depth < 5 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(format!("cgroup {}", entry.path().display()));
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    // Only those of the tests' workloads; other tests of this machine have theirs.
    found.retain(|cgroup| {
        cgroup.contains("/web-") || cgroup.contains("/client-") || cgroup.contains("/late-")
    });
    found
}
