//! The caller's side: one connection for each call, so that a supervisor that was replaced in between is no matter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::launch::{self, SupervisorOptions};
use super::paths::Paths;
use super::protocol::{self, Hello, LINE_LIMIT, Reply, Request, WireError};
use crate::spec::{Service, ServiceKey, Workload, WorkloadKey};
use crate::status::{ContainerStatus, Filter, RolloutId, RolloutStatus, ServiceStatus, Status};

/// How often a call is asked again when the supervisor dies under it. Every request may be asked twice: each says how
/// things should be, not what to add.
const ATTEMPTS: u32 = 3;

/// How long a greeting may take.
const GREETING: Duration = Duration::from_secs(5);

/// The supervisor of one data folder, as its callers see it.
#[derive(Debug, Clone)]
pub struct Supervisor {
    data: PathBuf,
    options: SupervisorOptions,
}

impl Supervisor {
    /// Reaches the data folder's supervisor; starts it where none runs, and replaces one of another build (its
    /// containers and their logs go on, the new one adopts them).
    pub async fn connect_or_start(
        data: &Path,
        options: &SupervisorOptions,
    ) -> Result<Supervisor, SupervisorError> {
        let supervisor = Supervisor { data: data.to_owned(), options: options.clone() };
        launch::reach(&supervisor.data, &supervisor.options).await?;
        Ok(supervisor)
    }

    /// As [`Supervisor::connect_or_start`], but only where one runs or something is recorded that should run; `None`
    /// means that there is nothing to ask about. What a reboot stopped is told, and not started.
    pub async fn connect(
        data: &Path,
        options: &SupervisorOptions,
    ) -> Result<Option<Supervisor>, SupervisorError> {
        let paths = Paths::new(data);
        if UnixStream::connect(&paths.socket).await.is_err() && !launch::left_running(&paths) {
            return Ok(None);
        }
        Supervisor::connect_or_start(data, options).await.map(Some)
    }

    /// Makes a workload be as described. The same description again is no new rollout when it is healthy.
    pub async fn apply_workload(&self, workload: &Workload) -> Result<RolloutId, SupervisorError> {
        self.rollout_id(Request::ApplyWorkload(Box::new(workload.clone()))).await
    }

