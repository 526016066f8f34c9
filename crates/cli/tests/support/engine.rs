//! The three places where an Application can live, as far as a test that is the same for each needs to know.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::aws::{Aws, CLUSTER, REGION};
use super::cluster::ControlPlane;
use super::machine::{Machine, Run, Running};

/// Minato with what it is told of the engines by environment.
pub struct Deployer<'a> {
    pub machine: &'a Machine,
    environment: Vec<(String, String)>,
}

impl Deployer<'_> {
    pub fn new<'a>(machine: &'a Machine, engine: &dyn Engine) -> Deployer<'a> {
        Deployer { machine, environment: engine.environment() }
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        self.start(arguments).wait()
    }

    pub fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Running {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.machine.start(arguments, &environment)
    }

    pub fn sync(&self, file: &Path) -> Run {
        self.start_sync(file).wait()
    }

    pub fn start_sync(&self, file: &Path) -> Running {
        self.start(&[OsStr::new("sync"), OsStr::new("-f"), file.as_os_str()])
    }

    /// What `status` says of the only application.
    pub fn status(&self) -> Value {
        self.run(&["status", "-o", "json"]).json()[0].clone()
    }

    /// What became of each revision of `shop`, oldest first.
    pub fn results(&self) -> Vec<&'static str> {
        let history = self.run(&["history", "shop", "-o", "json"]);
        let mut rows = history.expect(0).json().as_array().unwrap().clone();
        rows.sort_by_key(|row| row["number"].as_u64());
        rows.iter().map(|row| if row["healthy"] == true { "healthy" } else { "failed" }).collect()
    }
}

/// One engine with a machine that deploys to it.
pub trait Engine {
    /// `spec.destination.server`.
    fn destination(&self) -> String;

    /// What Minato is told by environment.
    fn environment(&self) -> Vec<(String, String)>;

    /// From now on writes are counted.
    fn watch(&mut self);

    /// What was written since then, as the engine itself has recorded it.
    fn writes(&self) -> Vec<String>;
}

/// This machine.
pub struct ThisMachine<'a> {
    machine: &'a Machine,
    before: BTreeMap<String, String>,
}

impl ThisMachine<'_> {
    pub fn new(machine: &Machine) -> ThisMachine<'_> {
        ThisMachine { machine, before: BTreeMap::new() }
    }

    /// What is to run, and every process that runs.
    fn state(&self) -> BTreeMap<String, String> {
        let record = fs::read_to_string(self.machine.data().join("run/desired.json")).unwrap_or_default();
        let mut state = BTreeMap::from([("the supervisor's record".to_owned(), record)]);
        let running = self.machine.look().processes;
        state.extend(running.into_iter().map(|(process, what)| (format!("{process:?}"), what)));
        state
    }
}

impl Engine for ThisMachine<'_> {
    fn destination(&self) -> String {
        "local://".to_owned()
    }

    fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn watch(&mut self) {
        self.before = self.state();
    }

    fn writes(&self) -> Vec<String> {
        let now = self.state();
        let changed = now.iter().filter(|(name, what)| self.before.get(*name) != Some(what));
        let gone = self.before.keys().filter(|name| !now.contains_key(*name));
        changed.map(|(name, _)| name).chain(gone).cloned().collect()
    }
}

/// Kubernetes: an API server with its controllers.
pub struct Kubernetes {
    pub plane: Arc<ControlPlane>,
    seen: usize,
}

impl Kubernetes {
    pub fn shared() -> Kubernetes {
        Kubernetes { plane: ControlPlane::shared(), seen: 0 }
    }
}

impl Engine for Kubernetes {
    fn destination(&self) -> String {
        self.plane.server()
    }

    fn environment(&self) -> Vec<(String, String)> {
        vec![("KUBECONFIG".to_owned(), self.plane.kubeconfig().to_str().unwrap().to_owned())]
    }

    fn watch(&mut self) {
        self.seen = self.plane.audited().len();
    }

    fn writes(&self) -> Vec<String> {
        let asked = self.plane.audited();
        let writes = asked[self.seen..].iter().filter(|asked| asked.is_write() && asked.is_minato());
        writes.map(|asked| format!("{} {}", asked.verb, asked.path)).collect()
    }
}

/// Amazon ECS, as moto and the layer before it imitate it.
pub struct Ecs {
    pub aws: Aws,
}

impl Ecs {
    pub fn start() -> Ecs {
        Ecs { aws: Aws::start() }
    }
}

impl Engine for Ecs {
    fn destination(&self) -> String {
        format!("ecs://{REGION}/{CLUSTER}")
    }

    fn environment(&self) -> Vec<(String, String)> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.aws.environment().into_iter().map(owned).collect()
    }

    fn watch(&mut self) {
        self.aws.forget_calls();
    }

    fn writes(&self) -> Vec<String> {
        self.aws.writes()
    }
}
