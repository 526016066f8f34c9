//! One request to one place: credentials, retries, limits on what comes back.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, RANGE};
use reqwest::{Response, StatusCode, Url};

use crate::authorize::challenge_of;
use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, is_loopback};
use crate::failure::{RequestError, accept, broken, read_body};
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

/// Makes requests.
pub(crate) struct Transport {
    // Made when first used: reading the system's certificates takes longer than a look into the store.
    http: OnceLock<reqwest::Client>,
    /// Proxies are for other machines: Go's and curl's clients don't send loopback through one either.
    http_here: OnceLock<reqwest::Client>,
    certificates: Vec<reqwest::Certificate>,
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
            certificates,
            connect: settings.connect,
            credentials: settings.credentials,
            tokens: Tokens::default(),
            retries: settings.retries,
            stall: settings.stall,
        })
    }

    pub(crate) fn http(&self, url: &Url) -> Result<&reqwest::Client, RequestError> {
        let here = is_loopback(url);
        let place = if here { &self.http_here } else { &self.http };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("minato/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect)
            .redirect(reqwest::redirect::Policy::custom(follow));
        for certificate in &self.certificates {
            builder = builder.add_root_certificate(certificate.clone());
        }
        let builder = if here { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| broken(url, &error))?;
        Ok(place.get_or_init(|| client))
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
        let mut tries = 0;
        loop {
            let error = match self.try_get(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if tries >= self.retries(request.endpoint) || !self.wait(tries, &error, progress).await {
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
    async fn try_get(&self, request: Request<'_>) -> Result<Response, RequestError> {
        let url = request.endpoint.url(request.repository, request.path);
        let key = TokenKey {
            endpoint: request.endpoint.base.to_string(),
            scope: format!("repository:{}:pull", request.repository),
        };
        let response = self.send(&url, request, self.tokens.get(&key)).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return accept(&url, response).await;
        }
        let challenge = challenge_of(response.headers());
        let authorization = self.authorize(request.endpoint, &url, challenge, &key.scope).await?;
        let value = authorization.value.clone();
        self.tokens.put(key, authorization);
        let response = self.send(&url, request, Some(value)).await?;
        accept(&url, response).await
    }

    async fn send(
        &self,
        url: &Url,
        request: Request<'_>,
        authorization: Option<Secret>,
    ) -> Result<Response, RequestError> {
        let mut builder = self.http(url)?.get(url.clone());
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if request.from > 0 {
            builder = builder.header(RANGE, format!("bytes={}-", request.from));
        }
        if let Some(value) = authorization {
            builder = builder.header(AUTHORIZATION, value.reveal());
        }
        self.within_stall(url, builder.send()).await
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
