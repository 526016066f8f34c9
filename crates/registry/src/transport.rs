//! One request to one place: credentials, retries, limits on what comes back.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::authorize::challenge_of;
use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, authority, is_loopback};
use crate::failure::{RequestError, accept, broken, read_body};
use crate::host_certificates::{self, HostClients};
use crate::outgoing::Outgoing;
use crate::progress::{Event, Progress};
use crate::token::{TokenKey, Tokens};
use crate::{Secret, retry};

const REDIRECT_LIMIT: usize = 10;

/// What to ask for.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a str,
    /// Below the repository: `manifests/TAG`, `blobs/DIGEST`.
    pub(crate) path: &'a str,
    pub(crate) accept: Option<&'a str>,
    /// The first byte to send, of a body that broke off.
    pub(crate) from: u64,
}

/// A request of any kind, of which [`Request`] is the one that only reads.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) method: Method,
    /// Credentials are sent along only where it leads to the endpoint itself.
    pub(crate) url: Url,
    /// What a token must be good for, as authorization servers write it.
    pub(crate) scope: &'a str,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Body<'a>,
}

/// What a request carries.
pub(crate) enum Body<'a> {
    Nothing,
    Bytes(Bytes),
    Stream(&'a Outgoing<'a>),
}

/// Makes requests.
pub(crate) struct Transport {
    // Made when first used: reading the system's certificates takes longer than a look into the store.
    http: OnceLock<reqwest::Client>,
    /// Proxies are for other machines: Go's and curl's clients don't send loopback through one either.
    http_here: OnceLock<reqwest::Client>,
    /// For registries with certificates of their own.
    http_there: HostClients,
    certificates: Vec<reqwest::Certificate>,
    certificate_folders: Vec<PathBuf>,
    connect: Duration,
    pub(crate) credentials: Credentials,
    tokens: Tokens,
    retries: u32,
    stall: Duration,
}

