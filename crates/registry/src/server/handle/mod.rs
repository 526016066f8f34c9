//! Requests: each is read, allowed, and answered by the file that is called as its endpoint.

mod blobs;
mod lists;
mod manifests;
mod permission;
mod tokens;
mod turns;
mod uploads;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderName, IF_NONE_MATCH};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use permission::needs;
use turns::Turns;

use super::access::Access;
use super::answer::{Answer, Refusal, empty};
use super::name::{RepositoryName, Tag};
use super::pattern::Pattern;
use super::retain::Policy;
use super::route::{Route, route};
use super::storage::{Repository, Storage, StorageError};
use super::upkeep::{Keeper, keep_up};
use super::upstream::{Cache, Origin};
use super::{Limits, ListenError, Log, Options, Upkeep};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What answers requests.
#[derive(Debug)]
pub(crate) struct Service {
    storage: Storage,
    access: Access,
    /// Fetches what is of registries elsewhere.
    cache: Option<Arc<Cache>>,
    immutable_tags: Arc<[Pattern]>,
    retention: Option<Policy>,
    limits: Limits,
    upkeep: Upkeep,
    log: Log,
    /// Who writes to which upload.
    turns: Turns,
}

impl Service {
    pub(crate) fn open(options: Options) -> Result<Self, ListenError> {
        let storage = Storage::open(&options.folder)?;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let access = Access::open(options.access, &options.folder, scheme)?;
        let (limits, upkeep, log) = (options.limits, options.upkeep, options.log);
        let cache = options.upstreams.map(|upstreams| Arc::new(Cache::new(upstreams, limits, log.clone())));
        let (immutable_tags, retention) = (options.immutable_tags.into(), options.retention);
        let turns = Turns::default();
        Ok(Self { storage, access, cache, immutable_tags, retention, limits, upkeep, log, turns })
    }

    /// Whether everybody may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.access.is_open()
    }

    /// What is to be done beside requests, for ever.
    pub(crate) fn upkeep(&self) -> impl Future<Output = ()> + Send + 'static {
        let keeper =
            Keeper { storage: self.storage.clone(), immutable_tags: Arc::clone(&self.immutable_tags) };
        keep_up(keeper, self.retention.clone(), self.upkeep, self.log.clone())
    }

    /// Which tags are never changed.
    fn immutable_tags(&self) -> impl Fn(&Tag) -> bool + Send + use<> {
        let patterns = Arc::clone(&self.immutable_tags);
        move |tag| patterns.iter().any(|pattern| pattern.matches(tag.as_str()))
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Answers whatever is asked.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let line = format!("{} {}", request.method(), request.uri().path());
        let mut answer = self.try_answer(request).await.unwrap_or_else(|refusal| {
            if let Some(cause) = &refusal.cause {
                self.log.line(&format!("{line}: {cause}"));
            }
            refusal.into_answer()
        });
        let version = http::HeaderValue::from_static("registry/2.0");
        answer.headers_mut().insert(API_VERSION, version);
        answer
    }

    async fn try_answer(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let (mut head, body) = request.into_parts();
        // HTTP/2 has the host in another place.
        if let Some(host) = head.uri.authority().and_then(|authority| authority.as_str().parse().ok()) {
            head.headers.insert(HOST, host);
        }
        let query = head.uri.query().unwrap_or_default();
        let route = route(&head.method, &self.path_of(head.uri.path(), query), query)?;
        let body = Received { body, patience: self.limits.stall };
        if route == Route::Token {
            return self.token(&head, body).await;
        }
        let caller = self.access.caller(&head.headers).await?;
        self.access.permit(&caller, &needs(&route), &head.headers)?;
        match route {
            Route::Base | Route::Token => Ok(empty(StatusCode::OK, Vec::new())),
            Route::Catalog(page) => self.catalog(page, caller).await,
            Route::Tags(name, page) => self.tags(name, page).await,
            Route::Referrers(name, subject, kind) => self.referrers(name, subject, kind).await,
            Route::Manifest(name, named, action) => {
                self.manifest(name, named, action, &head.headers, body).await
            }
            Route::Blob(name, digest, action) => self.blob(name, digest, action, &head.headers).await,
            Route::StartUpload(name, start) => self.start_upload(name, start, caller, body).await,
            Route::Upload(name, id, action) => self.upload(name, id, action, &head.headers, body).await,
        }
    }

    fn repository(&self, name: &RepositoryName) -> Repository {
        self.storage.repository(name)
    }

    /// The registry elsewhere that the repository is of, and who fetches from it.
    fn origin(&self, name: &RepositoryName) -> Option<(&Arc<Cache>, Origin)> {
        let cache = self.cache.as_ref()?;
        Some((cache, cache.origin(name)?))
    }

    /// What is of a registry elsewhere is changed there.
    fn own(&self, name: &RepositoryName) -> Result<Repository, Refusal> {
        match self.origin(name) {
            None => Ok(self.repository(name)),
            Some(_) => {
                let message = format!("{name} is of another registry, which this one only reads; push there");
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message))
            }
        }
    }

    /// The path under our names: clients that know us as a mirror say beside the path which registry they mean.
    fn path_of<'a>(&self, path: &'a str, query: &str) -> Cow<'a, str> {
        let Some(cache) = &self.cache else { return Cow::Borrowed(path) };
        let mut fields = form_urlencoded::parse(query.as_bytes());
        let meant = fields.find(|(key, _)| key == "ns").map(|(_, registry)| registry.into_owned());
        let (front, back) = path.split_once("/v2/").unwrap_or((path, ""));
        let registry = meant.as_deref().or_else(|| front.strip_prefix('/'));
        match registry.filter(|registry| cache.has(registry) && !back.is_empty()) {
            Some(registry) if !back.starts_with(&format!("{registry}/")) => {
                Cow::Owned(format!("/v2/{registry}/{back}"))
            }
            _ => Cow::Borrowed(path),
        }
    }
}

/// A request's body, of which every part must come in time.
struct Received {
    body: Incoming,
    patience: Duration,
}

impl Received {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let stalled = |_| {
                let message = format!("nothing arrived for {} seconds", self.patience.as_secs());
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "UNKNOWN", message)
            };
            match tokio::time::timeout(self.patience, self.body.frame()).await.map_err(stalled)? {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // Trailers say nothing to a registry.
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => {
                    let message = format!("the body broke off: {error}");
                    return Err(Refusal::new(StatusCode::BAD_REQUEST, "UNKNOWN", message));
                }
            }
        }
    }

    /// The whole body, of at most `limit` bytes.
    async fn whole(&mut self, limit: u64) -> Result<Vec<u8>, Refusal> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next().await? {
            if (whole.len() + bytes.len()) as u64 > limit {
                return Err(StorageError::TooLong { limit }.into());
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }
}

/// Does what waits for the disk on a thread that may wait.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> impl Future<Output = Result<T, Refusal>> {
    let task = tokio::task::spawn_blocking(work);
    async {
        match task.await {
            Ok(result) => result.map_err(Refusal::from),
            Err(error) => Err(Refusal::fault(format!("a task died: {error}"))),
        }
    }
}

/// Whether the client says that it has just this content already.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
}
