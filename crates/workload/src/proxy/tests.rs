//! The proxy against replicas in this process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::testing::*;
use crate::spec::ApplicationProtocol;

#[tokio::test]
async fn a_kept_connection_moves_to_the_new_replica_and_requests_in_flight_finish() {
    let (old, new) = (web("old").await, web("new").await);
    let proxy = proxy(None, vec![old.clone()]).await;
    let mut kept = BufReader::new(TcpStream::connect(proxy.address).await.unwrap());
    kept.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(one_answer(&mut kept).await.ends_with("old "));
    let address = proxy.address;
    let slow = tokio::spawn(async move {
        let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        one_answer(&mut stream).await
    });
    while old.traffic.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    proxy.backends.set(vec![new], String::new());
    kept.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(one_answer(&mut kept).await.ends_with("new "), "the same connection, the new replica");
    assert_eq!(old.traffic.in_flight(), 1, "not drained yet");
    assert!(slow.await.unwrap().ends_with("old "));
    timeout(Duration::from_secs(2), old.traffic.idle()).await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let broken = move |mut stream: TcpStream| {
        let counted = counted.clone();
        async move {
            let mut bytes = [0; 1024];
            if stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let proxy = proxy(None, vec![replica("a", broken.clone()).await, replica("b", broken).await]).await;
    for _ in 0..10 {
        let before = seen.load(Ordering::SeqCst);
        let answer =
            raw(&proxy, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx")
                .await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert!(answer.contains("broke off before it answered"), "{answer}");
        assert_eq!(seen.load(Ordering::SeqCst), before + 1);
    }
}

#[tokio::test]
async fn a_replica_that_can_not_be_connected_costs_no_request() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        backend("gone", v4(&listener))
    };
    let proxy = proxy(None, vec![nobody.clone(), web("here").await]).await;
    for _ in 0..6 {
        assert!(get(&proxy, "/").await.contains("here"));
    }
    assert_eq!(nobody.traffic.in_flight(), 0);
}

#[tokio::test]
async fn a_request_waits_for_a_replica_and_is_told_why_there_is_none() {
    let proxy = proxy(None, Vec::new()).await;
    let backends = proxy.backends.clone();
    let late = web("late").await;
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        backends.set(vec![late], String::new());
    });
    assert!(get(&proxy, "/").await.contains("late"));
    proxy.backends.set(Vec::new(), "web-1: container web exited with code 3".to_owned());
    let answer = get(&proxy, "/").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("service default/web:80: no ready replica: web-1: container web exited with code 3")
    );
}

#[tokio::test]
async fn the_least_busy_replica_is_asked() {
    let (a, b) = (web("a").await, web("b").await);
    let proxy = proxy(None, vec![a.clone(), b.clone()]).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        slow.push(stream);
        let wanted = slow.len();
        while a.traffic.in_flight() + b.traffic.in_flight() < wanted {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((a.traffic.in_flight(), b.traffic.in_flight()), (1, 1));
}

#[tokio::test]
async fn http2_without_tls_is_carried() {
    for application in [None, Some(ApplicationProtocol::H2c), Some(ApplicationProtocol::Http)] {
        let proxy = proxy(application, vec![web("two").await]).await;
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..3 {
            let request = Request::post("http://a.example/").body(Full::new(Bytes::from("hello"))).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "two hello");
        }
        let request = Request::get("http://a.example/stream").body(Full::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "2", "trailers pass, as gRPC needs");
    }
}

#[tokio::test]
async fn an_http1_client_reaches_an_h2c_replica() {
    let proxy = proxy(Some(ApplicationProtocol::H2c), vec![web("two").await]).await;
    let answer = get(&proxy, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("two"), "{answer}");
}