/// How requests are made.
pub(crate) struct Settings {
    pub(crate) credentials: Credentials,
    /// PEM files.
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) certificate_folders: Vec<PathBuf>,
    pub(crate) retries: u32,
    pub(crate) connect: Duration,
    pub(crate) stall: Duration,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, reqwest::Error> {
        let mut certificates = Vec::new();
        for pem in &settings.certificates {
            certificates.extend(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self {
            http: OnceLock::new(),
            http_here: OnceLock::new(),
            http_there: HostClients::default(),
            certificates,
            certificate_folders: settings.certificate_folders,
            connect: settings.connect,
            credentials: settings.credentials,
            tokens: Tokens::default(),
            retries: settings.retries,
            stall: settings.stall,
        })
    }

    /// The client for whatever is at `url`.
    pub(crate) fn http(&self, url: &Url) -> Result<reqwest::Client, RequestError> {
        if !self.certificate_folders.is_empty() && url.scheme() == "https" {
            let host = authority(url);
            let own = self.http_there.get(&host, || self.with_certificates_of(url, &host))?;
            if let Some(client) = own {
                return Ok(client);
            }
        }
        let place = if is_loopback(url) { &self.http_here } else { &self.http };
        if let Some(client) = place.get() {
            return Ok(client.clone());
        }
        let client = self.builder(url).build().map_err(|error| broken(url, &error))?;
        Ok(place.get_or_init(|| client).clone())
    }

    fn builder(&self, url: &Url) -> reqwest::ClientBuilder {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("minato/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect)
            .redirect(reqwest::redirect::Policy::custom(follow));
        for certificate in &self.certificates {
            builder = builder.add_root_certificate(certificate.clone());
        }
        if is_loopback(url) { builder.no_proxy() } else { builder }
    }

    fn with_certificates_of(&self, url: &Url, host: &str) -> Result<Option<reqwest::Client>, RequestError> {
        let refused = |reason: String| RequestError::Answer { url: url.to_string(), reason };
        let found = host_certificates::read(&self.certificate_folders, host);
        let Some(found) = found.map_err(|error| refused(error.to_string()))? else { return Ok(None) };
        let bad = |error: reqwest::Error| refused(format!("certificates for {host} are malformed: {error}"));
        let mut builder = self.builder(url);
        for pem in &found.authorities {
            for certificate in reqwest::Certificate::from_pem_bundle(pem).map_err(bad)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        if let Some(pem) = &found.identity {
            builder = builder.identity(reqwest::Identity::from_pem(pem).map_err(bad)?);
        }
        builder.build().map(Some).map_err(bad)
    }

    pub(crate) fn stall(&self) -> Duration {
        self.stall
    }

    /// How often a request to `endpoint` is made again. A mirror has somebody behind it.
    pub(crate) fn retries(&self, endpoint: &Endpoint) -> u32 {
        if endpoint.is_mirror { self.retries.min(1) } else { self.retries }
    }

    /// An answer with a good status, whatever it takes.
    pub(crate) async fn get(
        &self,
        request: Request<'_>,
        progress: &dyn Progress,
    ) -> Result<Response, RequestError> {
        let mut headers = Vec::new();
        if let Some(accept) = request.accept {
            headers.push((ACCEPT, accept.to_owned()));
        }
        if request.from > 0 {
            headers.push((RANGE, format!("bytes={}-", request.from)));
        }
        let call = Call {
            endpoint: request.endpoint,
            method: Method::GET,
            url: request.endpoint.url(request.repository, request.path),
            scope: &format!("repository:{}:pull", request.repository),
            headers,
            body: Body::Nothing,
        };
        self.insist(&call, progress).await
    }

    /// An answer with a good status to a request that may be made several times.
    pub(crate) async fn insist(
        &self,
        call: &Call<'_>,
        progress: &dyn Progress,
    ) -> Result<Response, RequestError> {
        let mut tries = 0;
        loop {
            let error = match self.call(call).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if tries >= self.retries(call.endpoint) || !self.wait(tries, &error, progress).await {
                return Err(error);
            }
            tries += 1;
        }
    }

    /// Waits before another try; `false` when the error is for good.
    pub(crate) async fn wait(&self, tries: u32, error: &RequestError, progress: &dyn Progress) -> bool {
        let Some(asked) = error.temporary() else { return false };
        let Some(after) = retry::delay(tries, asked, retry::random()) else { return false };
        progress.event(Event::Retrying { url: error.url(), reason: &error.to_string(), after });
        tokio::time::sleep(after).await;
        true
    }

    /// One try, with one more when it must be authorized first.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Response, RequestError> {
        let key = TokenKey { endpoint: call.endpoint.base.to_string(), scope: call.scope.to_owned() };
        // What another host is shown, the registry itself has signed.
        let is_own = call.url.origin() == call.endpoint.base.origin();
        let response = self.send(call, self.tokens.get(&key).filter(|_| is_own)).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !is_own {
            return accept(&call.url, response).await;
        }
        let challenge = challenge_of(response.headers());
        let authorization = self.authorize(call.endpoint, &call.url, challenge, call.scope).await?;
        let value = authorization.value.clone();
        self.tokens.put(key, authorization);
        accept(&call.url, self.send(call, Some(value)).await?).await
    }

    async fn send(&self, call: &Call<'_>, authorization: Option<Secret>) -> Result<Response, RequestError> {
        let mut builder = self.http(&call.url)?.request(call.method.clone(), call.url.clone());
        for (name, value) in &call.headers {
            builder = builder.header(name, value);
        }
        if let Some(value) = authorization {
            builder = builder.header(AUTHORIZATION, value.reveal());
        }
        match &call.body {
            Body::Nothing => self.within_stall(&call.url, builder.send()).await,
            Body::Bytes(bytes) => self.within_stall(&call.url, builder.body(bytes.clone()).send()).await,
            Body::Stream(stream) => {
                let answer = builder.body(stream.open()).send();
                stream.meter.watch(&call.url, self.stall, answer).await
            }
        }
    }

    pub(crate) async fn within_stall(
        &self,
        url: &Url,
        answer: impl Future<Output = Result<Response, reqwest::Error>>,
    ) -> Result<Response, RequestError> {
        match tokio::time::timeout(self.stall, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(broken(url, &error)),
            Err(_) => Err(RequestError::Stalled { url: url.to_string(), seconds: self.stall.as_secs() }),
        }
    }

    /// The whole body, which must not be longer than `limit`.
    pub(crate) async fn body(
        &self,
        url: &Url,
        response: Response,
        limit: u64,
    ) -> Result<Vec<u8>, RequestError> {
        // The whole of a small body, not each of its parts, must come in time.
        let read = tokio::time::timeout(self.stall, read_body(url, response, limit)).await;
        read.unwrap_or_else(|_| {
            Err(RequestError::Stalled { url: url.to_string(), seconds: self.stall.as_secs() })
        })
    }
}

/// A redirect must not lose the encryption that the request had.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let was_encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
    if was_encrypted && attempt.url().scheme() != "https" {
        return attempt.error("redirect from https to an unencrypted address is refused");
    }
    if attempt.previous().len() > REDIRECT_LIMIT {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}
