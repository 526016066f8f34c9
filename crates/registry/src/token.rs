//! Access tokens of authorization servers, kept until they expire.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::Secret;

/// The specification's lifetime for a token that tells none.
const DEFAULT_LIFETIME: u64 = 60;
/// A token is not used so shortly before its end.
const MARGIN: Duration = Duration::from_secs(10);

/// What a token is good for: an account's place and a scope.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TokenKey {
    pub(crate) endpoint: String,
    pub(crate) scope: String,
}

/// The tokens of a client.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<TokenKey, Authorization>>);

/// The value of an `Authorization` header, and until when it is good.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) value: Secret,
    expires: Option<Instant>,
}

/// What an authorization server answers.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

impl Tokens {
    pub(crate) fn get(&self, key: &TokenKey) -> Option<Secret> {
        let tokens = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fresh = |expires: Instant| expires > Instant::now();
        tokens.get(key).filter(|token| token.expires.is_none_or(fresh)).map(|token| token.value.clone())
    }

    pub(crate) fn put(&self, key: TokenKey, token: Authorization) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key, token);
    }
}

impl Authorization {
    /// A password, which does not expire.
    pub(crate) fn basic(user: &str, password: &Secret) -> Self {
        use base64::Engine;
        let pair = format!("{user}:{}", password.reveal());
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        Self { value: Secret::new(format!("Basic {encoded}")), expires: None }
    }

    /// The token in an answer; `None` when there is none.
    pub(crate) fn bearer(answer: TokenAnswer, now: Instant) -> Option<Self> {
        let token = answer.token.or(answer.access_token)?;
        // A header value: whoever puts a line break here wants to write a header of his own.
        let is_plain = token.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFETIME).min(86_400));
        let expires = Some(now + lifetime.saturating_sub(MARGIN));
        is_plain.then(|| Self { value: Secret::new(format!("Bearer {}", token.reveal())), expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Option<Authorization> {
        Authorization::bearer(serde_json::from_str(json).unwrap(), Instant::now())
    }

    #[test]
    fn tokens_come_under_both_names_and_are_used_until_they_expire() {
        let key = TokenKey { endpoint: "e".to_owned(), scope: "s".to_owned() };
        let tokens = Tokens::default();
        tokens.put(key.clone(), answer(r#"{"access_token":"a","expires_in":300}"#).unwrap());
        assert_eq!(tokens.get(&key), Some(Secret::new("Bearer a")));
        tokens.put(key.clone(), answer(r#"{"token":"b","expires_in":5}"#).unwrap());
        assert_eq!(tokens.get(&key), None);
    }

    #[test]
    fn a_token_that_is_no_header_value_is_refused() {
        assert!(answer(r#"{"token":"a\r\nHost: evil"}"#).is_none());
        assert!(answer("{}").is_none());
    }
}
