//! Credentials from AWS' standard chain, kept until they expire.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;

/// Before their end credentials are fetched anew, so that none expires on its way.
const MARGIN: Duration = Duration::from_secs(60);

/// Environment, profiles, SSO, web identity, container and instance roles, in the SDK's order.
pub(crate) struct Chain {
    provider: SharedCredentialsProvider,
    current: Mutex<Option<Credentials>>,
}

/// There are no credentials.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ChainError(String);

impl Chain {
    pub(crate) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, current: Mutex::new(None) }
    }

    /// Credentials that are good for a while.
    pub(crate) async fn get(&self) -> Result<Credentials, ChainError> {
        let mut current = self.current.lock().await;
        if let Some(credentials) = current.as_ref().filter(|credentials| is_fresh(credentials)) {
            return Ok(credentials.clone());
        }
        let fetched = self.provider.provide_credentials().await;
        let credentials = fetched.map_err(|error| ChainError(with_sources(&error)))?;
        Ok(current.insert(credentials).clone())
    }
}

fn is_fresh(credentials: &Credentials) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > SystemTime::now() + MARGIN)
}

/// An error with what caused it, in one line.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
