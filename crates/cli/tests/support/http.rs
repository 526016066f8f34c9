//! Just enough HTTP to ask a server one thing.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Asks on a connection of its own; the status code and the body.
pub fn get(address: &str, path: &str) -> io::Result<(u16, String)> {
    let host = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status =
        head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}

/// The body of a path that must answer 200.
#[track_caller]
pub fn page(address: &str, path: &str) -> String {
    let (status, body) = get(address, path).unwrap_or_else(|error| panic!("{address}{path}: {error}"));
    assert_eq!(status, 200, "{address}{path}: {body}");
    body
}

/// How long it takes until the address answers 200; panics when the limit is over.
#[track_caller]
pub fn time_until_served(address: &str, limit: Duration) -> Duration {
    let began = Instant::now();
    loop {
        match get(address, "/") {
            Ok((200, _)) => return began.elapsed(),
            other if began.elapsed() > limit => panic!("{address} does not serve after {limit:?}: {other:?}"),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
