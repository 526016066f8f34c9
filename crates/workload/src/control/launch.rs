//! Finds the data folder's supervisor, or starts one as a detached process of its own.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::client::{Connection, SupervisorError};
use super::paths::Paths;
use super::protocol::{self, Hello, Request};

/// Hidden first argument of a supervisor process; the second is a [`Launch`] as JSON.
pub(crate) const ARGUMENT: &str = "__supervisor";

/// Exit code of a supervisor that found another one running.
pub(crate) const ANOTHER_RUNS: i32 = 75;

/// How long starting, or replacing another build, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the supervisor is started where none runs. A running one keeps its own options.
#[derive(Debug, Clone, Default)]
pub struct SupervisorOptions {
    /// The program to start; the running executable where absent. It must call [`crate::reexec`] first.
    pub executable: Option<PathBuf>,
    /// What runs containers.
    pub engine: EngineChoice,
}

/// What runs containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineChoice {
    /// The built-in engine.
    #[default]
    Embedded,
    /// `crun` or `runc` at this path.
    Command(PathBuf),
}

/// What a supervisor process is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) data: PathBuf,
    pub(crate) engine: EngineChoice,
}

/// A connection to a supervisor of this build.
pub(super) async fn reach(data: &Path, options: &SupervisorOptions) -> Result<Connection, SupervisorError> {
    let paths = Paths::new(data);
    let deadline = Instant::now() + PATIENCE;
    let own = Hello { protocol: protocol::PROTOCOL, build: own_build(options) };
    let mut child: Option<Child> = None;
    let mut pause = Duration::from_millis(2);
    loop {
        let last = match Connection::open(&paths.socket).await {
            Ok(connection) if connection.peer == own => {
                reap(child);
                return Ok(connection);
            }
            Ok(mut other) => {
                let _ = other.ask(&Request::Replace).await;
                "a supervisor of another build does not end".to_owned()
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(start_error(data, &paths, last));
        }
        match child.as_mut().map(Child::try_wait) {
            None => child = Some(spawn(data, options, &paths)?),
            Some(Ok(None)) => {}
            Some(Ok(Some(status))) if status.code() == Some(ANOTHER_RUNS) => child = None,
            Some(Ok(Some(status))) => {
                return Err(start_error(data, &paths, format!("{status}: {}", last_words(&paths.log))));
            }
            Some(Err(error)) => return Err(start_error(data, &paths, error.to_string())),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Whether the record says that something should run since this machine's start.
pub(super) fn left_running(paths: &Paths) -> bool {
    paths.record.exists()
}

/// The build that the started program will name: its file's, which for another executable is not ours.
fn own_build(options: &SupervisorOptions) -> String {
    match &options.executable {
        Some(executable) => protocol::build_of(executable),
        None => protocol::build_of(Path::new("/proc/self/exe")),
    }
}

fn spawn(data: &Path, options: &SupervisorOptions, paths: &Paths) -> Result<Child, SupervisorError> {
    let failed = |error: std::io::Error| start_error(data, paths, error.to_string());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&paths.run).map_err(failed)?;
    let log = open_log(&paths.log).map_err(failed)?;
    let launch = Launch { data: std::path::absolute(data).map_err(failed)?, engine: options.engine.clone() };
    let launch = serde_json::to_string(&launch).map_err(|error| failed(error.into()))?;
    let executable = match &options.executable {
        Some(executable) => executable.clone(),
        None => std::env::current_exe().map_err(failed)?,
    };
    let again = log.try_clone().map_err(failed)?;
    Command::new(executable)
        .args([ARGUMENT, &launch])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(again)
        .stderr(log)
        .spawn()
        .map_err(failed)
}

/// Appended to; begun anew above 1 MiB.
fn open_log(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > 1 << 20) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn last_words(log: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(log) {
        let length = file.metadata().map_or(0, |file| file.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(2000)));
        let _ = file.read_to_string(&mut text);
    }
    text.lines().last().unwrap_or("it said nothing").to_owned()
}

/// Waits for the child's end elsewhere, so that it leaves no zombie while the caller lives.
fn reap(child: Option<Child>) {
    if let Some(mut child) = child {
        std::thread::spawn(move || child.wait());
    }
}

fn start_error(data: &Path, paths: &Paths, reason: String) -> SupervisorError {
    SupervisorError::Start { data: data.to_owned(), reason, log: paths.log.clone() }
}