#[tokio::test]
async fn a_stream_passes_piece_by_piece() {
    let proxy = proxy(None, vec![web("a").await]).await;
    let mut stream = BufReader::new(TcpStream::connect(proxy.address).await.unwrap());
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n").await.unwrap();
    let start = tokio::time::Instant::now();
    let mut line = String::new();
    while !line.contains("part 0") {
        stream.read_line(&mut line).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(250), "the first piece did not wait for the second");
    while !line.contains("x-sum: 2") {
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0, "{line}");
    }
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_and_counts_as_in_flight() {
    let echo = replica("a", |stream| async move {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).await.unwrap();
        }
        assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let mut byte = [0; 4];
        stream.read_exact(&mut byte).await.unwrap();
        stream.write_all(&byte).await.unwrap();
    })
    .await;
    let proxy = proxy(None, vec![echo.clone()]).await;
    let mut client = BufReader::new(TcpStream::connect(proxy.address).await.unwrap());
    client
        .write_all(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    assert!(one_answer(&mut client).await.starts_with("HTTP/1.1 101"));
    assert_eq!(echo.traffic.in_flight(), 1);
    client.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
    drop(client);
    timeout(Duration::from_secs(2), echo.traffic.idle()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_and_bytes_pass() {
    let greeter = replica("a", |mut stream| async move {
        stream.write_all(b"220 hello\r\n").await.unwrap();
        let mut line = [0; 6];
        stream.read_exact(&mut line).await.unwrap();
        stream.write_all(b"221 bye\r\n").await.unwrap();
    })
    .await;
    let proxy = proxy(None, vec![greeter]).await;
    let mut client = BufReader::new(TcpStream::connect(proxy.address).await.unwrap());
    let mut line = String::new();
    timeout(Duration::from_secs(2), client.read_line(&mut line)).await.unwrap().unwrap();
    assert_eq!(line, "220 hello\r\n");
    client.write_all(b"QUIT\r\n").await.unwrap();
    client.read_line(&mut line).await.unwrap();
    assert!(line.ends_with("221 bye\r\n"));
}

#[tokio::test]
async fn a_client_that_speaks_bytes_first_is_passed_through() {
    let echo = replica("a", |mut stream| async move {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await;
    for application in [None, Some(ApplicationProtocol::Tcp)] {
        let proxy = proxy(application, vec![echo.clone()]).await;
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "*1\r\n$4\r\nPING\r\n");
    }
}

#[tokio::test]
async fn an_http_client_that_connects_early_and_asks_late_is_still_http() {
    let (old, new) = (web("old").await, web("new").await);
    let proxy = proxy(None, vec![old.clone()]).await;
    let mut early = BufReader::new(TcpStream::connect(proxy.address).await.unwrap());
    while old.traffic.in_flight() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.backends.set(vec![new], String::new());
    timeout(Duration::from_secs(2), old.traffic.idle())
        .await
        .expect("a silent connection does not hold a drain up");
    early.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(one_answer(&mut early).await.ends_with("new "));
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_not_passed_on() {
    let untouched = Arc::new(AtomicUsize::new(0));
    let counted = untouched.clone();
    let counting = replica("a", move |_| {
        let counted = counted.clone();
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let proxy = proxy(None, vec![counting]).await;
    let bad: [&[u8]; 5] = [
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in bad {
        let answer = timeout(Duration::from_secs(2), raw_until_answer(&proxy, bytes)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{}: {answer}", String::from_utf8_lossy(bytes));
    }
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(100 << 10));
    let answer = raw_until_answer(&proxy, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(untouched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_two_lengths_only_one_is_passed_on() {
    let seen = Arc::new(Mutex::new(String::new()));
    let record = seen.clone();
    let recording = replica("a", move |mut stream| {
        let record = record.clone();
        async move {
            let mut bytes = vec![0; 4096];
            let read = stream.read(&mut bytes).await.unwrap();
            record.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]).to_lowercase());
        }
    })
    .await;
    let proxy = proxy(None, vec![recording]).await;
    let two =
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    raw_until_answer(&proxy, two).await;
    let seen = seen.lock().unwrap().clone();
    assert!(seen.contains("transfer-encoding: chunked") && !seen.contains("content-length"), "{seen}");
}

async fn raw_until_answer(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = vec![0; 400];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let proxy = proxy(None, vec![web("a").await]).await;
    let mut client = BufReader::new(TcpStream::connect(proxy.address).await.unwrap());
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .await
        .unwrap();
    assert!(one_answer(&mut client).await.starts_with("HTTP/1.1 100"));
    client.write_all(b"abc").await.unwrap();
    assert!(one_answer(&mut client).await.ends_with("a abc"));
}

#[tokio::test]
async fn a_big_body_passes_both_ways() {
    let proxy = proxy(None, vec![web("a").await]).await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body = Bytes::from(vec![7; 20 << 20]);
    let request = Request::post("/").header("host", "a").body(Full::new(body)).unwrap();
    let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(answer.len(), 2 + (20 << 20));
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_replica() {
    let hanging = replica("a", |mut stream| async move {
        let mut end = Vec::new();
        let _ = stream.read_to_end(&mut end).await;
    })
    .await;
    let proxy = proxy(None, vec![hanging.clone()]).await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    while hanging.traffic.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    timeout(Duration::from_secs(2), hanging.traffic.idle()).await.unwrap();
}

#[tokio::test]
async fn closing_ends_connections_after_their_answer() {
    let proxy = proxy(None, vec![web("a").await]).await;
    let mut kept = BufReader::new(TcpStream::connect(proxy.address).await.unwrap());
    kept.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.closing.send(true).unwrap();
    assert!(one_answer(&mut kept).await.contains("connection: close"));
    assert_eq!(kept.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn nothing_is_lost_while_replicas_change_all_the_time() {
    let names = ["v0", "v1", "v2", "v3"];
    let mut all = Vec::new();
    for name in names {
        all.push(web(name).await);
    }
    let proxy = proxy(None, vec![all[0].clone()]).await;
    let load = minato_loadgen::start(minato_loadgen::Options {
        address: proxy.address.to_string(),
        rate: 400.0,
        streaming: 0.0,
        ..minato_loadgen::Options::default()
    });
    let dead = Mutex::new(0);
    for round in 1..30 {
        let (old, new) = (&all[(round - 1) % 4], &all[round % 4]);
        proxy.backends.set(vec![new.clone()], String::new());
        timeout(Duration::from_secs(2), old.traffic.idle()).await.unwrap();
        *dead.lock().unwrap() += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = load.stop().await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    assert!(report.sent > 300, "{}", report.sent);
}