    /// Makes a service be as described.
    pub async fn apply_service(&self, service: &Service) -> Result<ServiceStatus, SupervisorError> {
        match self.call(&Request::ApplyService(service.clone())).await? {
            Reply::Service(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends a workload's replicas gracefully and returns when nothing of them is left. An unknown one is done.
    pub async fn delete_workload(&self, key: &WorkloadKey) -> Result<(), SupervisorError> {
        self.done(Request::DeleteWorkload(key.clone())).await
    }

    /// Stops serving and frees its host ports.
    pub async fn delete_service(&self, key: &ServiceKey) -> Result<(), SupervisorError> {
        self.done(Request::DeleteService(key.clone())).await
    }

    /// Deletes everything of an Application and returns when nothing is left.
    pub async fn delete_application(&self, application: &str) -> Result<(), SupervisorError> {
        self.done(Request::DeleteApplication(application.to_owned())).await
    }

    /// How a rollout goes.
    pub async fn rollout(&self, id: &RolloutId) -> Result<RolloutStatus, SupervisorError> {
        match self.call(&Request::Rollout(id.clone())).await? {
            Reply::RolloutStatus(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// How everything is.
    pub async fn status(&self, filter: &Filter) -> Result<Status, SupervisorError> {
        match self.call(&Request::Status(filter.clone())).await? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// How everything is, now and again after each change.
    pub async fn watch(&self, filter: &Filter) -> Result<Watch, SupervisorError> {
        let mut connection = launch::reach(&self.data, &self.options).await?;
        connection.send(&Request::Watch(filter.clone())).await?;
        Ok(Watch { connection })
    }

    /// Replaces every replica by a new one of the same revision, as a rolling update.
    pub async fn restart(&self, key: &WorkloadKey) -> Result<RolloutId, SupervisorError> {
        self.rollout_id(Request::Restart(key.clone())).await
    }

    /// Changes the number of replicas.
    pub async fn scale(&self, key: &WorkloadKey, replicas: u32) -> Result<RolloutId, SupervisorError> {
        self.rollout_id(Request::Scale(key.clone(), replicas)).await
    }

    /// Starts again what a reboot stopped.
    pub async fn resume(&self) -> Result<(), SupervisorError> {
        self.done(Request::Resume).await
    }

    /// The handle of a running (or just ended) container, for `exec` and signals with the caller's own terminal.
    pub fn container(&self, status: &ContainerStatus) -> Result<minato_runtime::Shim, SupervisorError> {
        let run = Paths::new(&self.data).run;
        let gone = |reason: String| SupervisorError::Refused(format!("container {}: {reason}", status.name));
        let runtime = minato_runtime::Runtime::new(&run, minato_runtime::Engine::Embedded);
        let runtime = runtime.map_err(|error| gone(error.to_string()))?;
        let id = status.runtime_id.parse().map_err(|_| gone("it has no id".to_owned()))?;
        let shim = runtime.adopt(&id).map_err(|error| gone(error.to_string()))?;
        shim.ok_or_else(|| gone("it does not run".to_owned()))
    }

    async fn rollout_id(&self, request: Request) -> Result<RolloutId, SupervisorError> {
        match self.call(&request).await? {
            Reply::Rollout(id) => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    async fn done(&self, request: Request) -> Result<(), SupervisorError> {
        match self.call(&request).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn call(&self, request: &Request) -> Result<Reply, SupervisorError> {
        let mut attempt = 1;
        loop {
            let mut connection = launch::reach(&self.data, &self.options).await?;
            match connection.ask(request).await {
                Ok(Reply::Refused(reason)) => return Err(SupervisorError::Refused(reason)),
                Ok(reply) => return Ok(reply),
                Err(WireError::Closed | WireError::Io(_)) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A stream of states.
#[derive(Debug)]
pub struct Watch {
    connection: Connection,
}

impl Watch {
    /// The next state; `None` when the supervisor ended. Safe to drop while it waits only together with the watch.
    pub async fn next(&mut self) -> Result<Option<Status>, SupervisorError> {
        match self.connection.receive().await {
            Ok(Reply::Status(status)) => Ok(Some(status)),
            Ok(Reply::Refused(reason)) => Err(SupervisorError::Refused(reason)),
            Ok(other) => Err(unexpected(&other)),
            Err(WireError::Closed) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// One greeted connection.
#[derive(Debug)]
pub(super) struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// Who answers.
    pub(super) peer: Hello,
}

impl Connection {
    pub(super) async fn open(socket: &Path) -> Result<Connection, WireError> {
        let (reader, mut writer) = UnixStream::connect(socket).await?.into_split();
        let mut reader = BufReader::new(reader);
        let greeting = async {
            protocol::write(
                &mut writer,
                &Hello { protocol: protocol::PROTOCOL, build: protocol::own_build() },
            )
            .await?;
            protocol::read(&mut reader, LINE_LIMIT).await
        };
        let peer = tokio::time::timeout(GREETING, greeting).await.map_err(|_| WireError::Closed)??;
        Ok(Connection { reader, writer, peer })
    }

    pub(super) async fn ask(&mut self, request: &Request) -> Result<Reply, WireError> {
        self.send(request).await?;
        self.receive().await
    }

    async fn send(&mut self, request: &Request) -> Result<(), WireError> {
        protocol::write(&mut self.writer, request).await
    }

    async fn receive(&mut self) -> Result<Reply, WireError> {
        protocol::read(&mut self.reader, LINE_LIMIT).await
    }
}

fn unexpected(reply: &Reply) -> SupervisorError {
    let shown = serde_json::to_string(reply).unwrap_or_default();
    SupervisorError::Unexpected(shown.chars().take(200).collect())
}

/// The supervisor could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// It did not start.
    #[error("the supervisor of {data} did not start: {reason} (its log: {log})")]
    Start {
        /// The data folder.
        data: PathBuf,
        /// Its last words.
        reason: String,
        /// Its log file.
        log: PathBuf,
    },
    /// The conversation broke.
    #[error("the supervisor could not be asked: {0}")]
    Wire(String),
    /// An answer to another question.
    #[error("the supervisor answered something else: {0}")]
    Unexpected(String),
}

impl From<WireError> for SupervisorError {
    fn from(error: WireError) -> Self {
        SupervisorError::Wire(error.to_string())
    }
}
