//! What came back: JSON, or why not.

use reqwest::Response;
use serde_json::Value;

use super::credentials::with_sources;

/// No answer of ECS is nearly as long: 100 tasks are some hundred kilobytes.
const ANSWER_LIMIT: usize = 16 << 20;
/// Of an error's body that is not JSON (a proxy's page), the part that is shown.
const SHOWN: usize = 200;

/// Codes that ask for patience with status 400 (AWS API reference, common errors).
const THROTTLED: [&str; 5] = [
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
];

/// How the code of an answer starts that has none.
const NO_CODE: &str = "HTTP ";

/// Why a call did not get its answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No connection, or it broke, or nothing came in time.
    #[error("{operation}: {message}")]
    Unreachable { operation: &'static str, message: String, arrived: bool },
    /// The service said no.
    #[error("{operation}: {code}: {message}")]
    Refused { operation: &'static str, status: u16, code: String, message: String },
    /// The answer is not what the protocol says.
    #[error("{operation}: {message}")]
    Unreadable { operation: &'static str, message: String },
    /// There is nothing to sign with.
    #[error(
        "{operation}: no AWS credentials: {message}; set AWS_PROFILE, run `aws sso login`, or give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials { operation: &'static str, message: String },
}

impl ApiError {
    pub(super) fn unreachable(operation: &'static str, url: &str, error: &reqwest::Error) -> Self {
        let arrived = !error.is_connect();
        Self::Unreachable { operation, message: format!("{url}: {}", with_sources(error)), arrived }
    }

    pub(super) fn unsendable(operation: &'static str, error: &reqwest::Error) -> Self {
        Self::Unreadable { operation, message: format!("the endpoint: {}", with_sources(error)) }
    }

    /// The service's own code, where it said no.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The service's own words, where it said no.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            _ => "",
        }
    }

    /// Whether the same call may work a little later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429 || self.is_throttled(),
            Self::Unreadable { .. } | Self::Credentials { .. } => false,
        }
    }

    /// Whether it is certain that the service did nothing.
    pub(super) fn never_arrived(&self) -> bool {
        matches!(self, Self::Unreachable { arrived: false, .. }) || self.is_throttled()
    }

    fn is_throttled(&self) -> bool {
        matches!(self, Self::Refused { status, code, .. }
            if *status == 429 || THROTTLED.contains(&code.as_str()))
    }

    /// Whether this caller's role may not make the call.
    pub(crate) fn is_denied(&self) -> bool {
        self.code() == Some("AccessDeniedException")
    }

    /// Whether this server, or this caller's role, knows no such call.
    pub(crate) fn is_not_offered(&self) -> bool {
        let Self::Refused { status, code, .. } = self else { return false };
        let codes =
            ["UnknownOperationException", "InvalidAction", "NotImplemented", "UnsupportedFeatureException"];
        // Imitations answer 404, 501, or a page of their web server with 500; ECS' own failures have a code.
        let no_protocol = code.starts_with(NO_CODE) && matches!(*status, 404 | 500 | 501);
        codes.contains(&code.as_str()) || no_protocol || self.is_denied()
    }
}

/// Reads the answer to a call.
pub(super) async fn read(operation: &'static str, mut response: Response) -> Result<Value, ApiError> {
    let status = response.status();
    let header = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let header = header.map(str::to_owned);
    let mut bytes = Vec::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| ApiError::Unreachable {
            operation,
            message: with_sources(&error),
            arrived: true,
        })?;
        let Some(chunk) = chunk else { break };
        if bytes.len() + chunk.len() > ANSWER_LIMIT {
            let message = format!("the answer is longer than {ANSWER_LIMIT} bytes; it is refused");
            return Err(ApiError::Unreadable { operation, message });
        }
        bytes.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return parse(operation, &bytes);
    }
    Err(refusal(operation, status.as_u16(), header.as_deref(), &bytes))
}

fn parse(operation: &'static str, bytes: &[u8]) -> Result<Value, ApiError> {
    // Some calls answer with nothing.
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| ApiError::Unreadable {
        operation,
        message: format!("the answer is no JSON: {error}"),
    })?;
    if value.is_object() {
        return Ok(value);
    }
    Err(ApiError::Unreadable { operation, message: "the answer is no JSON object".to_owned() })
}

/// The error's code is in `__type` (`com.amazonaws.ecs#ClientException`), or in a header; its words in `message` or
/// `Message` (awsJson 1.1).
fn refusal(operation: &'static str, status: u16, header: Option<&str>, bytes: &[u8]) -> ApiError {
    let body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let code = text("__type").or_else(|| text("code")).or(header).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    let code = if code.is_empty() { format!("{NO_CODE}{status}") } else { code.to_owned() };
    let message = text("message").or_else(|| text("Message")).map_or_else(|| start(bytes), str::to_owned);
    ApiError::Refused { operation, status, code, message }
}

fn start(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_who_and_why_and_whether_to_try_again() {
        let check = |status: u16, header: Option<&str>, body: &str, expected: &str, may_pass: bool| {
            let error = refusal("DescribeServices", status, header, body.as_bytes());
            assert_eq!(error.to_string(), format!("DescribeServices: {expected}"));
            assert_eq!(error.may_pass(), may_pass, "{body}");
        };
        check(
            400,
            None,
            r#"{"__type": "com.amazonaws.ecs#ClusterNotFoundException", "message": "Cluster not found."}"#,
            "ClusterNotFoundException: Cluster not found.",
            false,
        );
        check(
            400,
            None,
            r#"{"__type":"ThrottlingException","Message":"Rate exceeded"}"#,
            "ThrottlingException: Rate exceeded",
            true,
        );
        check(400, Some("ServerException:http://x/"), "{}", "ServerException: {}", false);
        check(500, None, "", "HTTP 500: ", true);
        check(429, None, "<h1>slow\n down</h1>", "HTTP 429: <h1>slow down</h1>", true);
        check(
            403,
            None,
            r#"{"__type":"AccessDeniedException"}"#,
            "AccessDeniedException: {\"__type\":\"AccessDeniedException\"}",
            false,
        );
    }

    #[test]
    fn answers_that_are_no_objects_are_refused() {
        for wrong in ["[]", "1", "<html>", "{"] {
            assert!(
                matches!(parse("ListTasks", wrong.as_bytes()), Err(ApiError::Unreadable { .. })),
                "{wrong}"
            );
        }
        assert!(parse("ListTasks", b"").is_ok());
    }
}
