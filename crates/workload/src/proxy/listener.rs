//! One listening socket of a service's port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::backends::Backends;
use super::sniff::{self, Spoken};
use super::{http, tcp};
use crate::spec::ApplicationProtocol;

/// Connections that one port keeps at a time; more wait in the kernel's queue.
const CONNECTION_LIMIT: usize = 8192;

/// A service's port, shared by its listeners.
pub(crate) struct Port {
    /// For messages: "default/web:80".
    pub(crate) name: String,
    pub(crate) application: Option<ApplicationProtocol>,
    pub(crate) backends: Arc<Backends>,
    connections: Arc<Semaphore>,
}

impl Port {
    pub(crate) fn new(
        name: String,
        application: Option<ApplicationProtocol>,
        backends: Arc<Backends>,
    ) -> Arc<Port> {
        Arc::new(Port {
            name,
            application,
            backends,
            connections: Arc::new(Semaphore::new(CONNECTION_LIMIT)),
        })
    }
}

/// Accepts until `closing` becomes true; connections then end after the answer they are at.
pub(crate) async fn serve(listener: TcpListener, port: Arc<Port>, mut closing: watch::Receiver<bool>) {
    loop {
        let Ok(permit) = port.connections.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (port, closing) = (port.clone(), closing.clone());
                tokio::spawn(async move {
                    connection(stream, peer, &port, closing).await;
                    drop(permit);
                });
            }
            // Out of descriptors, or the peer was faster than us: neither is a reason to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, port: &Arc<Port>, closing: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let spoken = match port.application {
        Some(ApplicationProtocol::Tcp) => Spoken::bytes(stream),
        _ => match sniff::listen(stream, port).await {
            Some(spoken) => spoken,
            None => return,
        },
    };
    match spoken {
        Spoken::Http1(stream) => http::serve_http1(stream, client_of(peer), port, closing).await,
        Spoken::Http2(stream) => http::serve_http2(stream, client_of(peer), port, closing).await,
        Spoken::Bytes { client, replica } => tcp::pass(client, replica, port).await,
    }
}

fn client_of(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}
