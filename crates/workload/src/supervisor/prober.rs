//! Asks probes and runs hooks.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use minato_runtime::{LOG_FILE, LogLine};
use tokio::net::TcpStream;

use super::dialler::{Dialler, SharedDialler};
use crate::decide::health::Answer;
use crate::engine::Containers;
use crate::proxy::Dial as _;
use crate::spec::{Hook, Probe, ProbeAction, ProbeScheme};

/// Most of an answer's body that is read.
const BODY_LIMIT: usize = 10 << 10;
/// Most of it that is told.
const TOLD: usize = 300;
/// Most of a log's end that is read.
const LOG_TAIL: u64 = 64 << 10;

/// Whom to ask.
pub(super) struct Target {
    pub(super) containers: Arc<dyn Containers>,
    pub(super) dialler: Arc<Dialler>,
    pub(super) address: Ipv4Addr,
    pub(super) runtime_id: String,
}

/// Asks once.
pub(super) async fn ask(target: &Target, probe: &Probe) -> Answer {
    let timeout = Duration::from_secs(probe.timeout_seconds.max(1).into());
    let question = question(target.address, &probe.action);
    match tokio::time::timeout(timeout, act(target, &probe.action)).await {
        Ok(Ok(text)) => Answer { passed: true, question, text },
        Ok(Err(text)) => Answer { passed: false, question, text },
        Err(_) => Answer { passed: false, question, text: format!("no answer in {} s", timeout.as_secs()) },
    }
}

/// Runs a hook to its end, at most so long.
pub(super) async fn run_hook(target: &Target, hook: Option<&Hook>, at_most: Duration) -> Result<(), String> {
    let Some(hook) = hook else { return Ok(()) };
    let work = async {
        tokio::time::sleep(Duration::from_secs(hook.sleep_seconds.into())).await;
        act(target, &hook.action).await
    };
    match tokio::time::timeout(at_most, work).await {
        Ok(outcome) => outcome.map(drop),
        Err(_) => Err(format!("it took more than {} s", at_most.as_secs())),
    }
}

async fn act(target: &Target, action: &ProbeAction) -> Result<String, String> {
    match action {
        ProbeAction::Http { port, scheme: ProbeScheme::Https, .. } | ProbeAction::Tcp { port } => {
            connect(target, *port).await.map(|_| "connected".to_owned())
        }
        ProbeAction::Http { path, port, host, headers, scheme: ProbeScheme::Http } => {
            get(target, path, *port, host.as_deref(), headers).await
        }
        ProbeAction::Exec { argv } => match target.containers.exec(&target.runtime_id, argv).await {
            Ok((0, output)) => Ok(shortened(&output)),
            Ok((code, output)) if output.is_empty() => Err(format!("exit code {code}")),
            Ok((code, output)) => Err(format!("exit code {code}: {}", shortened(&output))),
            Err(error) => Err(error.to_string()),
        },
        ProbeAction::None => Ok(String::new()),
    }
}

async fn connect(target: &Target, port: u16) -> Result<TcpStream, String> {
    let dial = SharedDialler(target.dialler.clone());
    dial.dial(SocketAddrV4::new(target.address, port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    })
}

async fn get(
    target: &Target,
    path: &str,
    port: u16,
    host: Option<&str>,
    headers: &[(String, String)],
) -> Result<String, String> {
    let words = |error: hyper::Error| match std::error::Error::source(&error) {
        Some(source) => format!("no HTTP answer: {source}"),
        None => format!("no HTTP answer: {error}"),
    };
    let stream = connect(target, port).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    tokio::spawn(connection);
    let authority = format!("{}:{port}", target.address);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = Request::get(path)
        .header("host", host.unwrap_or(&authority))
        .header("user-agent", concat!("minato-probe/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request =
        request.body(Empty::<Bytes>::new()).map_err(|error| format!("the probe is wrong: {error}"))?;
    let answer = sender.send_request(request).await.map_err(words)?;
    let status = answer.status();
    if status.is_success() || status.is_redirection() {
        return Ok(status.to_string());
    }
    let body = Limited::new(answer.into_body(), BODY_LIMIT).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let text = shortened(&String::from_utf8_lossy(&body));
    Err(if text.is_empty() { status.to_string() } else { format!("{status}: {text}") })
}

fn question(address: Ipv4Addr, action: &ProbeAction) -> String {
    match action {
        ProbeAction::Http { path, port, scheme, .. } => {
            let scheme = if *scheme == ProbeScheme::Https { "https" } else { "http" };
            format!("GET {scheme}://{address}:{port}/{}", path.trim_start_matches('/'))
        }
        ProbeAction::Tcp { port } => format!("TCP connection to {address}:{port}"),
        ProbeAction::Exec { argv } => shortened(&argv.join(" ")),
        ProbeAction::None => String::new(),
    }
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(TOLD).collect()
}

/// The last lines of a container's log, oldest first.
pub(super) fn last_log_lines(folder: &Path, count: usize) -> Vec<String> {
    let mut tail = Vec::new();
    if let Ok(mut file) = std::fs::File::open(folder.join(LOG_FILE)) {
        let length = file.metadata().map_or(0, |file| file.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)));
        let _ = file.take(LOG_TAIL).read_to_end(&mut tail);
    }
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<String> =
        text.lines().filter_map(LogLine::parse).map(|line| line.text.to_owned()).collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}
