//! What the API's refusals mean to whoever synchronises.

use minato_resource::{Diagnostic, Object, ResourceKey};
use minato_sync::TargetError;

use crate::api::ApiError;

/// Why there is no ECS to talk to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The standard chain has no credentials.
    #[error(
        "{place}: no AWS credentials: {message}; set AWS_PROFILE, run `aws sso login`, or give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials {
        /// The destination.
        place: String,
        /// What the chain says.
        message: String,
    },
    /// No HTTP client can be made: the machine's certificates can't be read.
    #[error("{place}: {message}")]
    Client {
        /// The destination.
        place: String,
        /// What is wrong.
        message: String,
    },
}

/// The error of a call that is about no Object.
pub(crate) fn of_call(place: &str) -> impl FnOnce(ApiError) -> TargetError + '_ {
    move |error| {
        let (what, message) = (place.to_owned(), error.to_string());
        if error.may_pass() {
            TargetError::Unavailable { what, message }
        } else {
            TargetError::Broken { what, message }
        }
    }
}

/// The error of a call that brings an Object out: what ECS refuses is the Object's fault.
pub(crate) fn of_object<'a>(
    place: &'a str,
    key: &'a ResourceKey,
) -> impl FnOnce(ApiError) -> TargetError + 'a {
    move |error| {
        // The old service of the name still stops its tasks.
        let drains = error.words().to_ascii_lowercase().contains("draining");
        match error {
            error if error.may_pass() || drains => {
                TargetError::Unavailable { what: place.to_owned(), message: error.to_string() }
            }
            error @ ApiError::Refused { .. } => refused(key, error.to_string()),
            error => TargetError::Broken { what: place.to_owned(), message: error.to_string() },
        }
    }
}

/// An Object that can't be brought out as it is.
pub(crate) fn refused(key: &ResourceKey, message: impl Into<String>) -> TargetError {
    TargetError::Refused { key: key.clone(), message: message.into() }
}

/// Refuses an Object with errors among its findings, naming each.
pub(crate) fn refuse_errors(object: &Object, diagnostics: &[Diagnostic]) -> Result<(), TargetError> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    let texts: Vec<String> = errors
        .map(|diagnostic| match &diagnostic.hint {
            Some(hint) => format!("{diagnostic}; {hint}"),
            None => diagnostic.to_string(),
        })
        .collect();
    if texts.is_empty() { Ok(()) } else { Err(refused(object.key(), texts.join("\n"))) }
}

/// An Object that another Application has.
pub(crate) fn belongs_to(key: &ResourceKey, other: &str) -> TargetError {
    refused(key, format!("it belongs to application {other}; give it another name, or delete it there first"))
}
