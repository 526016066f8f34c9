//! What a server's refusal means to the caller.

use http::StatusCode;
use minato_resource::ResourceKey;
use minato_sync::TargetError;
use serde::Deserialize;

use crate::connect::explain_credentials;
use crate::normal::plain;

/// Longest text of a refusal that is passed on.
const MESSAGE_LIMIT: usize = 4000;

/// Longest value that is repeated from a refusal: a server shows whole pod templates.
const VALUE_LIMIT: usize = 120;

/// Why a request gave no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server said no.
    #[error(transparent)]
    Refused(Refusal),
    /// No connection, or one that broke off.
    #[error("{0}")]
    Unreachable(String),
    /// There are no credentials to ask with.
    #[error("{0}")]
    Credentials(String),
    /// An answer that no API server gives.
    #[error("{0}")]
    Odd(String),
}

/// The server's `Status` (meta.k8s.io/v1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub code: u16,
    /// `NotFound`, `Invalid`, `Forbidden`…; empty when the answer was no `Status`.
    pub reason: String,
    /// The server's own sentence.
    pub message: String,
    /// Plural of the kind that it is about.
    pub kind: String,
    /// (field, what is wrong with it).
    pub causes: Vec<(String, String)>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
    details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    kind: String,
    causes: Vec<StatusCause>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusCause {
    field: String,
    message: String,
}

impl ApiError {
    /// Reads the answer of a request that failed.
    pub(crate) fn of_answer(code: StatusCode, body: &[u8]) -> Self {
        let status: Status = serde_json::from_slice(body).unwrap_or_default();
        let said = if status.message.is_empty() {
            String::from_utf8_lossy(body).into_owned()
        } else {
            status.message
        };
        let said = if said.trim().is_empty() { format!("HTTP status {code}") } else { said };
        let details = status.details.unwrap_or_default();
        Self::Refused(Refusal {
            code: code.as_u16(),
            reason: plain(&status.reason),
            message: short(&said),
            kind: plain(&details.kind),
            causes: details.causes.iter().map(|cause| (plain(&cause.field), short(&cause.message))).collect(),
        })
    }

    /// Reads why there was no answer of this server.
    pub(crate) fn of_client(error: kube::Error, server: &str) -> Self {
        let unreachable = |error: &(dyn std::error::Error + 'static)| {
            Self::Unreachable(format!("no answer from {server}: {}", chain(error)))
        };
        match error {
            kube::Error::Auth(error) => Self::Credentials(explain_credentials(&error)),
            kube::Error::Service(error) => match error.downcast::<kube::client::AuthError>() {
                Ok(error) => Self::Credentials(explain_credentials(&error)),
                Err(error) => unreachable(error.as_ref()),
            },
            error => unreachable(&error),
        }
    }

    /// The refusal, if it is one.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// As an answer about one Object.
    pub(crate) fn about(self, key: &ResourceKey) -> TargetError {
        match self {
            Self::Refused(refusal) if !refusal.may_pass() && refusal.code != 401 => {
                TargetError::Refused { key: key.clone(), message: refusal.explained() }
            }
            error => error.asked(key.to_string()),
        }
    }

    /// As an answer to a question that is not about one Object.
    pub(crate) fn asked(self, what: impl Into<String>) -> TargetError {
        let what = what.into();
        match self {
            Self::Refused(refusal) if refusal.may_pass() => {
                let message = format!("the cluster answered {}: {}", refusal.code, refusal.message);
                TargetError::Unavailable { what, message }
            }
            Self::Refused(refusal) => TargetError::Broken { what, message: refusal.explained() },
            Self::Unreachable(message) => TargetError::Unavailable { what, message },
            Self::Credentials(message) | Self::Odd(message) => TargetError::Broken { what, message },
        }
    }
}

impl Refusal {
    /// Whether the same request may work a little later.
    pub(crate) fn may_pass(&self) -> bool {
        match self.code {
            429 | 500..=599 => !self.is_misfit(),
            // Somebody wrote at the same time, or the controller that makes it has not come to it yet.
            409 => self.reason != "AlreadyExists",
            403 => self.message.contains("error looking up service account"),
            _ => false,
        }
    }

    /// The object has a field that its schema does not know: the caller's mistake, though it is answered with 500.
    pub(crate) fn is_misfit(&self) -> bool {
        let texts = ["failed to create typed patch object", "field not declared in schema", "unknown field"];
        texts.iter().any(|text| self.message.contains(text))
    }

    /// The server's sentence with its reason and what to do next.
    fn explained(&self) -> String {
        let reason = if self.reason.is_empty() { self.code.to_string() } else { self.reason.clone() };
        let mut text = format!("the cluster refused it ({reason}): {}", self.message);
        for (field, message) in self.causes.iter().filter(|(field, _)| !self.message.contains(field.as_str()))
        {
            text.push_str(&format!("; {field}: {message}"));
        }
        if let Some(hint) = self.hint() {
            text.push_str("; ");
            text.push_str(hint);
        }
        text
    }

