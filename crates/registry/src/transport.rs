//! One request to one place: credentials, retries, limits on what comes back.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use crate::challenge::{self, Challenge};
use crate::credentials::{Credential, CredentialError, Credentials};
use crate::endpoint::{Endpoint, authority, is_loopback};
use crate::progress::{Event, Progress};
use crate::token::{Authorization, TokenAnswer, TokenKey, Tokens};
use crate::{Secret, retry};

const TOKEN_LIMIT: u64 = 1 << 20;
const MESSAGE_LIMIT: u64 = 64 << 10;
const REDIRECT_LIMIT: usize = 10;

/// Why a request did not get its answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection, or it broke.
    #[error("{url}: {reason}")]
    Connection {
        /// The URL.
        url: String,
        /// What happened, with its causes.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("{url}: nothing arrived for {seconds} seconds")]
    Stalled {
        /// The URL.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// It is not there.
    #[error("{url}: not found")]
    NotFound {
        /// The URL.
        url: String,
    },
    /// The credentials are missing or wrong.
    #[error("{url}: access denied{hint}")]
    Denied {
        /// The URL.
        url: String,
        /// What to do.
        hint: String,
    },
    /// The server said no in another way.
    #[error("{url}: server answered {status}{message}")]
    Status {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's reason, if it gave one.
        message: String,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// The body is longer than it may be.
    #[error("{url}: answer is longer than {limit} bytes; it is refused")]
    TooLong {
        /// The URL.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The answer makes no sense.
    #[error("{url}: {reason}")]
    Answer {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Credentials can't be looked up.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
}

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
    credentials: Credentials,
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

    fn http(&self, url: &Url) -> Result<&reqwest::Client, RequestError> {
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

    async fn within_stall(
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

    async fn authorize(
        &self,
        endpoint: &Endpoint,
        url: &Url,
        challenge: Option<Challenge>,
        scope: &str,
    ) -> Result<Authorization, RequestError> {
        let credential = self.credentials.find(&endpoint.account).await?;
        match (challenge, credential) {
            (Some(Challenge::Basic), Some(Credential::Password { user, password })) => {
                Ok(Authorization::basic(&user, &password))
            }
            (Some(Challenge::Bearer { realm, service, scope: asked }), credential) => {
                let scope = asked.as_deref().unwrap_or(scope);
                self.fetch_token(endpoint, &realm, service.as_deref(), scope, credential).await
            }
            (_, credential) => Err(denied(url, credential.is_some())),
        }
    }

    async fn fetch_token(
        &self,
        endpoint: &Endpoint,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credential: Option<Credential>,
    ) -> Result<Authorization, RequestError> {
        let url = token_url(endpoint, realm, service, scope)?;
        let known = credential.is_some();
        let request = match credential {
            None => self.http(&url)?.get(url.clone()),
            Some(Credential::Password { user, password }) => {
                let basic = Authorization::basic(&user, &password);
                self.http(&url)?.get(url.clone()).header(AUTHORIZATION, basic.value.reveal())
            }
            Some(Credential::IdentityToken(token)) => {
                let bare = without_query(&url);
                let form = token_form(&token, service.unwrap_or_default(), scope);
                let kind = "application/x-www-form-urlencoded";
                self.http(&bare)?.post(bare).header("Content-Type", kind).body(form)
            }
        };
        let response = self.within_stall(&url, request.send()).await?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(denied(&url, known));
        }
        let response = accept(&url, response).await?;
        let body = self.body(&url, response, TOKEN_LIMIT).await?;
        let unexpected = || RequestError::Answer {
            url: without_query(&url).to_string(),
            reason: "answer has no token".to_owned(),
        };
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| unexpected())?;
        Authorization::bearer(answer, Instant::now()).ok_or_else(unexpected)
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

async fn read_body(url: &Url, mut response: Response, limit: u64) -> Result<Vec<u8>, RequestError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(url, &error))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(RequestError::TooLong { url: url.to_string(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl RequestError {
    /// Whether a later try may succeed, and when the server said to make it.
    pub(crate) fn temporary(&self) -> Option<Option<Duration>> {
        match self {
            Self::Connection { .. } | Self::Stalled { .. } => Some(None),
            Self::Status { status, retry_after, .. } if retry::is_temporary(*status) => Some(*retry_after),
            _ => None,
        }
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Connection { url, .. }
            | Self::Stalled { url, .. }
            | Self::NotFound { url }
            | Self::Denied { url, .. }
            | Self::Status { url, .. }
            | Self::TooLong { url, .. }
            | Self::Answer { url, .. } => url,
            Self::Credentials(_) => "",
        }
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

async fn accept(url: &Url, response: Response) -> Result<Response, RequestError> {
    let shown = without_query(url).to_string();
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(RequestError::NotFound { url: shown }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(denied(url, true)),
        status => {
            let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = asked.and_then(|value| retry::retry_after(value, SystemTime::now()));
            let message = message(response).await;
            Err(RequestError::Status { url: shown, status: status.as_u16(), message, retry_after })
        }
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    errors: Vec<ErrorItem>,
}

#[derive(Deserialize)]
struct ErrorItem {
    code: String,
    #[serde(default)]
    message: String,
}

/// The registry's own words, cut and without control characters: they end on a terminal.
async fn message(response: Response) -> String {
    let url = response.url().clone();
    let read = read_body(&url, response, MESSAGE_LIMIT);
    let Ok(Ok(body)) = tokio::time::timeout(Duration::from_secs(5), read).await else { return String::new() };
    let Ok(ErrorBody { errors }) = serde_json::from_slice(&body) else { return String::new() };
    let Some(first) = errors.first() else { return String::new() };
    let text = format!(": {} {}", first.code, first.message);
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

fn challenge_of(headers: &HeaderMap) -> Option<Challenge> {
    let values: Vec<&str> =
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    challenge::choose(&values)
}

fn token_url(
    endpoint: &Endpoint,
    realm: &str,
    service: Option<&str>,
    scope: &str,
) -> Result<Url, RequestError> {
    let refused =
        |reason: &str| RequestError::Answer { url: endpoint.base.to_string(), reason: reason.to_owned() };
    let mut url =
        Url::parse(realm).map_err(|_| refused("registry names an authorization server without a URL"))?;
    // A password must not travel less protected than the registry itself.
    let same_place = authority(&url) == authority(&endpoint.base) && endpoint.base.scheme() == "http";
    if url.scheme() != "https" && !(url.scheme() == "http" && (same_place || is_loopback(&url))) {
        return Err(refused("registry names an authorization server without encryption; it is refused"));
    }
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    query.append_pair("scope", scope);
    drop(query);
    Ok(url)
}

fn token_form(token: &Secret, service: &str, scope: &str) -> String {
    let mut url = Url::parse("http://form").expect("a constant URL");
    url.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", service)
        .append_pair("client_id", "minato")
        .append_pair("scope", scope)
        .append_pair("refresh_token", token.reveal());
    url.query().unwrap_or_default().to_owned()
}

fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

fn denied(url: &Url, had_credentials: bool) -> RequestError {
    let hint = match had_credentials {
        true => "; the image does not exist or the credentials do not allow it",
        false => "; log in first (docker login writes the config.json that is read)",
    };
    RequestError::Denied { url: without_query(url).to_string(), hint: hint.to_owned() }
}

/// A transport error with its causes, and without signed query parameters.
pub(crate) fn broken(url: &Url, error: &reqwest::Error) -> RequestError {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let reason = if causes.is_empty() { "connection failed".to_owned() } else { causes.join(": ") };
    let url = without_query(url).to_string();
    if error.is_redirect() {
        return RequestError::Answer { url, reason };
    }
    RequestError::Connection { url, reason }
}
