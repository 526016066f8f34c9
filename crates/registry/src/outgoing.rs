//! The bytes of a blob on their way to a registry, from any byte on.

use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::meter::{Counter, Meter};
use crate::relay::Relay;

const CHUNK: usize = 128 << 10;

/// Where a blob's bytes are.
#[derive(Clone)]
pub(crate) enum Content {
    /// In a file.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
    /// In another registry, and on their way.
    Relay(Relay),
}

/// A blob from its byte `from` on; it can be opened again.
pub(crate) struct Outgoing<'a> {
    pub(crate) content: &'a Content,
    pub(crate) from: u64,
    pub(crate) meter: Meter<'a>,
}

impl Outgoing<'_> {
    /// The bytes from the first that is wanted.
    pub(crate) fn open(&self) -> reqwest::Body {
        let counter = self.meter.counter();
        match self.content {
            Content::File(path) => {
                let start = State::Closed(path.clone(), self.from);
                let next = move |state| next_of_file(state, counter.clone());
                reqwest::Body::wrap_stream(stream::try_unfold(start, next))
            }
            Content::Bytes(bytes) => {
                let start = usize::try_from(self.from).map_or(bytes.len(), |from| from.min(bytes.len()));
                let rest = bytes.slice(start..);
                counter.sent.fetch_add(rest.len() as u64, Ordering::Relaxed);
                rest.into()
            }
            Content::Relay(relay) => relay.open(self.from, counter),
        }
    }
}

enum State {
    Closed(PathBuf, u64),
    Open(File),
}

async fn next_of_file(state: State, counter: Counter) -> io::Result<Option<(Bytes, State)>> {
    let mut file = match state {
        State::Open(file) => file,
        State::Closed(path, from) => {
            let mut file = File::open(path).await?;
            file.seek(SeekFrom::Start(from)).await?;
            file
        }
    };
    let mut chunk = Vec::with_capacity(CHUNK);
    match file.read_buf(&mut chunk).await? {
        0 => Ok(None),
        count => {
            counter.sent.fetch_add(count as u64, Ordering::Relaxed);
            Ok(Some((chunk.into(), State::Open(file))))
        }
    }
}
