//! HTTP/1.1 and HTTP/2 without TLS. Each request finds its own replica, so a client's connection lives on across updates.

use std::convert::Infallible;
use std::error::Error as _;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::{TrySendError, http1 as client1, http2 as client2};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::backends::{Lease, Unavailable};
use super::headers;
use super::listener::Port;
use super::sniff::Rewound;
use crate::spec::ApplicationProtocol;

const HEADER_BYTES: usize = 64 << 10;
const HEADER_COUNT: usize = 200;
/// For a request's head, and for a client's silence between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);
const STREAMS: u32 = 256;

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// Serves one HTTP/1 connection.
pub(super) async fn serve_http1(
    io: Rewound,
    client: IpAddr,
    port: &Arc<Port>,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(|request| answer(request, client, port.clone(), false));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_COUNT)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => Some(served),
        _ = closing.wait_for(|closing| *closing) => None,
    };
    if served.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Serves one HTTP/2 connection.
pub(super) async fn serve_http2(
    io: Rewound,
    client: IpAddr,
    port: &Arc<Port>,
    mut closing: watch::Receiver<bool>,
) {
    let shared = port.clone();
    let service = service_fn(move |request| answer(request, client, shared.clone(), true));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES as u32)
        .max_concurrent_streams(STREAMS)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => Some(served),
        _ = closing.wait_for(|closing| *closing) => None,
    };
    if served.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

async fn answer(
    request: Request<Incoming>,
    client: IpAddr,
    port: Arc<Port>,
    client_http2: bool,
) -> Result<Answer, Infallible> {
    let http2 = client_http2 || port.application == Some(ApplicationProtocol::H2c);
    Ok(forward(request, client, &port, http2).await.unwrap_or_else(|problem| problem.into_answer(&port.name)))
}

/// Sends the request to one replica, exactly once.
async fn forward(
    mut request: Request<Incoming>,
    client: IpAddr,
    port: &Port,
    http2: bool,
) -> Result<Answer, Problem> {
    let upgrade = headers::towards_replica(&mut request, client, http2).map_err(Problem::Refused)?;
    let client_upgrade = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    loop {
        let (stream, lease) = port.backends.connect().await.map_err(Problem::Unavailable)?;
        let sent = if http2 { send2(stream, request).await } else { send1(stream, request).await };
        match sent {
            Ok(response) => return Ok(pass_back(response, lease, client_upgrade)),
            // Not a byte of it was written: it may go elsewhere.
            Err(Unsent::Kept(kept)) => request = *kept,
            Err(Unsent::Lost(error)) => {
                return Err(Problem::Broken { replica: lease.replica().to_owned(), error });
            }
        }
    }
}

/// A request that got no answer.
enum Unsent {
    Kept(Box<Request<Incoming>>),
    Lost(hyper::Error),
}

impl From<TrySendError<Request<Incoming>>> for Unsent {
    fn from(mut error: TrySendError<Request<Incoming>>) -> Unsent {
        match error.take_message() {
            Some(request) => Unsent::Kept(Box::new(request)),
            None => Unsent::Lost(error.into_error()),
        }
    }
}

async fn send1(stream: TcpStream, request: Request<Incoming>) -> Result<Response<Incoming>, Unsent> {
    let builder = client1::Builder::new().max_buf_size(4 * HEADER_BYTES).max_headers(HEADER_COUNT).clone();
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(Unsent::Lost)?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender.try_send_request(request).await?)
}

async fn send2(stream: TcpStream, request: Request<Incoming>) -> Result<Response<Incoming>, Unsent> {
    let builder = client2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(Unsent::Lost)?;
    tokio::spawn(connection);
    Ok(sender.try_send_request(request).await?)
}

fn pass_back(mut response: Response<Incoming>, lease: Lease, client: Option<OnUpgrade>) -> Answer {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    headers::towards_client(response.headers_mut(), switching);
    *response.version_mut() = hyper::Version::default();
    if let (true, Some(client)) = (switching, client) {
        let replica = hyper::upgrade::on(&mut response);
        tokio::spawn(carry(client, replica, lease));
        return response.map(|_| Full::default().map_err(|never| match never {}).boxed_unsync());
    }
    response.map(|body| Leased { body, _lease: lease }.boxed_unsync())
}

/// After a change of protocol: bytes both ways.
async fn carry(client: OnUpgrade, replica: OnUpgrade, lease: Lease) {
    if let (Ok(client), Ok(replica)) = tokio::join!(client, replica) {
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(replica)).await;
    }
    drop(lease);
}

/// An answer's body; its end is the end of the lease.
struct Leased {
    body: Incoming,
    _lease: Lease,
}

impl Body for Leased {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why there is no answer from a replica.
enum Problem {
    Refused(headers::Refused),
    Unavailable(Unavailable),
    Broken { replica: String, error: hyper::Error },
}

impl Problem {
    fn into_answer(self, port: &str) -> Answer {
        let (status, text) = match self {
            Problem::Refused(headers::Refused::Connect) => {
                (StatusCode::METHOD_NOT_ALLOWED, headers::Refused::Connect.to_string())
            }
            Problem::Refused(refused) => (StatusCode::BAD_REQUEST, refused.to_string()),
            Problem::Unavailable(unavailable) => (StatusCode::SERVICE_UNAVAILABLE, unavailable.to_string()),
            Problem::Broken { replica, error } => {
                let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                (StatusCode::BAD_GATEWAY, format!("replica {replica} broke off before it answered: {why}"))
            }
        };
        let text = format!("minato: service {port}: {text}\n");
        let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    }
}
