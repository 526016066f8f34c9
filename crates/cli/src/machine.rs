//! This machine as the user set it: the data folder, and how to reach what is in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use minato_build::ContainerExecutor;
use minato_oci::Store;
use minato_oci::store::CollectOptions;
use minato_registry::{Client, Credentials, Mirror, Options};
use minato_runtime::{Engine, Runtime};
use minato_state::State;
use minato_workload::{EngineChoice, Supervisor, SupervisorOptions};

use crate::arguments::MachineArguments;
use crate::images;
use crate::print::Printer;

/// What no image and no revision needs stays so long as the cache of later builds.
const CACHE_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Resolved once from flags and environment.
pub struct Machine {
    data: PathBuf,
    engine: EngineChoice,
    mirrors: Vec<Mirror>,
    arguments: MachineArguments,
}

impl Machine {
    pub fn new(arguments: &MachineArguments) -> anyhow::Result<Machine> {
        let data = match &arguments.data_dir {
            Some(folder) => std::path::absolute(folder).context("--data-dir")?,
            None => default_data_folder()?,
        };
        let mirrors = arguments.registry_mirror.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let mirrors = mirrors.context("--registry-mirror")?;
        Ok(Machine { data, engine: engine(&arguments.engine)?, mirrors, arguments: arguments.clone() })
    }

    /// The folder of everything that Minato keeps.
    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.data.join("store"))?)
    }

    pub fn state(&self) -> anyhow::Result<State> {
        std::fs::create_dir_all(&self.data)
            .with_context(|| format!("data folder {}", self.data.display()))?;
        Ok(State::open(&self.data.join("state.db"))?)
    }

    /// Removes what nothing in the store has needed for a week. That this fails is no reason for a verb to fail.
    pub fn collect_garbage(&self, printer: &Printer) {
        let options = CollectOptions { keep_unused_for: CACHE_KEPT, at_most: self.arguments.store_limit };
        let collected = self.store().and_then(|store| Ok(store.collect_garbage(options)?));
        if let Err(error) = collected {
            printer.warning(&format!("unused images were not removed: {error:#}"));
        }
    }

    /// As [`Machine::collect_garbage`], and the versions of these repositories that no history remembers go, too.
    pub fn forget_old_versions(&self, printer: &Printer, repositories: &BTreeSet<String>) {
        let forgotten = self.store().and_then(|store| Ok(images::forget_old_versions(&store, repositories)?));
        if let Err(error) = forgotten {
            printer.warning(&format!("names of old images were not removed: {error:#}"));
        }
        self.collect_garbage(printer);
    }

    /// As [`Machine::collect_garbage`], where the user has set a limit: a build that makes nothing new stays quick.
    pub fn keep_to_limit(&self, printer: &Printer) {
        if self.arguments.store_limit.is_some() {
            self.collect_garbage(printer);
        }
    }

    /// A client of the registries, with the credentials that `login` left.
    pub fn registry_client(&self) -> anyhow::Result<Client> {
        self.registry_client_as(Credentials::from_environment()?)
    }

    /// A client of the registries, with these credentials.
    pub fn registry_client_as(&self, credentials: Credentials) -> anyhow::Result<Client> {
        Ok(Client::new(Options {
            mirrors: self.mirrors.clone(),
            plain_http: self.arguments.plain_http.clone(),
            credentials,
            certificates: self.arguments.registry_ca.clone(),
            certificate_folders: certificate_folders(),
            ..Options::default()
        })?)
    }

    /// Runs the RUN steps of builds.
    pub fn executor(&self) -> anyhow::Result<ContainerExecutor> {
        Ok(ContainerExecutor::new(&self.data.join("run/build"), self.container_engine())?)
    }

    /// Reaches single containers: `exec` needs no detour over the supervisor.
    pub fn containers(&self) -> anyhow::Result<Runtime> {
        Ok(Runtime::new(&self.data.join("run"), self.container_engine())?)
    }

    fn container_engine(&self) -> Engine {
        match &self.engine {
            EngineChoice::Embedded => Engine::Embedded,
            EngineChoice::Command(path) => Engine::Command(path.clone()),
        }
    }

    /// The supervisor, started where none runs.
    pub async fn supervisor(&self) -> anyhow::Result<Supervisor> {
        Ok(Supervisor::connect_or_start(&self.data, &self.supervisor_options()).await?)
    }

    /// The supervisor, if something runs or should run.
    pub async fn running_supervisor(&self) -> anyhow::Result<Option<Supervisor>> {
        if !self.data.join("run").exists() {
            return Ok(None);
        }
        Ok(Supervisor::connect(&self.data, &self.supervisor_options()).await?)
    }

    /// The user's choices for what runs here.
    pub fn target_options(&self) -> minato_local::Options {
        minato_local::Options {
            insecure: self.arguments.insecure,
            volumes: self.data.join("volumes"),
            ..Default::default()
        }
    }

    /// How the supervisor is started where none runs.
    pub fn supervisor_options(&self) -> SupervisorOptions {
        SupervisorOptions { executable: None, engine: self.engine.clone() }
    }
}

/// Where Docker and Podman look for a registry's certificates.
fn certificate_folders() -> Vec<PathBuf> {
    let own = std::env::home_dir().map(|home| home.join(".config/docker/certs.d"));
    let shared = ["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from);
    own.into_iter().chain(shared).filter(|folder| folder.is_dir()).collect()
}

fn default_data_folder() -> anyhow::Result<PathBuf> {
    if nobody_above_us() {
        return Ok(PathBuf::from("/var/lib/minato"));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let shared = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let shared =
        shared.ok_or_else(|| anyhow!("no home folder: set HOME, or name a folder with --data-dir"))?;
    Ok(shared.join("minato"))
}

fn nobody_above_us() -> bool {
    rustix::process::geteuid().is_root()
}

fn engine(name: &str) -> anyhow::Result<EngineChoice> {
    if name == "embedded" {
        return Ok(EngineChoice::Embedded);
    }
    let known = Path::new(name).file_name().is_some_and(|file| file == "crun" || file == "runc");
    if !known {
        return Err(anyhow!("--engine {name}: expected embedded, crun, runc, or the path of one of the two"));
    }
    let found = if name.contains('/') { Some(PathBuf::from(name)) } else { on_path(name) };
    let found = found.filter(|path| path.is_file());
    found
        .map(EngineChoice::Command)
        .ok_or_else(|| anyhow!("--engine {name}: there is no such command; install it, or use embedded"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// This command as people typed it, for those who wait for its lock.
pub fn own_command() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}
