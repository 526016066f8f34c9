//! The supervisor's side of the control socket.

use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};

use super::protocol::{self, Hello, LINE_LIMIT, Reply, Request, WireError};
use crate::status::{Filter, Status};
use crate::supervisor::{Event, Events};

/// A greeting fits into this, whatever its version.
const GREETING_LIMIT: u64 = 4096;

/// Serves clients for ever.
pub(crate) async fn serve_clients(listener: UnixListener, events: Events, status: watch::Receiver<Status>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (events, status) = (events.clone(), status.clone());
                tokio::spawn(async move {
                    let _ = events.send(Event::Clients(1));
                    // A client that broke off learns nothing more, and its supervisor needs nothing of it.
                    let _ = converse(stream, &events, status).await;
                    let _ = events.send(Event::Clients(-1));
                });
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

async fn converse(
    stream: UnixStream,
    events: &Events,
    status: watch::Receiver<Status>,
) -> Result<(), WireError> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let peer: Hello = protocol::read(&mut reader, GREETING_LIMIT).await?;
    protocol::write(&mut writer, &Hello { protocol: protocol::PROTOCOL, build: protocol::own_build() })
        .await?;
    loop {
        let request: Request = match protocol::read(&mut reader, LINE_LIMIT).await {
            Ok(request) => request,
            Err(WireError::Malformed(error)) => {
                let refusal = format!(
                    "request not understood (protocol {} to {}): {error}",
                    peer.protocol,
                    protocol::PROTOCOL
                );
                protocol::write(&mut writer, &Reply::Refused(refusal)).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Request::Watch(filter) = request {
            return watch_status(reader, writer, &filter, status).await;
        }
        let (reply, answered) = oneshot::channel();
        let _ = events.send(Event::Request(request, reply));
        let answer = answered.await.map_err(|_| WireError::Closed)?;
        protocol::write(&mut writer, &answer).await?;
    }
}

/// Sends the status now and after each change, until the client goes.
async fn watch_status(
    mut reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    filter: &Filter,
    mut status: watch::Receiver<Status>,
) -> Result<(), WireError> {
    let mut sent: Option<Status> = None;
    loop {
        let current = status.borrow_and_update().selected(filter);
        if sent.as_ref() != Some(&current) {
            protocol::write(&mut writer, &Reply::Status(current.clone())).await?;
            sent = Some(current);
        }
        tokio::select! {
            changed = status.changed() => changed.map_err(|_| WireError::Closed)?,
            gone = protocol::read::<Request>(&mut reader, LINE_LIMIT) => return gone.map(drop),
        }
    }
}
