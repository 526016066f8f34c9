//! One blob into a registry (the distribution specification's "Pushing blobs"): asked for, mounted, or sent by one POST
//! and one PUT, and resumed where the registry says it stopped.

use bytes::Bytes;
use minato_oci::{Descriptor, Digest, Reference};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::client::Client;
use crate::document::ACCEPTED;
use crate::endpoint::Endpoint;
use crate::failure::{RequestError, without_query};
use crate::meter::Meter;
use crate::outgoing::{Content, Outgoing};
use crate::progress::{Event, Progress};
use crate::transport::{Body, Call, Transport};

/// A repository that is written to.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a str,
    /// One scope for everything, so that one token serves.
    pub(crate) scope: &'a str,
    pub(crate) progress: &'a dyn Progress,
}

/// How a blob came to a registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Uploaded {
    /// Its bytes were sent.
    Sent,
    /// The registry took it from another repository of its own.
    Mounted,
}

/// A manifest was written.
pub(crate) struct Written {
    /// The registry keeps the list of the manifests that name a subject, and has put this one there.
    pub(crate) knows_subjects: bool,
}

/// An upload that the registry keeps open.
struct Session {
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
}

/// Where a blob goes after POST.
enum Begun {
    Mounted,
    Session(Session),
}

impl Client {
    /// Where `reference` is written to, behind `endpoint`.
    pub(crate) fn destination<'a>(
        &'a self,
        reference: &'a Reference,
        endpoint: &'a Endpoint,
        scope: &'a str,
        progress: &'a dyn Progress,
    ) -> Destination<'a> {
        Destination {
            transport: &self.transport,
            endpoint,
            repository: reference.repository(),
            scope,
            progress,
        }
    }
}

/// The scope of a token for pushing to `repository`.
pub(crate) fn push_scope(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}

