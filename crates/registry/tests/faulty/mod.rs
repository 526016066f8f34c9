//! A proxy that resets, stalls, or answers 429 and 500, by a seed.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy)]
enum Fate {
    Good,
    /// The connection ends after so many bytes of requests.
    Reset(usize),
    /// Nothing moves after so many bytes of requests.
    Stalled(usize),
    /// The first request gets this answer.
    Answer(&'static str),
}

pub struct Proxy {
    pub address: SocketAddr,
    sent: Arc<AtomicU64>,
    faults: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn start(registry: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sent, faults) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, failed) = (sent.clone(), faults.clone());
        tokio::spawn(async move {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            while let Ok((client, _)) = listener.accept().await {
                let fate = fate(&mut state);
                if !matches!(fate, Fate::Good) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                tokio::spawn(serve(client, registry, fate, counted.clone()));
            }
        });
        Self { address, sent, faults }
    }

    /// Bytes of requests that came through, and connections that failed.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.faults.load(Ordering::Relaxed))
    }
}

fn fate(state: &mut u64) -> Fate {
    let mut next = |limit: u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) % limit
    };
    let bytes = 1 + next(1_500_000) as usize;
    match next(10) {
        0..5 => Fate::Reset(bytes),
        5 => Fate::Stalled(bytes),
        6 => Fate::Answer("500 Internal Server Error\r\n"),
        7 => Fate::Answer("429 Too Many Requests\r\nRetry-After: 0\r\n"),
        _ => Fate::Good,
    }
}

async fn serve(mut client: TcpStream, registry: SocketAddr, fate: Fate, sent: Arc<AtomicU64>) {
    if let Fate::Answer(status) = fate {
        let mut request = vec![0; 8192];
        let read = client.read(&mut request).await.unwrap_or(0);
        sent.fetch_add(read as u64, Ordering::Relaxed);
        let answer = format!("HTTP/1.1 {status}Content-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let upstream = TcpStream::connect(registry).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_registry, mut to_registry) = upstream.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_registry, &mut to_client).await });
    let (mut buffer, mut seen) = (vec![0; 64 << 10], 0);
    while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
        sent.fetch_add(count as u64, Ordering::Relaxed);
        seen += count;
        let _ = to_registry.write_all(&buffer[..count]).await;
        match fate {
            Fate::Reset(limit) if seen >= limit => break,
            Fate::Stalled(limit) if seen >= limit => tokio::time::sleep(Duration::from_secs(60)).await,
            _ => {}
        }
    }
    answers.abort();
}
