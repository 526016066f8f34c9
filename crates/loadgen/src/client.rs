//! Sends the requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::report::{FailureKind, Outcome, Report, Tally};

/// What to send.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port` to connect to.
    pub address: String,
    /// Requests a second.
    pub rate: f64,
    /// How long to send; until [`Load::stop`] where absent.
    pub duration: Option<Duration>,
    /// Share of requests on a connection of their own (0–1); the others use kept ones.
    pub new_connections: f64,
    /// Share of requests for `stream_path` (0–1).
    pub streaming: f64,
    /// Share of requests that POST a unique id to `post_path` (0–1).
    pub posts: f64,
    /// GET.
    pub path: String,
    /// A stream whose body must end with the line `end`.
    pub stream_path: String,
    /// POST; the id is the body.
    pub post_path: String,
    /// Longest wait for one whole answer.
    pub timeout: Duration,
    /// Prefix of POST ids.
    pub run: String,
}

impl Default for Options {
    /// The load of the acceptance table: 200 a second, half on new connections, a tenth streaming, some POSTs.
    fn default() -> Self {
        Options {
            address: "127.0.0.1:80".to_owned(),
            rate: 200.0,
            duration: None,
            new_connections: 0.5,
            streaming: 0.1,
            posts: 0.1,
            path: "/".to_owned(),
            stream_path: "/stream?ms=2000".to_owned(),
            post_path: "/post".to_owned(),
            timeout: Duration::from_secs(30),
            run: format!("run{}", std::process::id()),
        }
    }
}

/// A running load.
pub struct Load {
    stop: watch::Sender<bool>,
    report: tokio::task::JoinHandle<Report>,
}

impl Load {
    /// Sends no more, waits for the answers on their way, and adds up.
    pub async fn stop(self) -> Report {
        let _ = self.stop.send(true);
        self.finish().await
    }

    /// Waits until the options' duration is over.
    pub async fn finish(self) -> Report {
        self.report.await.unwrap_or_default()
    }
}

/// Begins to send; must be called inside a Tokio runtime.
pub fn start(options: Options) -> Load {
    let (stop, stopped) = watch::channel(false);
    let report = tokio::spawn(send_all(Arc::new(options), stopped));
    Load { stop, report }
}

async fn send_all(options: Arc<Options>, mut stopped: watch::Receiver<bool>) -> Report {
    let (outcomes, mut received) = mpsc::unbounded_channel();
    let kept: Arc<Kept> = Arc::default();
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        for number in 0u64.. {
            let due = start + Duration::from_secs_f64(number as f64 / options.rate);
            if options.duration.is_some_and(|duration| due - start >= duration) {
                break;
            }
            tokio::select! {
                _ = tokio::time::sleep_until(due) => {}
                _ = stopped.changed() => break,
            }
            let (options, kept, outcomes) = (options.clone(), kept.clone(), outcomes.clone());
            tokio::spawn(async move {
                let plan = Plan::new(&options, number);
                let outcome = one(&options, &kept, plan, due, due - start).await;
                let _ = outcomes.send(outcome);
            });
        }
    });
    let mut tally = Tally::default();
    while let Some(outcome) = received.recv().await {
        tally.add(outcome);
    }
    let _ = sender.await;
    tally.finish()
}

/// What the numbered request is. Shares are spread by steps that have no common rhythm.
struct Plan {
    new_connection: bool,
    streaming: bool,
    post_id: Option<String>,
}

impl Plan {
    fn new(options: &Options, number: u64) -> Plan {
        let spread = |step: f64| (number as f64 * step).fract();
        let kind = spread(0.618_033_988_749);
        let streaming = kind < options.streaming;
        let post = !streaming && kind < options.streaming + options.posts;
        Plan {
            new_connection: spread(0.414_213_562_373) < options.new_connections,
            streaming,
            post_id: post.then(|| format!("{}-{number}", options.run)),
        }
    }
}

async fn one(options: &Options, kept: &Arc<Kept>, plan: Plan, due: Instant, at: Duration) -> Outcome {
    let (method, path) = match (&plan.post_id, plan.streaming) {
        (Some(_), _) => ("POST", &options.post_path),
        (None, true) => ("GET", &options.stream_path),
        (None, false) => ("GET", &options.path),
    };
    let body = Bytes::from(plan.post_id.clone().unwrap_or_default());
    let idle = if plan.new_connection { None } else { kept.take() };
    let kept_connection = idle.is_some();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", &options.address)
        .header("connection", if plan.new_connection { "close" } else { "keep-alive" })
        .body(Full::new(body))
        .map_err(|error| (FailureKind::Protocol, error.to_string()));
    let exchange = async {
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&options.address).await?,
        };
        let (version, connection) = exchange(connection, request?, plan.streaming).await?;
        if !plan.new_connection {
            kept.put(connection);
        }
        Ok(version)
    };
    let result = match tokio::time::timeout_at(due + options.timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err((FailureKind::Timeout, format!("no whole answer in {:?}", options.timeout))),
    };
    Outcome {
        at,
        took: due.elapsed(),
        request: format!("{method} {path}"),
        kept_connection,
        streaming: plan.streaming,
        post_id: plan.post_id,
        result,
    }
}

type Connection = SendRequest<Full<Bytes>>;
type Failed = (FailureKind, String);

async fn connect(address: &str) -> Result<Connection, Failed> {
    let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => (FailureKind::ConnectRefused, error.to_string()),
        _ => (FailureKind::Connect, error.to_string()),
    })?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| (FailureKind::Connect, error.to_string()))?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(
    mut connection: Connection,
    request: Request<Full<Bytes>>,
    streaming: bool,
) -> Result<(String, Connection), Failed> {
    let answer = connection.send_request(request).await.map_err(|error| {
        let kind = if error.is_parse() { FailureKind::Protocol } else { FailureKind::ClosedBeforeAnswer };
        (kind, format!("{error}: {}", source_of(&error)))
    })?;
    let status = answer.status();
    let version = answer.headers().get("x-version").and_then(|value| value.to_str().ok());
    let version = version.unwrap_or("none").to_owned();
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| (FailureKind::Truncated, source_of(&error)))?.to_bytes();
    if !status.is_success() {
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        return Err((FailureKind::Status, format!("{status}: {text}")));
    }
    if streaming && !body.ends_with(b"end\n") {
        return Err((FailureKind::Truncated, "the stream did not end with its last line".to_owned()));
    }
    Ok((version, connection))
}

fn source_of(error: &hyper::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Connections that wait for their next request. One that was closed meanwhile is left out.
#[derive(Default)]
struct Kept(Mutex<Vec<Connection>>);

impl Kept {
    fn take(&self) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        let ready = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    fn put(&self, connection: Connection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