    fn hint(&self) -> Option<&'static str> {
        if self.is_misfit() {
            return Some("correct the field's name, or remove it");
        }
        match self.code {
            401 => Some("these credentials are not valid any more: log in to the cluster again"),
            403 if self.message.contains("cannot") => Some("ask for a role that allows it"),
            422 if self.message.contains("immutable") => {
                Some("this field can't be changed: delete the object, or give the new one another name")
            }
            404 if self.kind == "namespaces" => {
                Some("add the namespace to the files, or set the sync option CreateNamespace=true")
            }
            413 => Some("the object is too large for the cluster"),
            _ => None,
        }
    }
}

/// The error and what caused it; the reason why a connection failed is the last one.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.iter().any(|earlier| earlier.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    short(&texts.join(": "))
}

fn short(text: &str) -> String {
    without_long_values(&plain(text)).chars().take(MESSAGE_LIMIT).collect()
}

/// `spec.x: Invalid value: {…}: why` instead of the whole value.
fn without_long_values(text: &str) -> String {
    const BEFORE: &str = "Invalid value: {";
    let mut told = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEFORE) {
        let open = start + BEFORE.len() - 1;
        let end = open + value_length(&rest[open..]);
        let value = &rest[open..end];
        told.push_str(&rest[..open]);
        told.push_str(if value.len() > VALUE_LIMIT { "{…}" } else { value });
        rest = &rest[end..];
    }
    told + rest
}

/// Bytes up to the brace that closes the first one.
fn value_length(text: &str) -> usize {
    let mut depth = 0_usize;
    for (index, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + character.len_utf8();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(code: u16, body: Value, expected: &str) {
        let error = ApiError::of_answer(StatusCode::from_u16(code).unwrap(), body.to_string().as_bytes());
        let told = match error.about(&"apps/Deployment a/web".parse().unwrap()) {
            TargetError::Refused { message, .. } => format!("refused: {message}"),
            TargetError::Unavailable { message, .. } => format!("unavailable: {message}"),
            TargetError::Broken { message, .. } => format!("broken: {message}"),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_refusal_has_the_servers_reason_and_field_and_the_next_step() {
        check(
            422,
            json!({"kind": "Status", "reason": "Invalid", "message": "Deployment is invalid",
                "details": {"causes": [{"field": "spec.replicas", "message": "must not be negative"}]}}),
            "refused: the cluster refused it (Invalid): Deployment is invalid; spec.replicas: must not be negative",
        );
        check(
            422,
            json!({"reason": "Invalid", "message": "spec.selector: field is immutable",
                "details": {"causes": [{"field": "spec.selector", "message": "field is immutable"}]}}),
            "refused: the cluster refused it (Invalid): spec.selector: field is immutable; this field can't be changed: delete the object, or give the new one another name",
        );
        check(
            404,
            json!({"reason": "NotFound", "message": "namespaces \"a\" not found", "details": {"kind": "namespaces"}}),
            "refused: the cluster refused it (NotFound): namespaces \"a\" not found; add the namespace to the files, or set the sync option CreateNamespace=true",
        );
        check(
            403,
            json!({"reason": "Forbidden", "message": "user u cannot patch deployments"}),
            "refused: the cluster refused it (Forbidden): user u cannot patch deployments; ask for a role that allows it",
        );
    }

    #[test]
    fn a_servers_long_values_are_left_out() {
        let check = |text: &str, expected: &str| assert_eq!(without_long_values(text), expected);
        let long = format!("{{\"a\": {{\"b\": \"{}\"}}}}", "x".repeat(VALUE_LIMIT));
        check(
            &format!("spec: Invalid value: {long}: field is immutable"),
            "spec: Invalid value: {…}: field is immutable",
        );
        check("spec: Invalid value: {\"a\":1}: no", "spec: Invalid value: {\"a\":1}: no");
        check(&format!("x: Invalid value: {}", &long[..long.len() - 2]), "x: Invalid value: {…}");
        check("plain", "plain");
    }

    #[test]
    fn what_may_pass_is_unavailable() {
        check(429, json!({"message": "slow down"}), "unavailable: the cluster answered 429: slow down");
        check(503, json!({"message": "etcd"}), "unavailable: the cluster answered 503: etcd");
        check(
            409,
            json!({"reason": "Conflict", "message": "was modified"}),
            "unavailable: the cluster answered 409: was modified",
        );
        check(500, json!("x\u{1b}[31m"), "unavailable: the cluster answered 500: \"x\\u001b[31m\"");
    }

    #[test]
    fn what_will_not_pass_is_not() {
        check(
            500,
            json!({"message": "failed to create typed patch object: .spec.x: field not declared in schema"}),
            "refused: the cluster refused it (500): failed to create typed patch object: .spec.x: field not declared in schema; correct the field's name, or remove it",
        );
        check(
            401,
            json!({"reason": "Unauthorized", "message": "Unauthorized"}),
            "broken: the cluster refused it (Unauthorized): Unauthorized; these credentials are not valid any more: log in to the cluster again",
        );
    }

    #[test]
    fn an_answer_without_a_status_is_told_in_short() {
        let error = ApiError::of_answer(StatusCode::BAD_GATEWAY, "x".repeat(1 << 20).as_bytes());
        assert_eq!(error.to_string().len(), MESSAGE_LIMIT);
        let error = ApiError::of_answer(StatusCode::BAD_GATEWAY, b"");
        assert_eq!(error.to_string(), "HTTP status 502 Bad Gateway");
    }
}
