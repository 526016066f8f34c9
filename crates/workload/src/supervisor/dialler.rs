//! Connections to one replica, from inside its network namespace: its shim makes the sockets, a few in advance.

use std::io;
use std::net::{SocketAddrV4, TcpStream as StdStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::net::{TcpSocket, TcpStream};

use crate::engine::Containers;
use crate::proxy::Dial;

/// Asked for at a time.
const BATCH: u32 = 32;
/// With fewer left, more are fetched beforehand.
const LOW: usize = 8;

/// Makes connections to one replica.
pub(super) struct Dialler {
    containers: Arc<dyn Containers>,
    stock: Mutex<Stock>,
}

#[derive(Default)]
struct Stock {
    /// The container whose shim makes sockets.
    holder: Option<String>,
    sockets: Vec<OwnedFd>,
    fetching: bool,
}

impl Dialler {
    pub(super) fn new(containers: Arc<dyn Containers>) -> Arc<Dialler> {
        Arc::new(Dialler { containers, stock: Mutex::default() })
    }

    /// Says whose shim makes the sockets.
    pub(super) fn keep(&self, holder: Option<String>) {
        let mut stock = self.lock();
        if stock.holder != holder {
            stock.holder = holder;
            stock.sockets.clear();
        }
    }

    async fn socket(&self) -> io::Result<OwnedFd> {
        let (ready, holder) = {
            let mut stock = self.lock();
            (stock.sockets.pop(), stock.holder.clone())
        };
        if let Some(socket) = ready {
            return Ok(socket);
        }
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the replica has not started yet");
        let mut fetched = self.containers.sockets(&holder.ok_or_else(gone)?, BATCH).await?;
        let socket = fetched.pop().ok_or_else(gone)?;
        self.lock().sockets.append(&mut fetched);
        Ok(socket)
    }

    async fn refill(&self) {
        let holder = {
            let mut stock = self.lock();
            if stock.fetching || stock.sockets.len() >= LOW {
                return;
            }
            stock.fetching = true;
            stock.holder.clone()
        };
        let fetched = match &holder {
            Some(holder) => self.containers.sockets(holder, BATCH).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let mut stock = self.lock();
        stock.fetching = false;
        if stock.holder == holder {
            stock.sockets.extend(fetched);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dialler that may be held by tasks of their own.
pub(super) struct SharedDialler(pub(super) Arc<Dialler>);

#[async_trait]
impl Dial for SharedDialler {
    async fn dial(&self, address: SocketAddrV4) -> io::Result<TcpStream> {
        let socket = self.0.socket().await?;
        if self.0.lock().sockets.len() < LOW {
            let dialler = self.0.clone();
            tokio::spawn(async move { dialler.refill().await });
        }
        let socket = StdStream::from(socket);
        socket.set_nonblocking(true)?;
        TcpSocket::from_std_stream(socket).connect(address.into()).await
    }
}
