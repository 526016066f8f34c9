//! Requests that did not get their answer: why, and whether to ask again.

use std::time::{Duration, SystemTime};

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use crate::credentials::CredentialError;
use crate::retry;

const MESSAGE_LIMIT: u64 = 64 << 10;
const MESSAGE_TIME: Duration = Duration::from_secs(5);

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
    #[error("{url}: not found{message}")]
    NotFound {
        /// The URL.
        url: String,
        /// The server's reason, if it gave one.
        message: String,
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

impl RequestError {
    /// Whether a later try may succeed, and when the server said to make it.
    pub(crate) fn temporary(&self) -> Option<Option<Duration>> {
        match self {
            Self::Connection { .. } | Self::Stalled { .. } => Some(None),
            Self::Status { status, retry_after, .. } if retry::is_temporary(*status) => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether somebody answered, and the answer is no: asking again will not change it.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Denied { .. } => true,
            Self::Status { status, .. } => (400..500).contains(status) && !retry::is_temporary(*status),
            _ => false,
        }
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Connection { url, .. }
            | Self::Stalled { url, .. }
            | Self::NotFound { url, .. }
            | Self::Denied { url, .. }
            | Self::Status { url, .. }
            | Self::TooLong { url, .. }
            | Self::Answer { url, .. } => url,
            Self::Credentials(_) => "",
        }
    }
}

/// The answer when its status is good.
pub(crate) async fn accept(url: &Url, response: Response) -> Result<Response, RequestError> {
    let shown = without_query(url).to_string();
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(RequestError::NotFound { url: shown, message: message(response).await }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let told = message(response).await;
            Err(match denied(url, true) {
                RequestError::Denied { url, hint } => RequestError::Denied { url, hint: told + &hint },
                other => other,
            })
        }
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
    let Ok(Ok(body)) = tokio::time::timeout(MESSAGE_TIME, read).await else { return String::new() };
    let Ok(ErrorBody { errors }) = serde_json::from_slice(&body) else { return String::new() };
    let Some(first) = errors.first() else { return String::new() };
    let text = format!(": {} {}", first.code, first.message);
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// The whole body, which must not be longer than `limit`.
pub(crate) async fn read_body(
    url: &Url,
    mut response: Response,
    limit: u64,
) -> Result<Vec<u8>, RequestError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(url, &error))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(RequestError::TooLong { url: url.to_string(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(crate) fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

pub(crate) fn denied(url: &Url, had_credentials: bool) -> RequestError {
    let hint = match had_credentials {
        true => "; the image does not exist or the credentials do not allow it",
        false => "; log in first (minato login)",
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
