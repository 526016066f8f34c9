//! The token endpoint: a user's password for a token that says what he may do.

use http::StatusCode;
use http::header::CACHE_CONTROL;
use http::request::Parts;

use super::{Received, Service};
use crate::server::answer::{Answer, Refusal, with_json};

/// A form with a user, a password and scopes is short.
const FORM_LIMIT: u64 = 64 << 10;
/// Scopes that one token may have.
const FIELDS_LIMIT: usize = 100;

impl Service {
    pub(super) async fn token(&self, head: &Parts, mut body: Received) -> Result<Answer, Refusal> {
        let whole;
        let text = if head.method == http::Method::POST {
            whole = body.whole(FORM_LIMIT).await?;
            whole.as_slice()
        } else {
            head.uri.query().unwrap_or_default().as_bytes()
        };
        let form: Vec<(String, String)> =
            form_urlencoded::parse(text).into_owned().take(FIELDS_LIMIT + 1).collect();
        if form.len() > FIELDS_LIMIT {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "that is too many fields"));
        }
        let token = self.access.token(&head.headers, &form).await?;
        Ok(with_json(vec![(CACHE_CONTROL, "no-store".to_owned())], &token))
    }
}
