//! What a client speaks, from its first bytes. A client that says nothing may speak a protocol in which the server begins
//! (MySQL, SMTP), so after a short silence a replica is connected and whoever speaks first decides. An HTTP client that
//! connects early and asks late is so still recognised.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::backends::Lease;
use super::listener::Port;
use crate::spec::ApplicationProtocol;

const SILENCE: Duration = Duration::from_millis(250);
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No method anybody uses is longer (`UPDATEREDIRECTREF`).
const LONGEST_METHOD: usize = 20;

/// A connection whose protocol is known.
pub(super) enum Spoken {
    Http1(Rewound),
    Http2(Rewound),
    /// Anything else, with the replica where one is connected already.
    Bytes {
        client: Rewound,
        replica: Option<(TcpStream, Lease)>,
    },
}

impl Spoken {
    pub(super) fn bytes(stream: TcpStream) -> Spoken {
        Spoken::Bytes { client: Rewound { read: Vec::new(), given: 0, stream }, replica: None }
    }
}

/// A stream with the bytes that were read to look at them.
pub(super) struct Rewound {
    read: Vec<u8>,
    given: usize,
    stream: TcpStream,
}

/// What some first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    Http1,
    Http2,
    Bytes,
    Unclear,
}

/// Finds out what is spoken; `None` when the connection ended first.
pub(super) async fn listen(stream: TcpStream, port: &Port) -> Option<Spoken> {
    let http_only = port.application.is_some_and(|application| application != ApplicationProtocol::Tcp);
    let mut client = Rewound { read: Vec::with_capacity(1024), given: 0, stream };
    loop {
        match guess(&client.read) {
            Guess::Http1 => return Some(Spoken::Http1(client)),
            Guess::Http2 => return Some(Spoken::Http2(client)),
            // hyper says what is wrong with it.
            Guess::Bytes if http_only => return Some(Spoken::Http1(client)),
            Guess::Bytes => return Some(Spoken::Bytes { client, replica: None }),
            Guess::Unclear => {}
        }
        let reading = client.stream.read_buf(&mut client.read);
        let read = if http_only { Ok(reading.await) } else { tokio::time::timeout(SILENCE, reading).await };
        match read {
            Ok(Ok(0)) | Ok(Err(_)) => return half_said(client),
            Ok(Ok(_)) => {}
            Err(_) if client.read.is_empty() => return both(client, port).await,
            Err(_) => return Some(Spoken::Bytes { client, replica: None }),
        }
    }
}

/// The client said a little and closed its side: bytes, if anything.
fn half_said(client: Rewound) -> Option<Spoken> {
    (!client.read.is_empty()).then_some(Spoken::Bytes { client, replica: None })
}

/// Connects to a replica and waits for either side's first word.
async fn both(client: Rewound, port: &Port) -> Option<Spoken> {
    loop {
        let connected = tokio::select! {
            connected = port.backends.connect() => connected.ok(),
            readable = client.stream.readable() => { readable.ok()?; None }
        };
        let Some((replica, mut lease)) = connected else {
            // Nobody to ask, or the client spoke: what it says decides.
            return first_words(client, None).await;
        };
        let mut first = [0];
        tokio::select! {
            biased;
            readable = client.stream.readable() => {
                readable.ok()?;
                return first_words(client, Some((replica, lease))).await;
            }
            spoken = replica.peek(&mut first) => {
                if matches!(spoken, Ok(0) | Err(_)) {
                    // It closes silent connections; the client may still ask.
                    drop((replica, lease));
                    return first_words(client, None).await;
                }
                return Some(Spoken::Bytes { client, replica: Some((replica, lease)) });
            }
            () = lease.withdrawn(&port.backends) => {}
        }
    }
}

async fn first_words(mut client: Rewound, replica: Option<(TcpStream, Lease)>) -> Option<Spoken> {
    loop {
        match guess(&client.read) {
            Guess::Http1 => return Some(Spoken::Http1(client)),
            Guess::Http2 => return Some(Spoken::Http2(client)),
            Guess::Bytes => return Some(Spoken::Bytes { client, replica }),
            Guess::Unclear => {}
        }
        match client.stream.read_buf(&mut client.read).await {
            Ok(0) | Err(_) => return half_said(client),
            Ok(_) => {}
        }
    }
}

/// A request line begins with a method of capital letters, a blank, and `/`, `*` or a scheme's or host's first letter.
fn guess(bytes: &[u8]) -> Guess {
    let compared = bytes.len().min(HTTP2_PREFACE.len());
    if bytes[..compared] == HTTP2_PREFACE[..compared] {
        return if compared == HTTP2_PREFACE.len() { Guess::Http2 } else { Guess::Unclear };
    }
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    match (bytes.get(method), bytes.get(method + 1)) {
        (None, _) if method <= LONGEST_METHOD => Guess::Unclear,
        (Some(b' '), None) if method >= 3 => Guess::Unclear,
        (Some(b' '), Some(b'/' | b'*' | b'h' | b'H')) if method >= 3 => Guess::Http1,
        _ => Guess::Bytes,
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given < self.read.len() {
            let count = (self.read.len() - self.given).min(buffer.remaining());
            buffer.put_slice(&self.read[self.given..self.given + count]);
            self.given += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_protocol() {
        let cases: &[(&[u8], Guess)] = &[
            (b"", Guess::Unclear),
            (b"GE", Guess::Unclear),
            (b"GET ", Guess::Unclear),
            (b"GET / HTTP/1.1\r\n", Guess::Http1),
            (b"OPTIONS *", Guess::Http1),
            (b"VERSION-CONTROL /", Guess::Http1),
            (b"GET http://a/", Guess::Http1),
            (b"PR", Guess::Unclear),
            (b"PROPFIND /", Guess::Http1),
            (HTTP2_PREFACE, Guess::Http2),
            (b"*1\r\n$4\r\nPING\r\n", Guess::Bytes),
            (b"PING\r\n", Guess::Bytes),
            (b"GET key\r\n", Guess::Bytes),
            (b"\x16\x03\x01", Guess::Bytes),
            (b"get / HTTP/1.1", Guess::Bytes),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAA", Guess::Bytes),
        ];
        for (bytes, expected) in cases {
            assert_eq!(guess(bytes), *expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
