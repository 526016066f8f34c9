//! Requests to an API server, each with limits on time and size.

mod failure;
mod path;

pub(crate) use failure::{ApiError, Refusal};
pub(crate) use path::{Place, Query};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// For one answer. A write may pass several webhooks, each of which may take up to 30 s.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// Longest answer that is read: a page of a list, or discovery of a large cluster.
const SIZE_LIMIT: usize = 64 << 20;

/// Longest text of a log that is read.
const LOG_LIMIT: usize = 256 << 10;

/// Answers that are lists of objects: without specifications, where the server knows how.
pub(crate) const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// One object: without its specification, where the server knows how.
pub(crate) const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Any JSON.
pub(crate) const JSON: &str = "application/json";

/// An API server.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    /// Its address, for people.
    server: Arc<str>,
}

/// What a server answered, and when by its own clock.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub value: Value,
    pub at: Timestamp,
}

impl Api {
    pub(crate) fn new(client: Client, server: &str) -> Self {
        Self { client, server: Arc::from(server.trim_end_matches('/')) }
    }

    /// Reads JSON.
    pub(crate) async fn get(&self, path: &str, accept: &str) -> Result<Answer, ApiError> {
        self.json(request(Method::GET, path, accept, None)?).await
    }

    /// Reads JSON; `None` when there is no such object.
    pub(crate) async fn find(&self, path: &str, accept: &str) -> Result<Option<Answer>, ApiError> {
        match self.get(path, accept).await {
            Err(ApiError::Refused(refusal)) if refusal.code == 404 => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Server-side apply. What other managers hold and Git says otherwise becomes ours (`force`), as when Argo CD
    /// applies; fields that nobody knows are refused.
    pub(crate) async fn apply(
        &self,
        path: &str,
        manager: &str,
        dry_run: bool,
        object: &Value,
    ) -> Result<Answer, ApiError> {
        let query = Query::new()
            .with("fieldManager", manager)
            .with("force", "true")
            .with("fieldValidation", "Strict")
            .with_if(dry_run, "dryRun", "All");
        let content = ("application/apply-patch+yaml", object);
        self.json(request(Method::PATCH, &query.after(path), JSON, Some(content))?).await
    }

    /// Makes `fields` the object's `managedFields`, if the object is still the one that was read.
    pub(crate) async fn set_managers(
        &self,
        path: &str,
        version: &str,
        fields: &Value,
    ) -> Result<(), ApiError> {
        let patch = serde_json::json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ]);
        let content = ("application/json-patch+json", &patch);
        self.json(request(Method::PATCH, path, JSON, Some(content))?).await.map(|_| ())
    }

    /// JSON merge patch (RFC 7386).
    pub(crate) async fn merge(&self, path: &str, manager: &str, patch: &Value) -> Result<Answer, ApiError> {
        let path = Query::new().with("fieldManager", manager).after(path);
        self.json(request(Method::PATCH, &path, JSON, Some(("application/merge-patch+json", patch)))?).await
    }

    /// Deletes with options (`meta.k8s.io/v1 DeleteOptions`).
    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<(), ApiError> {
        self.json(request(Method::DELETE, path, JSON, Some((JSON, options)))?).await.map(|_| ())
    }

    /// Reads text, as far as the limit.
    pub(crate) async fn text(&self, path: &str) -> Result<String, ApiError> {
        let request = request(Method::GET, path, "text/plain, */*", None)?;
        let bytes = in_time(async { read(self.send(request).await?, LOG_LIMIT).await }).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A body that does not end by itself.
    pub(crate) async fn stream(
        &self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
        let request = request(Method::GET, path, METADATA, None)?;
        let response = in_time(self.send(request)).await?;
        let body = response.into_body().into_data_stream();
        Ok(body.map_err(|error| ApiError::Unreachable(error.to_string())).boxed())
    }

    async fn json(&self, request: Request<Body>) -> Result<Answer, ApiError> {
        in_time(async {
            let response = self.send(request).await?;
            let at = clock(&response);
            let bytes = read(response, SIZE_LIMIT).await?;
            let value = serde_json::from_slice(&bytes)
                .map_err(|error| ApiError::Odd(format!("the answer is not JSON: {error}")))?;
            Ok(Answer { value, at })
        })
        .await
    }

    /// Sends, and makes an error of an answer that is none of the good ones.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let response =
            self.client.send(request).await.map_err(|error| ApiError::of_client(error, &self.server))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = read(response, LOG_LIMIT).await.unwrap_or_default();
        Err(ApiError::of_answer(status, &bytes))
    }
}

/// The pages of a list, each as `read` makes it of the JSON.
pub(crate) async fn pages<Page, Read>(
    api: &Api,
    path: &str,
    accept: &str,
    read: Read,
) -> Result<Vec<Page>, ApiError>
where
    Read: Fn(Value) -> Result<Page, serde_json::Error>,
{
    const PAGE: &str = "500";
    /// 500 000 objects of one kind.
    const PAGES: usize = 1000;
    let mut pages = Vec::new();
    let mut next = String::new();
    while pages.len() < PAGES {
        let query = Query::new().with("limit", PAGE).with_if(!next.is_empty(), "continue", &next);
        let answer = api.get(&query.after(path), accept).await?;
        next = answer.value.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or("").to_owned();
        let page =
            read(answer.value).map_err(|error| ApiError::Odd(format!("{path}: not a list: {error}")))?;
        pages.push(page);
        if next.is_empty() {
            return Ok(pages);
        }
    }
    Err(ApiError::Odd(format!("{path}: the list does not end after {PAGES} pages")))
}

fn request(
    method: Method,
    path: &str,
    accept: &str,
    content: Option<(&str, &Value)>,
) -> Result<Request<Body>, ApiError> {
    let builder = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
    let request = match content {
        Some((media_type, value)) => {
            builder.header(header::CONTENT_TYPE, media_type).body(Body::from(value.to_string().into_bytes()))
        }
        None => builder.body(Body::empty()),
    };
    request.map_err(|error| ApiError::Odd(format!("{path:?} can't be asked for: {error}")))
}

async fn read(response: Response<Body>, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ApiError::Odd(format!("the answer is longer than {limit} bytes")))
        }
        Err(error) => Err(ApiError::Unreachable(format!("the answer broke off: {error}"))),
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let seconds = TIME_LIMIT.as_secs();
    let late = |_| ApiError::Unreachable(format!("no answer within {seconds} s"));
    tokio::time::timeout(TIME_LIMIT, work).await.map_err(late)?
}

/// The server's clock, in which its objects' time stamps are; this machine's may be wrong.
fn clock<B>(response: &Response<B>) -> Timestamp {
    let date = response.headers().get(header::DATE).and_then(|value| value.to_str().ok());
    let parsed = date.and_then(|text| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
    parsed.unwrap_or_else(Timestamp::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
        let silent = std::future::pending::<Result<(), ApiError>>();
        let error = in_time(silent).await.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 90 s");
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit() {
        let response = || Response::new(Body::from(vec![b'x'; 100]));
        assert_eq!(read(response(), 100).await.unwrap().len(), 100);
        let error = read(response(), 99).await.unwrap_err();
        assert_eq!(error.to_string(), "the answer is longer than 99 bytes");
    }

    #[test]
    fn the_servers_clock_counts() {
        let at = |date: &str| clock(&Response::builder().header("date", date).body(()).unwrap());
        assert_eq!(at("Thu, 01 Jan 2026 01:00:00 GMT").to_string(), "2026-01-01T01:00:00Z");
        assert!(at("yesterday").as_second() > 0);
    }
}
