//! A blob on its way here: one writes it, and everybody who asked reads behind him.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use minato_oci::Descriptor;
use tokio::sync::watch;

use crate::download::{BlobReader, Download, channel};
use crate::endpoint::Endpoint;
use crate::server::answer::Refusal;
use crate::server::content::ContentDigest;
use crate::server::storage::UploadWriter;
use crate::transport::Transport;

const CHUNK: usize = 256 << 10;

/// What is known of a blob that comes.
#[derive(Debug)]
pub(crate) struct Flight {
    // It stays readable whatever name it has, or when it has none any more.
    file: Arc<File>,
    /// Its length in bytes.
    pub(crate) size: u64,
    state: watch::Receiver<State>,
}

/// The end that writes.
#[derive(Debug)]
pub(crate) struct Ahead(watch::Sender<State>);

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    /// So many bytes are there, and not verified yet.
    Coming(u64),
    /// It is whole and what its digest says.
    Here,
    Failed,
}

impl Flight {
    /// Of the blob that `writer` is going to write.
    pub(crate) fn new(writer: &UploadWriter, size: u64) -> Result<(Self, Ahead), Refusal> {
        let (sender, state) = watch::channel(State::Coming(0));
        Ok((Self { file: Arc::new(writer.reader()?), size, state }, Ahead(sender)))
    }

    /// The blob's bytes as they come. The last one comes when the whole is verified.
    pub(crate) fn bytes(&self) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let (file, state) = (Arc::clone(&self.file), self.state.clone());
        stream::try_unfold(Reader { file, state, position: 0, size: self.size }, next)
    }
}

impl Ahead {
    /// Fetches the blob and makes it one of the repository that `writer` belongs to.
    pub(crate) async fn fly(
        self,
        transport: &Transport,
        endpoint: &Endpoint,
        repository: &str,
        blob: &Descriptor,
        writer: UploadWriter,
    ) -> Result<(), String> {
        let (sender, received) = channel();
        let digest: ContentDigest = blob.digest.to_string().parse().map_err(|_| "it has no digest")?;
        let download = Download { transport, endpoint, repository, blob, progress: &() };
        let (told, reader) = (self.0.clone(), received.blocking());
        let writing = tokio::task::spawn_blocking(move || write(reader, writer, &digest, &told));
        let (downloaded, written) = tokio::join!(download.run(0, sender, None), writing);
        let done = match (downloaded, written) {
            (Err(error), _) => Err(error.to_string()),
            (_, Ok(written)) => written,
            (_, Err(error)) => Err(error.to_string()),
        };
        self.0.send_replace(if done.is_ok() { State::Here } else { State::Failed });
        done
    }
}

fn write(
    mut reader: BlobReader,
    mut writer: UploadWriter,
    digest: &ContentDigest,
    told: &watch::Sender<State>,
) -> Result<(), String> {
    let mut buffer = vec![0; CHUNK];
    let mut written = 0;
    let copied = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(count) => {
                if let Err(error) = writer.write(&buffer[..count]) {
                    break Err(error.to_string());
                }
                written += count as u64;
                told.send_replace(State::Coming(written));
            }
            Err(error) => break Err(error.to_string()),
        }
    };
    match copied {
        Ok(()) => writer.finish(digest).map_err(|error| error.to_string()),
        Err(error) => {
            writer.discard();
            Err(error)
        }
    }
}

struct Reader {
    file: Arc<File>,
    state: watch::Receiver<State>,
    position: u64,
    size: u64,
}

async fn next(mut reader: Reader) -> io::Result<Option<(Bytes, Reader)>> {
    let end = reader.wait().await?;
    if reader.position == end {
        return Ok(None);
    }
    let bytes = reader.read(end).await?;
    Ok(Some((bytes, reader)))
}

impl Reader {
    /// Until there is more to read; tells how far.
    async fn wait(&mut self) -> io::Result<u64> {
        let (position, size) = (self.position, self.size);
        // The last byte is let go when the whole is verified: before, nobody takes it for the blob.
        let readable = |count: u64| count.min(size.saturating_sub(1));
        let is_more = |state: &State| match state {
            State::Coming(count) => readable(*count) > position,
            State::Here | State::Failed => true,
        };
        let state = *self.state.wait_for(is_more).await.map_err(io::Error::other)?;
        match state {
            State::Coming(count) => Ok(readable(count)),
            State::Here => Ok(size),
            State::Failed => Err(io::Error::other("the blob could not be fetched")),
        }
    }

    async fn read(&mut self, end: u64) -> io::Result<Bytes> {
        let (file, position) = (Arc::clone(&self.file), self.position);
        let want = usize::try_from(end - position).unwrap_or(usize::MAX).min(CHUNK);
        // The file is shared, so that each read says where.
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; want];
            let count = file.read_at(&mut buffer, position)?;
            buffer.truncate(count);
            Ok::<_, io::Error>(Bytes::from(buffer))
        });
        let bytes = read.await.map_err(io::Error::other)??;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += bytes.len() as u64;
        Ok(bytes)
    }
}