impl Destination<'_> {
    /// Whether the repository has the blob.
    pub(crate) async fn has(&self, blob: &Descriptor) -> Result<bool, RequestError> {
        self.is_there(&format!("blobs/{}", blob.digest)).await
    }

    /// Whether the repository has the manifest or index.
    pub(crate) async fn has_manifest(&self, digest: &Digest) -> Result<bool, RequestError> {
        self.is_there(&format!("manifests/{digest}")).await
    }

    async fn is_there(&self, path: &str) -> Result<bool, RequestError> {
        let mut call = self.call(Method::HEAD, self.endpoint.url(self.repository, path), Body::Nothing);
        call.headers.push((ACCEPT, ACCEPTED.join(", ")));
        match self.transport.insist(&call, self.progress).await {
            Ok(_) => Ok(true),
            Err(RequestError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings the blob there from `content`, after a look into `mount_from`, a repository of the same registry.
    pub(crate) async fn upload(
        &self,
        blob: &Descriptor,
        mount_from: Option<&str>,
        content: &Content,
    ) -> Result<Uploaded, RequestError> {
        match self.begin(blob, mount_from).await? {
            Begun::Mounted => Ok(Uploaded::Mounted),
            Begun::Session(session) => self.send(blob, session, content).await.map(|()| Uploaded::Sent),
        }
    }

    /// Writes a manifest. `name` is a tag or its digest.
    ///
    /// # Errors
    /// When the registry refuses it, because it has not everything that the manifest names, for example.
    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<Written, RequestError> {
        let url = self.endpoint.url(self.repository, &format!("manifests/{name}"));
        let mut call = self.call(Method::PUT, url, Body::Bytes(Bytes::from(bytes)));
        call.headers.push((CONTENT_TYPE, media_type.to_owned()));
        let response = self.transport.insist(&call, self.progress).await?;
        Ok(Written { knows_subjects: response.headers().contains_key("oci-subject") })
    }

    fn call<'a>(&'a self, method: Method, url: Url, body: Body<'a>) -> Call<'a> {
        Call { endpoint: self.endpoint, method, url, scope: self.scope, headers: Vec::new(), body }
    }

    async fn begin(&self, blob: &Descriptor, mount_from: Option<&str>) -> Result<Begun, RequestError> {
        let Some(from) = mount_from else { return self.post(self.uploads(), self.scope).await };
        let mut url = self.uploads();
        url.query_pairs_mut().append_pair("mount", &blob.digest.to_string()).append_pair("from", from);
        let scope = format!("{} repository:{from}:pull", self.scope);
        match self.post(url, &scope).await {
            // Whoever may not read the other repository may still write this one.
            Err(error) if error.is_refusal() => self.post(self.uploads(), self.scope).await,
            begun => begun,
        }
    }

    fn uploads(&self) -> Url {
        // The slash at the end belongs to it.
        self.endpoint.url(self.repository, "blobs/uploads/")
    }

    async fn post(&self, url: Url, scope: &str) -> Result<Begun, RequestError> {
        let mut call = self.call(Method::POST, url, Body::Nothing);
        call.scope = scope;
        call.headers.push((CONTENT_LENGTH, "0".to_owned()));
        let response = self.transport.insist(&call, self.progress).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Begun::Mounted);
        }
        Ok(Begun::Session(Session { location: self.location(&response)?, offset: 0 }))
    }

    /// Where the registry wants the next request of an upload.
    fn location(&self, response: &Response) -> Result<Url, RequestError> {
        let asked = response.url();
        let refused = |reason: &str| RequestError::Answer {
            url: without_query(asked).to_string(),
            reason: reason.to_owned(),
        };
        let header = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let header = header.ok_or_else(|| refused("registry does not say where to upload to"))?;
        let location = asked.join(header).map_err(|_| refused("registry wants an upload to no valid URL"))?;
        match (self.endpoint.base.scheme(), location.scheme()) {
            (_, "https") | ("http", "http") => Ok(location),
            _ => Err(refused("registry wants an upload without encryption; it is refused")),
        }
    }

    /// Sends until the registry has everything.
    async fn send(
        &self,
        blob: &Descriptor,
        mut session: Session,
        content: &Content,
    ) -> Result<(), RequestError> {
        let mut fruitless = 0;
        loop {
            let error = match self.put(blob, &session, content).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let tired = fruitless >= self.transport.retries(self.endpoint);
            if tired || !self.may_go_on(fruitless, &session, &error).await {
                return Err(error);
            }
            // The blob may be whole, and only the answer was lost.
            if self.has(blob).await? {
                return Ok(());
            }
            let next = self.resume(&session, blob).await?;
            // An upload that goes on from further than before starts the count anew.
            fruitless = if next.offset > session.offset { 0 } else { fruitless + 1 };
            session = next;
        }
    }

    async fn may_go_on(&self, tries: u32, session: &Session, error: &RequestError) -> bool {
        // Of an upload that was resumed, the registry may have more or less than it said: then from the beginning.
        let doubtful =
            session.offset > 0 && error.is_refusal() && !matches!(error, RequestError::Denied { .. });
        doubtful || self.transport.wait(tries, error, self.progress).await
    }

    /// The open upload with what the registry has of it, or a new one.
    async fn resume(&self, session: &Session, blob: &Descriptor) -> Result<Session, RequestError> {
        let call = self.call(Method::GET, session.location.clone(), Body::Nothing);
        match self.transport.insist(&call, self.progress).await {
            Ok(response) => {
                let offset = received(&response).filter(|offset| *offset <= blob.size);
                if let (Some(offset), Ok(location)) = (offset, self.location(&response)) {
                    return Ok(Session { location, offset });
                }
            }
            Err(error) if error.temporary().is_some() => return Err(error),
            Err(_) => {}
        }
        match self.begin(blob, None).await? {
            Begun::Session(session) => Ok(session),
            Begun::Mounted => Err(RequestError::Answer {
                url: without_query(&self.uploads()).to_string(),
                reason: "registry answers 201 to the begin of an upload".to_owned(),
            }),
        }
    }

    async fn put(&self, blob: &Descriptor, session: &Session, content: &Content) -> Result<(), RequestError> {
        let from = session.offset;
        let advanced = move |sent: u64| {
            self.progress.event(Event::LayerAdvanced { layer: &blob.digest, bytes: from + sent });
        };
        let meter = Meter::new(blob.size - from, advanced);
        let stream = Outgoing { content, from, meter };
        let mut url = session.location.clone();
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let mut call = self.call(Method::PUT, url, Body::Stream(&stream));
        call.headers = put_headers(from, blob.size);
        self.transport.call(&call).await.map(drop)
    }
}

fn put_headers(from: u64, size: u64) -> Vec<(HeaderName, String)> {
    let mut headers = vec![
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, (size - from).to_string()),
    ];
    if from > 0 && from < size {
        headers.push((CONTENT_RANGE, format!("{from}-{}", size - 1)));
    }
    headers
}

/// How many bytes of an upload the registry has. `0-0` may mean none or one: `None`, as when nothing is said.
fn received(response: &Response) -> Option<u64> {
    let range = response.headers().get(RANGE)?.to_str().ok()?;
    let last: u64 = range.trim_start_matches("bytes=").strip_prefix("0-")?.parse().ok()?;
    (last > 0).then_some(last + 1)
}
