//! The server that tests deploy in good and bad versions. Everything is set by environment variables:
//!
//! | variable | meaning |
//! |---|---|
//! | `PORT` (3000), `LISTEN` (0.0.0.0) | where it listens |
//! | `VERSION` (none) | sent as `x-version` and as the body of `/` |
//! | `START_MS` (0) | waits before it listens |
//! | `CRASH_MS` | exits with code 3 after this time |
//! | `UNREADY` | set: `/ready` always answers 503 |
//! | `UNREADY_AFTER_MS` | `/ready` and everything else answers 503 after this time |
//! | `EAT_MEMORY` | set: takes memory until it is ended |
//!
//! `/` `/ready` `/stream?ms=N` (a line each 100 ms, then `end`), `POST /post` (prints `POST <body>`), `/echo`
//! (answers the request's body and headers), `/slow?ms=N`. HTTP/1.1 and h2c. On SIGTERM it exits at once, whatever is in
//! flight, as careless programs do: draining is the proxy's work.
#![allow(clippy::print_stdout, reason = "its output is the test's evidence")]

use std::convert::Infallible;
use std::env;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type Body = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Clone)]
struct Settings {
    version: String,
    started: Instant,
    unready: bool,
    unready_after: Option<Duration>,
}

/// Serves as the environment says, until SIGTERM.
///
/// # Errors
/// When the address can't be listened on.
pub async fn serve_from_environment() -> std::io::Result<()> {
    let started = Instant::now();
    println!("version {} starts", text("VERSION", "none"));
    if env::var_os("EAT_MEMORY").is_some() {
        eat_memory();
    }
    if let Some(after) = milliseconds("CRASH_MS") {
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            println!("fatal: cannot reach the database");
            std::process::exit(3);
        });
    }
    tokio::time::sleep(milliseconds("START_MS").unwrap_or_default()).await;
    let settings = Settings {
        version: text("VERSION", "none"),
        started,
        unready: env::var_os("UNREADY").is_some(),
        unready_after: milliseconds("UNREADY_AFTER_MS"),
    };
    let listener =
        TcpListener::bind(format!("{}:{}", text("LISTEN", "0.0.0.0"), text("PORT", "3000"))).await?;
    println!("listening on {}", listener.local_addr()?);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = terminate.recv() => return Ok(()),
        };
        let settings = settings.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(settings.clone(), request));
            let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(settings: Settings, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let unready =
        settings.unready || settings.unready_after.is_some_and(|after| settings.started.elapsed() > after);
    let broken = settings.unready_after.is_some() && unready;
    let (status, body) = match (request.method().as_str(), request.uri().path()) {
        (_, "/ready") if unready => (StatusCode::SERVICE_UNAVAILABLE, full("database is down\n")),
        _ if broken => (StatusCode::SERVICE_UNAVAILABLE, full("database is down\n")),
        (_, "/ready") => (StatusCode::OK, full("ready\n")),
        ("POST", "/post") => {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            println!("POST {}", String::from_utf8_lossy(&body));
            (StatusCode::OK, full("done\n"))
        }
        (_, "/stream") => (StatusCode::OK, ticking(query_ms(&request, 2000))),
        (_, "/slow") => {
            tokio::time::sleep(Duration::from_millis(query_ms(&request, 1000))).await;
            (StatusCode::OK, full("slow\n"))
        }
        (_, "/echo") => {
            let headers = format!("{:?}\n", request.headers());
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            (StatusCode::OK, full([headers.as_bytes(), &body].concat()))
        }
        _ => (StatusCode::OK, full(format!("{}\n", settings.version))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(version) = settings.version.parse() {
        response.headers_mut().insert("x-version", version);
    }
    Ok(response)
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A line each 100 ms.
fn ticking(milliseconds: u64) -> Body {
    let lines = stream::unfold(0, move |tick: u64| async move {
        if tick * 100 > milliseconds {
            return None;
        }
        let last = (tick + 1) * 100 > milliseconds;
        if tick > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let line = if last { "end\n".to_owned() } else { format!("tick {tick}\n") };
        Some((Ok(Frame::data(Bytes::from(line))), tick + 1))
    });
    StreamBody::new(lines).boxed_unsync()
}

fn query_ms(request: &Request<Incoming>, default: u64) -> u64 {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').find_map(|pair| pair.strip_prefix("ms=")?.parse().ok()).unwrap_or(default)
}

fn eat_memory() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 8 << 20]);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn milliseconds(name: &str) -> Option<Duration> {
    Some(Duration::from_millis(env::var(name).ok()?.parse().ok()?))
}

fn text(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
