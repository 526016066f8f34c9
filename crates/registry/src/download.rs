//! A blob's bytes, resumed where a connection broke, never more than were promised.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use minato_oci::Descriptor;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode, Url};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::failure::{RequestError, broken};
use crate::progress::{Event, Progress};
use crate::relay::Checked;
use crate::transport::{Request, Transport};

/// Chunks between network and disk: enough that neither waits for the other, and little memory.
const CHUNKS: usize = 16;
/// A transfer that brings less than this in a stall's time counts as stalled: a drop now and then is no progress.
const LEAST_PROGRESS: u64 = 1024;

/// The blocking end of a download.
pub(crate) struct BlobReader {
    chunks: mpsc::Receiver<Result<Bytes, Broken>>,
    current: Bytes,
}

/// The download ended early; its own error says why.
struct Broken;

/// The asynchronous end of a download.
pub(crate) struct Download<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a str,
    pub(crate) blob: &'a Descriptor,
    pub(crate) progress: &'a dyn Progress,
}

/// Where [`Download::run`] puts the chunks.
pub(crate) struct BlobSender(mpsc::Sender<Result<Bytes, Broken>>);

/// What [`Download::run`] brings.
pub(crate) struct Received(mpsc::Receiver<Result<Bytes, Broken>>);

pub(crate) fn channel() -> (BlobSender, Received) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    (BlobSender(sender), Received(receiver))
}

impl Received {
    /// To be read by a thread that may wait.
    pub(crate) fn blocking(self) -> BlobReader {
        BlobReader { chunks: self.0, current: Bytes::new() }
    }

    /// The next chunk; `None` after the last.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let chunk = self.0.recv().await.transpose();
        chunk.map_err(|Broken| io::Error::other("download ended early"))
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(Broken)) => return Err(io::Error::other("download ended early")),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Download<'_> {
    /// Sends the blob from byte `from` on, through `checked` where the reader does not check it himself. Ends early
    /// without an error when nobody reads any more: the reader knows why.
    pub(crate) async fn run(
        &self,
        from: u64,
        sender: BlobSender,
        checked: Option<&mut Checked<'_>>,
    ) -> Result<(), RequestError> {
        let result = self.send_all(from, &sender, checked).await;
        if result.is_err() {
            let _ = sender.0.send(Err(Broken)).await;
        }
        result
    }

    async fn send_all(
        &self,
        mut position: u64,
        sender: &BlobSender,
        mut checked: Option<&mut Checked<'_>>,
    ) -> Result<(), RequestError> {
        if position == self.blob.size {
            return Ok(());
        }
        let mut fruitless = 0;
        loop {
            let before = position;
            let error = match self.send_from(&mut position, sender, checked.as_deref_mut()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // A connection that brought something starts the count anew.
            fruitless = if position - before >= LEAST_PROGRESS { 0 } else { fruitless + 1 };
            let tired = fruitless > self.transport.retries(self.endpoint);
            if tired || !self.transport.wait(fruitless, &error, self.progress).await {
                return Err(error);
            }
        }
    }

    /// One connection's worth, from `position` on.
    async fn send_from(
        &self,
        position: &mut u64,
        sender: &BlobSender,
        mut checked: Option<&mut Checked<'_>>,
    ) -> Result<(), RequestError> {
        let path = format!("blobs/{}", self.blob.digest);
        let url = self.endpoint.url(self.repository, &path);
        let request = Request {
            endpoint: self.endpoint,
            repository: self.repository,
            path: &path,
            accept: None,
            from: *position,
        };
        let mut response = self.transport.get(request, self.progress).await?;
        let mut skip = skipped(&url, &response, *position)?;
        check_length(&url, &response, self.blob.size - *position + skip)?;
        let mut pace = Pace::new(self.transport.stall());
        while let Some(mut chunk) = pace.next(&url, &mut response).await? {
            let dropped = skip.min(chunk.len() as u64);
            chunk.advance(dropped as usize);
            skip -= dropped;
            let at = *position;
            *position += chunk.len() as u64;
            if *position > self.blob.size {
                return Err(RequestError::TooLong { url: url.to_string(), limit: self.blob.size });
            }
            match &mut checked {
                None => {
                    self.progress.event(Event::LayerAdvanced { layer: &self.blob.digest, bytes: *position });
                }
                // What has arrived elsewhere is what is told of.
                Some(checked) => {
                    if !checked.take(at, &chunk) {
                        return Err(self.not_the_blob(&url));
                    }
                }
            }
            if sender.0.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
            fail::fail_point!("registry.blob.chunk");
        }
        match *position < self.blob.size {
            true => Err(RequestError::Connection {
                url: url.to_string(),
                reason: format!("ended after {position} of {} bytes", self.blob.size),
            }),
            false => Ok(()),
        }
    }
}

impl Download<'_> {
    fn not_the_blob(&self, url: &Url) -> RequestError {
        let reason = format!("content is not what {} names; it is refused", self.blob.digest);
        RequestError::Answer { url: url.to_string(), reason }
    }
}

/// How many bytes at the start of the answer are here already: a server may not know ranges.
fn skipped(url: &Url, response: &Response, position: u64) -> Result<u64, RequestError> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(position);
    }
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let start: Option<u64> =
        range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    match start {
        Some(start) if start == position && position > 0 => Ok(0),
        _ => Err(RequestError::Answer {
            url: url.to_string(),
            reason: format!("answer to a request for bytes from {position} is for other bytes"),
        }),
    }
}

fn check_length(url: &Url, response: &Response, expected: u64) -> Result<(), RequestError> {
    match response.content_length() {
        Some(length) if length > expected => {
            Err(RequestError::TooLong { url: url.to_string(), limit: expected })
        }
        Some(length) if length < expected => Err(RequestError::Answer {
            url: url.to_string(),
            reason: format!("has {length} bytes, expected {expected}; the answer is refused"),
        }),
        _ => Ok(()),
    }
}

/// Watches that a body keeps coming. Time in which nobody asked for more does not count.
struct Pace {
    stall: Duration,
    waited: Duration,
    since: u64,
}

impl Pace {
    fn new(stall: Duration) -> Self {
        Self { stall, waited: Duration::ZERO, since: 0 }
    }

    async fn next(&mut self, url: &Url, response: &mut Response) -> Result<Option<Bytes>, RequestError> {
        let started = Instant::now();
        let left = self.stall.saturating_sub(self.waited);
        let chunk = match tokio::time::timeout(left, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| broken(url, &error))?,
            Err(_) => {
                return Err(RequestError::Stalled { url: url.to_string(), seconds: self.stall.as_secs() });
            }
        };
        self.waited += started.elapsed();
        self.since += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.since >= LEAST_PROGRESS {
            (self.waited, self.since) = (Duration::ZERO, 0);
        }
        Ok(chunk)
    }
}
