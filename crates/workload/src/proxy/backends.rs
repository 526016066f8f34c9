//! Who may take a request: the ready replicas of a service's port, the least busy first.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a request waits for a replica to become ready, unless a test says otherwise.
pub(crate) const HOLD: Duration = Duration::from_secs(10);
/// Requests that may wait at one port.
const WAITING_LIMIT: usize = 1024;
/// One attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between rounds in which no replica could be connected.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// Makes connections to one replica, from inside its network namespace.
#[async_trait]
pub(crate) trait Dial: Send + Sync {
    /// Connects to the pod's address.
    async fn dial(&self, address: SocketAddrV4) -> io::Result<TcpStream>;
}

/// Requests and connections that one replica has in flight, over all services.
#[derive(Debug)]
pub(crate) struct Traffic {
    in_flight: watch::Sender<usize>,
}

impl Traffic {
    pub(crate) fn new() -> Arc<Traffic> {
        Arc::new(Traffic { in_flight: watch::Sender::new(0) })
    }

    pub(crate) fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    /// Returns when nothing is in flight.
    pub(crate) async fn idle(&self) {
        let mut in_flight = self.in_flight.subscribe();
        // The sender lives as long as `self`.
        let _ = in_flight.wait_for(|count| *count == 0).await;
    }
}

/// One replica's port.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) replica: String,
    pub(crate) address: SocketAddrV4,
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) traffic: Arc<Traffic>,
}

/// The ready replicas behind one port of a service.
pub(crate) struct Backends {
    hold: Duration,
    state: Mutex<State>,
    /// Counts changes of `state.ready`.
    changed: watch::Sender<u64>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    ready: Vec<Backend>,
    turn: usize,
    /// Why nobody is ready, for the answer 503.
    trouble: String,
}

/// A backend's promise to take one request or connection. Counts as in flight until dropped.
pub(crate) struct Lease {
    backend: Backend,
    changes: watch::Receiver<u64>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.backend.traffic.in_flight.send_modify(|count| *count -= 1);
    }
}

/// No replica took the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("no ready replica{0}")]
    NoneReady(String),
    #[error("too many requests wait for a ready replica{0}")]
    TooManyWaiting(String),
    #[error("no replica could be connected to: {0}")]
    NotConnected(String),
}

impl Backends {
    pub(crate) fn new(hold: Duration) -> Arc<Backends> {
        Arc::new(Backends {
            hold,
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Replaces the set. After this returns no new lease goes to a replica that is not in it, and every earlier one is
    /// counted in its traffic.
    pub(crate) fn set(&self, ready: Vec<Backend>, trouble: String) {
        let mut state = self.lock();
        state.ready = ready;
        state.trouble = trouble;
        drop(state);
        self.changed.send_modify(|version| *version += 1);
    }

    /// Connects to the least busy ready replica; waits for one to become ready, but not for ever.
    pub(crate) async fn connect(&self) -> Result<(TcpStream, Lease), Unavailable> {
        let deadline = Instant::now() + self.hold;
        let mut tried = BTreeSet::new();
        let mut last_error = String::new();
        loop {
            let Some(lease) = self.pick(&tried) else {
                if tried.is_empty() {
                    self.wait(deadline).await?;
                } else if Instant::now() + ROUND_PAUSE >= deadline {
                    return Err(Unavailable::NotConnected(last_error));
                } else {
                    tried.clear();
                    tokio::time::sleep(ROUND_PAUSE).await;
                }
                continue;
            };
            let dialling = lease.backend.dial.dial(lease.backend.address);
            match tokio::time::timeout(CONNECT_TIMEOUT, dialling).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, lease));
                }
                Ok(Err(error)) => last_error = format!("{}: {error}", lease.replica()),
                Err(_) => last_error = format!("{}: no answer in {CONNECT_TIMEOUT:?}", lease.replica()),
            }
            tried.insert(lease.backend.replica.clone());
        }
    }

    fn pick(&self, tried: &BTreeSet<String>) -> Option<Lease> {
        let mut state = self.lock();
        let turn = state.turn;
        state.turn = turn.wrapping_add(1);
        let count = state.ready.len().max(1);
        let rotated = (0..state.ready.len()).map(|index| (index + turn) % count);
        let least = rotated
            .filter(|index| !tried.contains(&state.ready[*index].replica))
            .min_by_key(|index| state.ready[*index].traffic.in_flight())?;
        let backend = state.ready[least].clone();
        // Counted under the lock, so that `set` and the drain after it see it.
        backend.traffic.in_flight.send_modify(|count| *count += 1);
        Some(Lease { backend, changes: self.changed.subscribe() })
    }

    async fn wait(&self, deadline: Instant) -> Result<(), Unavailable> {
        let place = Place::take(&self.waiting);
        if place.0.load(Ordering::Relaxed) > WAITING_LIMIT {
            return Err(Unavailable::TooManyWaiting(self.trouble()));
        }
        let mut changes = self.changed.subscribe();
        loop {
            if !self.lock().ready.is_empty() {
                return Ok(());
            }
            match tokio::time::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Unavailable::NoneReady(self.trouble())),
            }
        }
    }

    fn trouble(&self) -> String {
        let trouble = self.lock().trouble.clone();
        if trouble.is_empty() { trouble } else { format!(": {trouble}") }
    }

    fn is_ready(&self, replica: &str) -> bool {
        self.lock().ready.iter().any(|backend| backend.replica == replica)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(crate) fn replica(&self) -> &str {
        &self.backend.replica
    }

    /// Returns when the replica takes no new requests any more.
    pub(super) async fn withdrawn(&mut self, backends: &Backends) {
        while backends.is_ready(&self.backend.replica) {
            if self.changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Place<'a> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Place(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
