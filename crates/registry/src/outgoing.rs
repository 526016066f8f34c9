//! The bytes of a blob on their way to a registry, from any byte on.

use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::meter::Meter;

const CHUNK: usize = 128 << 10;

/// A file from `from` on; it can be opened again.
pub(crate) struct FileStream<'a> {
    pub(crate) path: PathBuf,
    pub(crate) from: u64,
    pub(crate) meter: Meter<'a>,
}

impl FileStream<'_> {
    /// The bytes from the first that is wanted.
    pub(crate) fn open(&self) -> reqwest::Body {
        let start = State::Closed(self.path.clone(), self.from);
        let counter = self.meter.counter();
        reqwest::Body::wrap_stream(stream::try_unfold(start, move |state| next(state, counter.clone())))
    }
}

enum State {
    Closed(PathBuf, u64),
    Open(File),
}

async fn next(state: State, counter: Arc<AtomicU64>) -> io::Result<Option<(Bytes, State)>> {
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
            counter.fetch_add(count as u64, Ordering::Relaxed);
            Ok(Some((chunk.into(), State::Open(file))))
        }
    }
}
