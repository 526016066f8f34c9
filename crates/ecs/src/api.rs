//! Calls of AWS' JSON protocol (awsJson 1.1): one signed POST, one JSON answer.
//!
//! Bodies are JSON values and not types, so that a field that AWS added yesterday reaches the API and comes back.

mod answer;
mod credentials;
mod endpoint;
mod retry;

pub(crate) use answer::ApiError;
pub(crate) use credentials::Chain;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use self::endpoint::{address, is_here};

const CONNECT: Duration = Duration::from_secs(5);
/// The slowest calls of ECS answer within seconds.
const WHOLE: Duration = Duration::from_secs(30);

/// A service of AWS that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Ecs,
    Logs,
    AutoScaling,
}

impl Service {
    /// (first label of its host name, name that requests are signed for, prefix of `X-Amz-Target`).
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Ecs => ("ecs", "ecs", "AmazonEC2ContainerServiceV20141113"),
            Self::Logs => ("logs", "logs", "Logs_20140328"),
            Self::AutoScaling => {
                ("application-autoscaling", "application-autoscaling", "AnyScaleFrontendService")
            }
        }
    }
}

/// What to call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub service: Service,
    /// `DescribeServices`.
    pub operation: &'static str,
    pub region: &'a str,
}

impl Call<'_> {
    /// A call that changes nothing may be made again whatever became of it.
    fn only_reads(&self) -> bool {
        ["Describe", "List", "Get"].iter().any(|verb| self.operation.starts_with(verb))
    }
}

/// Makes calls.
pub(crate) struct Api {
    http: reqwest::Client,
    credentials: Chain,
    /// Instead of AWS' own addresses: `AWS_ENDPOINT_URL`.
    endpoint: Option<String>,
}

impl Api {
    pub(crate) fn new(credentials: Chain, endpoint: Option<String>) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("minato/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .redirect(reqwest::redirect::Policy::none());
        // Proxies are for other machines.
        let here = endpoint.as_deref().is_some_and(is_here);
        let builder = if here { builder.no_proxy() } else { builder };
        // Reading the machine's certificates takes longer than a call, so it is left out where none is needed.
        let encrypted = endpoint.as_deref().is_none_or(|endpoint| endpoint.starts_with("https:"));
        let builder = builder.tls_built_in_native_certs(encrypted);
        Ok(Self { http: builder.build()?, credentials, endpoint })
    }

    /// Makes one call; what may pass by itself is tried a few times.
    pub(crate) async fn call(&self, call: Call<'_>, body: &Value) -> Result<Value, ApiError> {
        let mut tries = 0;
        loop {
            let error = match self.try_call(call, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = error.never_arrived() || (error.may_pass() && call.only_reads());
            let Some(pause) = retry::pause(tries).filter(|_| again) else { return Err(error) };
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    async fn try_call(&self, call: Call<'_>, body: &Value) -> Result<Value, ApiError> {
        let credentials = self.credentials.get().await.map_err(|error| ApiError::Credentials {
            operation: call.operation,
            message: error.to_string(),
        })?;
        let (host, _, prefix) = call.service.names();
        let url = self.endpoint.clone().unwrap_or_else(|| address(host, call.region));
        let bytes = body.to_string().into_bytes();
        let mut request = self
            .http
            .post(&url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"))
            .header("x-amz-target", format!("{prefix}.{}", call.operation))
            .body(bytes)
            .build()
            .map_err(|error| ApiError::unsendable(call.operation, &error))?;
        authorize(&mut request, call, &credentials)?;
        let sent = self.http.execute(request).await;
        let response = sent.map_err(|error| ApiError::unreachable(call.operation, &url, &error))?;
        answer::read(call.operation, response).await
    }
}

/// Adds the signature (AWS Signature Version 4).
fn authorize(
    request: &mut reqwest::Request,
    call: Call<'_>,
    credentials: &Credentials,
) -> Result<(), ApiError> {
    let unsigned = |message: String| ApiError::Credentials { operation: call.operation, message };
    let identity = credentials.clone().into();
    let (_, name, _) = call.service.names();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(call.region)
        .name(name)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| unsigned(error.to_string()))?;
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    let body = SignableBody::Bytes(body);
    let signable = SignableRequest::new(request.method().as_str(), request.url().as_str(), headers, body)
        .map_err(|error| unsigned(error.to_string()))?;
    let signed = sign(signable, &parameters.into()).map_err(|error| unsigned(error.to_string()))?;
    let (instructions, _) = signed.into_parts();
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value).map_err(|error| unsigned(error.to_string()))?;
        value.set_sensitive(true);
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes());
        request.headers_mut().insert(name.map_err(|error| unsigned(error.to_string()))?, value);
    }
    Ok(())
}
