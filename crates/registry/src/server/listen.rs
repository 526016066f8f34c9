//! Connections: accepted, limited in number and patience, and ended in order.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::handle::Service;
use super::{Options, StorageError};

/// How long requests that run may go on when the server is told to end.
const END_TIME: Duration = Duration::from_secs(10);
/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A registry that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
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
}

impl Server {
    /// Opens the folder and listens; port 0 is any free one.
    ///
    /// # Errors
    /// When the address or the folder can't be had.
    pub async fn bind(address: SocketAddr, options: Options) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Address { address, source };
        let service = Arc::new(Service::open(options)?);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, service })
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
        let upkeep = tokio::spawn(self.service.upkeep());
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
            let (service, watcher) = (Arc::clone(&self.service), graceful.watcher());
            tokio::spawn(async move {
                serve(service, stream, watcher).await;
                drop(slot);
            });
        }
        upkeep.abort();
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

async fn serve(service: Arc<Service>, stream: TcpStream, watcher: hyper_util::server::graceful::Watcher) {
    // Small answers go at once; it is no loss where that can't be had.
    let _ = stream.set_nodelay(true);
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
