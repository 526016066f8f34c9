//! Connections: accepted, limited in number and patience, and ended in order.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::handle::Service;
use super::patience::Patient;
use super::tls::acceptor;
use super::{AccessError, Options, StorageError, TlsError};

/// How long requests that run may go on when the server is told to end.
const END_TIME: Duration = Duration::from_secs(10);
/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A registry that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
    tls: Option<TlsAcceptor>,
}

/// A registry that serves on the runtime that it was started on. It ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Why a registry can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address can't be had.
    #[error("{address}: {source}; choose another address with --listen")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The folder can't be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Users or keys can't be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Certificate and key can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Other machines would reach what nothing protects.
    #[error(
        "{0} can be reached from other machines: name users (--htpasswd) and a certificate (--tls-cert, --tls-key), or \
         say --insecure-listen where something else protects it"
    )]
    Exposed(SocketAddr),
}

impl Server {
    /// Opens the folder and listens; port 0 is any free one.
    ///
    /// # Errors
    /// When the address or the folder can't be had.
    pub async fn bind(address: SocketAddr, options: Options) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Address { address, source };
        let tls = options.tls.as_ref().map(acceptor).transpose()?;
        let insecure = options.insecure;
        let service = Arc::new(Service::open(options)?);
        let is_protected = tls.is_some() && !service.is_open();
        if !address.ip().is_loopback() && !is_protected && !insecure {
            return Err(ListenError::Exposed(address));
        }
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, service, tls })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on a task of this runtime.
    pub fn start(self) -> Running {
        let (end, ended) = oneshot::channel();
        let address = self.address;
        let until = async move {
            // A sender that is dropped says the same as one that sends.
            let _ = ended.await;
        };
        Running { address, end: Some(end), task: tokio::spawn(self.run(until)) }
    }

    /// Serves until `end`, and then finishes what runs.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(self.service.limits().connections));
        let graceful = GracefulShutdown::new();
        // What is spawned here ends with this future, however that ends.
        let (mut connections, mut upkeep) = (JoinSet::new(), JoinSet::new());
        upkeep.spawn(self.service.upkeep());
        let mut end = std::pin::pin!(end);
        loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await.expect("it is never closed");
                (slot, self.listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                next = next => next,
                () = &mut end => break,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (service, watcher, tls) = (Arc::clone(&self.service), graceful.watcher(), self.tls.clone());
            connections.spawn(async move {
                welcome(service, stream, watcher, tls).await;
                drop(slot);
            });
            while connections.try_join_next().is_some() {}
        }
        drop(upkeep);
        let _ = tokio::time::timeout(END_TIME, graceful.shutdown()).await;
    }
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, after what runs is finished.
    pub async fn stop(mut self) {
        drop(self.end.take());
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn welcome(service: Arc<Service>, stream: TcpStream, watcher: Watcher, tls: Option<TlsAcceptor>) {
    // Small answers go at once; it is no loss where that can't be had.
    let _ = stream.set_nodelay(true);
    let patience = service.limits().stall;
    let stream = Patient::new(stream, patience);
    let Some(tls) = tls else { return serve(service, stream, watcher).await };
    if let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(stream)).await {
        serve(service, stream, watcher).await;
    }
}

async fn serve(
    service: Arc<Service>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    watcher: Watcher,
) {
    let patience = service.limits().stall;
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(patience).keep_alive_timeout(patience);
    let connection = builder.serve_connection(TokioIo::new(stream), answer).into_owned();
    // A connection that breaks is the client's loss; an upload on it is kept.
    let _ = watcher.watch(connection).await;
}
