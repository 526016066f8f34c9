//! Replicas in this process, a proxy before them, and clients that speak byte by byte.

use std::future::Future;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::spec::ApplicationProtocol;

pub(super) struct Direct;

#[async_trait::async_trait]
impl Dial for Direct {
    async fn dial(&self, address: SocketAddrV4) -> std::io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

pub(super) fn v4(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().unwrap() {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => unreachable!("tests bind IPv4"),
    }
}

pub(super) fn backend(name: &str, address: SocketAddrV4) -> Backend {
    Backend { replica: name.to_owned(), address, dial: Arc::new(Direct), traffic: Traffic::new() }
}

/// A replica that handles each connection with `handle`.
pub(super) async fn replica<F, Fut>(name: &str, handle: F) -> Backend
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = v4(&listener);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    backend(name, address)
}

/// A replica that speaks HTTP: `/slow` takes 500 ms, `/stream` two chunks 300 ms apart, all else answers name and body.
pub(super) async fn web(name: &'static str) -> Backend {
    replica(name, move |stream| async move {
        let service = service_fn(move |request| web_answer(name, request));
        let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
    .await
}

pub(super) type WebBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

pub(super) async fn web_answer(
    name: &'static str,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<WebBody>, std::convert::Infallible> {
    if request.uri().path() == "/stream" {
        let parts = futures_util::stream::unfold(0, |part| async move {
            if part == 1 {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let frame = if part < 2 {
                Frame::data(Bytes::from(format!("part {part}\n")))
            } else {
                Frame::trailers([("x-sum".parse().unwrap(), "2".parse().unwrap())].into_iter().collect())
            };
            (part < 3).then_some((Ok(frame), part + 1))
        });
        let mut response = Response::new(StreamBody::new(parts).boxed_unsync());
        response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
        return Ok(response);
    }
    if request.uri().path() == "/slow" {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::from([name.as_bytes(), b" ", &body].concat()).boxed_unsync()))
}

/// A served port.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) backends: Arc<Backends>,
    pub(super) closing: watch::Sender<bool>,
}

pub(super) async fn proxy(application: Option<ApplicationProtocol>, ready: Vec<Backend>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backends = Backends::new(Duration::from_secs(2));
    backends.set(ready, String::new());
    let (closing, closed) = watch::channel(false);
    let port = Port::new("default/web:80".to_owned(), application, backends.clone());
    tokio::spawn(serve(listener, port, closed));
    Proxy { address, backends, closing }
}

/// Sends raw bytes on a connection of their own and reads to its end.
pub(super) async fn raw(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) async fn get(proxy: &Proxy, path: &str) -> String {
    raw(proxy, format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await
}

/// Reads one whole answer with Content-Length from a kept connection.
pub(super) async fn one_answer(reader: &mut BufReader<TcpStream>) -> String {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        assert_ne!(
            timeout(Duration::from_secs(5), reader.read_line(&mut line)).await.unwrap().unwrap(),
            0,
            "{head}"
        );
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8_lossy(&body)
}
