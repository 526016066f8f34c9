//! A registry on loopback that is honest except where a test wants it otherwise.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses a part of it; tests fail by panicking"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use minato_oci::layer::{Entry, Kind, TarWriter, TreePath};
use minato_oci::{Descriptor, Digest, ImageConfig, Platform, RootFs, media_type};
use minato_registry::{Client, Event, Options, Progress, Timeouts};

/// A request as the registry saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: String,
    pub authorization: Option<String>,
    pub range: Option<String>,
    /// Requests for this path before this one.
    pub before: usize,
}

/// What it answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
    /// The answer waits here until enough others do.
    pub meet: Option<Arc<tokio::sync::Barrier>>,
}

/// How the body ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// With its last byte.
    Whole,
    /// The connection breaks after so many bytes.
    Broken(usize),
    /// Nothing comes any more after so many bytes.
    Stalled(usize),
    /// One byte now and then, after so many bytes.
    Dripping(usize),
    /// Never.
    Endless,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), end: End::Whole, meet: None }
    }

    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

type Handler = dyn Fn(&Seen, Reply) -> Reply + Send + Sync;

/// The registry; it ends with the test's runtime.
pub struct Registry {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Registry {
    /// Serves `content`; `change` may change each answer.
    pub async fn start(
        content: &Content,
        change: impl Fn(&Seen, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (content, change, log) =
            (Arc::new(content.clone()), Arc::new(change) as Arc<Handler>, seen.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (content, change, log) = (content.clone(), change.clone(), log.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        answer(request, content.clone(), change.clone(), log.clone())
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        Self { address, seen }
    }

    pub async fn honest(content: &Content) -> Self {
        Self::start(content, |_, reply| reply).await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    pub fn reference(&self, rest: &str) -> minato_oci::Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }
}

async fn answer(
    request: Request<Incoming>,
    content: Arc<Content>,
    change: Arc<Handler>,
    log: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, Infallible> {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
    let mut seen = Seen {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        body: String::new(),
        authorization: header("authorization"),
        range: header("range"),
        before: 0,
    };
    seen.body = String::from_utf8(request.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    {
        let mut log = log.lock().unwrap();
        seen.before = log.iter().filter(|earlier| earlier.path == seen.path).count();
        log.push(seen.clone());
    }
    let reply = change(&seen, content.reply(&seen));
    if let Some(barrier) = &reply.meet {
        barrier.wait().await;
    }
    Ok(response(reply))
}

fn response(reply: Reply) -> Response<BoxBody<Bytes, std::io::Error>> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    let (length, first) = (reply.body.len(), |count: usize| Bytes::copy_from_slice(&reply.body[..count]));
    let frame = |bytes: Bytes| Ok::<_, std::io::Error>(Frame::data(bytes));
    let body = match reply.end {
        End::Whole => Full::new(Bytes::from(reply.body)).map_err(|never| match never {}).boxed(),
        End::Broken(count) => {
            builder = builder.header("content-length", length);
            let broken = stream::once(async {
                // The bytes before must be on their way when the connection ends.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(std::io::Error::other("broken"))
            });
            StreamBody::new(stream::iter([frame(first(count))]).chain(broken).boxed()).boxed_unsync_to_sync()
        }
        End::Stalled(count) => {
            builder = builder.header("content-length", length);
            StreamBody::new(stream::iter([frame(first(count))]).chain(stream::pending()).boxed())
                .boxed_unsync_to_sync()
        }
        End::Dripping(count) => {
            builder = builder.header("content-length", length);
            let drops = stream::unfold((), move |()| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((frame(Bytes::from_static(b"x")), ()))
            });
            StreamBody::new(stream::iter([frame(first(count))]).chain(drops).boxed()).boxed_unsync_to_sync()
        }
        End::Endless => {
            let more = stream::repeat_with(move || frame(Bytes::from_static(&[b'x'; 16 << 10])));
            StreamBody::new(stream::iter([frame(first(length))]).chain(more).boxed()).boxed_unsync_to_sync()
        }
    };
    builder.body(body).unwrap()
}

trait BoxedSync {
    fn boxed_unsync_to_sync(self) -> BoxBody<Bytes, std::io::Error>;
}

impl<S> BoxedSync for StreamBody<S>
where
    S: futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Unpin + 'static,
{
    fn boxed_unsync_to_sync(self) -> BoxBody<Bytes, std::io::Error> {
        // hyper wants `Sync` bodies in a `BoxBody`; one task polls it at a time all the same.
        BoxBody::new(StreamBody::new(SyncStream(Mutex::new(self))))
    }
}

struct SyncStream<S>(Mutex<StreamBody<S>>);

impl<S> futures_util::Stream for SyncStream<S>
where
    S: futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Unpin,
{
    type Item = Result<Frame<Bytes>, std::io::Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        hyper::body::Body::poll_frame(std::pin::Pin::new(&mut *self.0.lock().unwrap()), context)
    }
}

/// What a registry has.
#[derive(Clone, Default)]
pub struct Content {
    /// Path below `/v2/` → media type and bytes.
    files: HashMap<String, (String, Vec<u8>)>,
}

/// An image in a [`Content`].
#[derive(Clone)]
pub struct Made {
    pub manifest: Descriptor,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

impl Content {
    /// Adds an image under a tag and tells what it is made of. Each layer is a file with this name and content.
    pub fn image(&mut self, repository: &str, tag: &str, platform: &str, layers: &[(&str, Vec<u8>)]) -> Made {
        let tars: Vec<Vec<u8>> = layers.iter().map(|(name, content)| tar(name, content)).collect();
        let descriptors: Vec<Descriptor> = tars
            .iter()
            .map(|tar| {
                let mut gzip = Vec::new();
                flate2::read::GzEncoder::new(tar.as_slice(), flate2::Compression::none())
                    .read_to_end(&mut gzip)
                    .unwrap();
                self.blob(repository, media_type::LAYER_GZIP, gzip)
            })
            .collect();
        let platform: Platform = platform.parse().unwrap();
        let config = ImageConfig {
            os: platform.os,
            architecture: platform.architecture,
            variant: platform.variant,
            rootfs: RootFs { diff_ids: tars.iter().map(Digest::sha256).collect() },
            ..ImageConfig::default()
        };
        let config = self.blob(repository, media_type::CONFIG, config.to_json());
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": descriptors,
        });
        let manifest =
            self.manifest(repository, tag, media_type::MANIFEST, manifest.to_string().into_bytes());
        Made { manifest, config, layers: descriptors }
    }

    pub fn blob(&mut self, repository: &str, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        let kind = "application/octet-stream".to_owned();
        self.files.insert(format!("{repository}/blobs/{}", descriptor.digest), (kind, bytes));
        descriptor
    }

    pub fn manifest(&mut self, repository: &str, tag: &str, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        for name in [tag.to_owned(), descriptor.digest.to_string()] {
            self.files
                .insert(format!("{repository}/manifests/{name}"), (media_type.to_owned(), bytes.clone()));
        }
        descriptor
    }

    fn reply(&self, seen: &Seen) -> Reply {
        let file = seen.path.strip_prefix("/v2/").and_then(|path| self.files.get(path));
        let Some((media_type, bytes)) = file else { return Reply::status(404) };
        let start = seen
            .range
            .as_ref()
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let reply = match start {
            Some(start) if start < bytes.len() => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Reply { status: 206, ..Reply::bytes(&bytes[start..]) }.header("content-range", range)
            }
            _ => Reply::bytes(bytes.clone()),
        };
        reply
            .header("content-type", media_type)
            .header("docker-content-digest", Digest::sha256(bytes).to_string())
    }
}

pub fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let entry = Entry::new(TreePath::new(name).unwrap(), Kind::File { size: content.len() as u64 }, 0o644);
    tar.append(&entry, &mut &*content).unwrap();
    tar.finish().unwrap()
}

/// Bytes that do not compress and differ everywhere.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

/// A client that gives up soon.
pub fn client(options: Options) -> Client {
    let timeouts = Timeouts { connect: Duration::from_secs(2), stall: Duration::from_millis(400) };
    Client::new(Options { retries: 2, timeouts, ..options }).unwrap()
}

/// Keeps what a pull told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<String>>);

impl Progress for Told {
    fn event(&self, event: Event<'_>) {
        if !matches!(event, Event::LayerAdvanced { .. }) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }
}

impl Told {
    pub fn count(&self, start: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event.starts_with(start)).count()
    }
}
