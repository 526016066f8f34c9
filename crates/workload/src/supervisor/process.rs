//! The process around a supervisor: detached, one per data folder, with a socket and a log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;

use rustix::fs::FlockOperation;
use rustix::process::{Resource, Rlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::record::{self, Record};
use super::{Event, Network, Supervisor};
use crate::control::{ANOTHER_RUNS, ARGUMENT, Launch, Paths, Request, serve_clients};
use crate::engine::{Containers, Shims};
use crate::moment::Clock;
use crate::status::Status;

/// Becomes the supervisor, and never returns, when this process was started as one.
pub(crate) fn run_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return;
    }
    let launch = arguments.next().and_then(|text| serde_json::from_str::<Launch>(&text).ok());
    let Some(launch) = launch else {
        say("this argument is for the program's own use");
        exit(2);
    };
    match supervise(&launch) {
        Ok(true) => exit(0),
        Ok(false) => exit(ANOTHER_RUNS),
        Err(error) => {
            say(&error.to_string());
            exit(1);
        }
    }
}

/// Writes a line to the supervisor's log, which is its standard error.
pub(super) fn say(text: &str) {
    let now = Clock::new().now();
    // Where the log can't be written there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{}.{:03} {text}", now.0 / 1000, now.0 % 1000);
}

/// `false` when another supervisor has the data folder.
fn supervise(launch: &Launch) -> io::Result<bool> {
    // A terminal that closes, or a Ctrl-C there, is not meant for the supervisor.
    let _ = rustix::process::setsid();
    let paths = Paths::new(&launch.data);
    for folder in [&paths.run, &paths.pods, &paths.logs] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let Some(lock) = lock(&paths.lock)? else { return Ok(false) };
    more_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(serve(launch, &paths));
    // Long waits on threads of their own must not hold the end up.
    runtime.shutdown_background();
    let _ = std::fs::remove_file(&paths.socket);
    drop(lock);
    ended.map(|()| true)
}

async fn serve(launch: &Launch, paths: &Paths) -> io::Result<()> {
    let record = Record::load(&paths.record).map_err(io::Error::other)?;
    let record = record.unwrap_or_else(|| Record::new(record::boot_id()));
    let containers: Arc<dyn Containers> = Arc::new(Shims::new(&paths.run, &paths.store, &launch.engine)?);
    let (events, received) = mpsc::unbounded_channel();
    let network = Network::of_machine(&launch.data);
    let supervisor = Supervisor::new(paths.clone(), network, containers, events.clone(), record);
    let listener = listen(&paths.socket)?;
    tokio::spawn(serve_clients(listener, events.clone(), supervisor.status.subscribe()));
    tokio::spawn(end_on_signal(events));
    supervisor.run(received).await;
    Ok(())
}

/// Told to end, it leaves containers to the next supervisor.
async fn end_on_signal(events: super::Events) {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
    terminated.recv().await;
    let (reply, _) = tokio::sync::oneshot::channel();
    let _ = events.send(Event::Request(Request::Replace, reply));
}

/// Holds the data folder; `None` when another process does. The file names the holder's pid.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            Ok(Some(file))
        }
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whoever has the lock owns the socket's place, so one that lies there is stale.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = socket.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Each proxied request takes two descriptors.
fn more_descriptors() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit { current: limit.maximum, maximum: limit.maximum },
    );
}

impl Supervisor {
    pub(super) fn new(
        paths: Paths,
        network: Network,
        containers: Arc<dyn Containers>,
        events: super::Events,
        record: Record,
    ) -> Supervisor {
        Supervisor {
            paths,
            clock: Clock::new(),
            network,
            containers,
            events,
            record,
            saved: None,
            replicas: std::collections::BTreeMap::new(),
            services: std::collections::BTreeMap::new(),
            reserved: std::collections::BTreeMap::new(),
            deletions: Vec::new(),
            status: watch::Sender::new(Status::default()),
            clients: 0,
            idle_since: None,
            leaving: false,
            pinned: std::collections::BTreeSet::new(),
        }
    }
}
