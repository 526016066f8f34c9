//! An engine without containers: what a container does is told by its arguments, and pods' addresses are this machine's
//! own loopback addresses. It outlives supervisors, as shims do.
//!
//! `serve PORT`: answers HTTP on the pod's address. `exit CODE MILLISECONDS`: ends by itself. `sleep`: until a signal.
//! `stubborn`: until SIGKILL. `missing`: does not start. `exec` answers the exit code that its first argument names.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Containers, Ended, Found, NotStarted, Running, Start};
use crate::moment::Moment;
use crate::status::Exit;

/// Containers that are tasks.
#[derive(Default)]
pub(crate) struct Fake {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    there: BTreeMap<String, Process>,
    told: Vec<String>,
}

struct Process {
    ended: watch::Sender<Option<Ended>>,
    task: Option<AbortHandle>,
    stubborn: bool,
}

impl Fake {
    pub(crate) fn new() -> Arc<Fake> {
        Arc::new(Fake::default())
    }

    /// What was asked of it, in order: "start web-1.0.1", "signal web-1.0.1 SIGTERM", …
    pub(crate) fn told(&self) -> Vec<String> {
        self.lock().told.clone()
    }

    /// Everything that is there.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.lock().there.keys().cloned().collect()
    }

    /// As if the shim were killed.
    pub(crate) fn lose(&self, id: &str) {
        self.end(id, Ended::Lost);
    }

    /// As if the container were ended from outside.
    pub(crate) fn end(&self, id: &str, how: Ended) {
        let state = self.lock();
        let Some(process) = state.there.get(id) else { return };
        if let Some(task) = &process.task {
            task.abort();
        }
        process.ended.send_if_modified(|ended| {
            let first = ended.is_none() || how == Ended::Lost;
            if first {
                *ended = Some(how);
            }
            first
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, text: String) {
        self.lock().told.push(text);
    }

    fn lost(&self, id: &str) -> bool {
        self.lock().there.get(id).is_none_or(|process| *process.ended.borrow() == Some(Ended::Lost))
    }
}

pub(crate) fn exit(code: i32) -> Ended {
    Ended::Seen(Exit { code: Some(code), signal: None, out_of_memory: false, at: Moment(0) })
}

async fn answer_always(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let service =
                service_fn(|_| async { Ok::<_, Infallible>(hyper::Response::new("yes".to_owned())) });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[async_trait]
impl Containers for Fake {
    async fn start(&self, start: Start) -> Result<Running, NotStarted> {
        let refused = |message: &str| NotStarted { message: message.to_owned(), hopeless: true };
        self.tell(format!("start {}", start.id));
        let args: Vec<&str> = start.container.args.iter().map(String::as_str).collect();
        if start.holder.as_ref().is_some_and(|holder| self.lost(holder)) {
            return Err(NotStarted { message: "the namespace is gone".to_owned(), hopeless: false });
        }
        let ended = watch::Sender::new(None);
        let mut task = None;
        match args.as_slice() {
            ["serve", port] => {
                let port = port.parse().map_err(|_| refused("port"))?;
                let listener = TcpListener::bind(SocketAddrV4::new(start.network.address, port)).await;
                let listener = listener.map_err(|error| refused(&error.to_string()))?;
                task = Some(tokio::spawn(answer_always(listener)).abort_handle());
            }
            ["exit", code, after] => {
                let how = exit(code.parse().map_err(|_| refused("code"))?);
                let after = Duration::from_millis(after.parse().map_err(|_| refused("time"))?);
                let ended = ended.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    ended.send_replace(Some(how));
                });
            }
            ["sleep" | "stubborn"] => {}
            _ => return Err(refused("no such command")),
        }
        let process = Process { ended, task, stubborn: args == ["stubborn"] };
        let before = self.lock().there.insert(start.id.clone(), process);
        assert!(before.is_none(), "{} was started twice", start.id);
        Ok(Running { pid: 1, warnings: Vec::new() })
    }

    async fn list(&self) -> io::Result<Vec<Found>> {
        let state = self.lock();
        let found = state.there.iter().map(|(id, process)| {
            let ended = *process.ended.borrow();
            Found { id: id.clone(), running: ended.is_none().then_some(1), kept: ended != Some(Ended::Lost) }
        });
        Ok(found.collect())
    }

    async fn wait(&self, id: &str) -> Ended {
        let Some(mut ended) = self.lock().there.get(id).map(|process| process.ended.subscribe()) else {
            return Ended::Lost;
        };
        ended.wait_for(Option::is_some).await.ok().and_then(|ended| *ended).unwrap_or(Ended::Lost)
    }

    async fn signal(&self, id: &str, signal: &str) -> io::Result<()> {
        self.tell(format!("signal {id} {signal}"));
        let stubborn = self.lock().there.get(id).is_some_and(|process| process.stubborn);
        if signal == "SIGKILL" || !stubborn {
            self.end(id, exit(if signal == "SIGKILL" { 137 } else { 0 }));
        }
        Ok(())
    }

    async fn exec(&self, id: &str, argv: &[String]) -> io::Result<(i32, String)> {
        self.tell(format!("exec {id} {}", argv.join(" ")));
        Ok((argv.first().and_then(|code| code.parse().ok()).unwrap_or(0), "said so".to_owned()))
    }

    async fn sockets(&self, id: &str, count: u32) -> io::Result<Vec<OwnedFd>> {
        if self.lost(id) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let socket = || socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        (0..count).map(|_| socket().map_err(Into::into)).collect()
    }

    async fn listen(&self, _: &str, _: SocketAddrV4, keep: bool) -> io::Result<Option<OwnedFd>> {
        // All pods share this machine's addresses, so each gets a port of its own.
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        Ok(keep.then(|| listener.into()))
    }

    async fn remove(&self, id: &str) -> io::Result<()> {
        self.end(id, Ended::Lost);
        let mut state = self.lock();
        if state.there.remove(id).is_some() {
            state.told.push(format!("remove {id}"));
        }
        Ok(())
    }
}
