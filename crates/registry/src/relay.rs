//! A blob from one registry to another through a few chunks of memory.
//!
//! ```text
//!  source GET ─► chunks, hashed once ─► destination PUT
//!     ▲                                     │
//!     └──── again from this byte on ◄───────┘   (the destination broke off and says what it has)
//! ```
//!
//! The source's breaks are mended by [`Download`] and the destination does not see them. The last bytes are let go only
//! when the whole has its digest.

use std::io;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use minato_oci::{Descriptor, Digester};
use tokio::sync::mpsc;

use crate::download::{BlobSender, Download, Received, channel};
use crate::failure::RequestError;
use crate::meter::Counter;

/// Opens the blob at the source, from any byte on. Each time stands in for the one before.
#[derive(Clone)]
pub(crate) struct Relay(mpsc::UnboundedSender<(u64, BlobSender)>);

/// The end that reads the source.
pub(crate) struct Source<'a> {
    download: Download<'a>,
    opened: mpsc::UnboundedReceiver<(u64, BlobSender)>,
}

/// Both ends of a transfer of `download`'s blob.
pub(crate) fn relay(download: Download<'_>) -> (Relay, Source<'_>) {
    let (sender, opened) = mpsc::unbounded_channel();
    (Relay(sender), Source { download, opened })
}

impl Relay {
    /// The bytes from `from` on.
    pub(crate) fn open(&self, from: u64, counter: Counter) -> reqwest::Body {
        let (sender, received) = channel();
        // Nobody at the other end means that the transfer is over: the stream then ends in an error.
        let _ = self.0.send((from, sender));
        reqwest::Body::wrap_stream(stream::try_unfold((received, counter), next))
    }
}

impl Source<'_> {
    /// Reads whatever the destination asks for; ends only by the source's error.
    pub(crate) async fn run(mut self) -> RequestError {
        let mut checked = Checked::new(self.download.blob);
        let mut asked = self.opened.recv().await;
        loop {
            let Some((from, sender)) = asked else { return std::future::pending().await };
            let reading = self.download.run(from, sender, Some(&mut checked));
            asked = tokio::select! {
                biased;
                newer = self.opened.recv() => newer,
                read = reading => match read {
                    Ok(()) => self.opened.recv().await,
                    Err(error) => return error,
                },
            };
        }
    }
}

/// What was hashed of a blob so far: each byte once, however often it is sent.
pub(crate) struct Checked<'a> {
    blob: &'a Descriptor,
    digester: Digester,
    is_good: bool,
}

impl<'a> Checked<'a> {
    pub(crate) fn new(blob: &'a Descriptor) -> Self {
        Self { blob, digester: Digester::default(), is_good: false }
    }

    /// Takes the chunk that begins at byte `at`. `false` when the blob is whole and is not what its digest says.
    pub(crate) fn take(&mut self, at: u64, chunk: &Bytes) -> bool {
        let hashed = self.digester.written();
        let known = usize::try_from(hashed.saturating_sub(at)).unwrap_or(usize::MAX);
        // A gap can't be: the destination has no byte that was not sent to it.
        if at <= hashed && known < chunk.len() {
            self.digester.update(&chunk[known..]);
        }
        if self.digester.written() < self.blob.size || self.is_good {
            return true;
        }
        self.is_good = self.digester.clone().finish().0 == self.blob.digest;
        self.is_good
    }
}

async fn next(
    (mut received, counter): (Received, Counter),
) -> io::Result<Option<(Bytes, (Received, Counter))>> {
    counter.starved.store(true, Ordering::Relaxed);
    let chunk = received.next().await;
    counter.starved.store(false, Ordering::Relaxed);
    match chunk? {
        None => Ok(None),
        Some(chunk) => {
            counter.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            Ok(Some((chunk, (received, counter))))
        }
    }
}
