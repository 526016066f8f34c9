//! Answering a registry's challenge: a password, or a token of its authorization server.

use std::time::Instant;

use reqwest::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};

use crate::Secret;
use crate::challenge::{self, Challenge};
use crate::credentials::Credential;
use crate::endpoint::{Endpoint, authority, is_loopback};
use crate::failure::{RequestError, accept, denied, without_query};
use crate::token::{Authorization, TokenAnswer};
use crate::transport::Transport;

const TOKEN_LIMIT: u64 = 1 << 20;

impl Transport {
    /// What the registry behind `endpoint` wants to see.
    pub(crate) async fn authorize(
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
                let scope = wanted_scope(asked.as_deref(), scope);
                self.fetch_token(endpoint, &realm, service.as_deref(), &scope, credential).await
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
}

/// What to ask a token for: what the registry named, and whatever else the whole of the work needs.
fn wanted_scope(asked: Option<&str>, own: &str) -> String {
    let Some(asked) = asked else { return own.to_owned() };
    if !own.contains("push") {
        return asked.to_owned();
    }
    let resource = |scope: &str| scope.rsplit_once(':').map(|(resource, _)| resource.to_owned());
    let is_new = |scope: &&str| own.split_whitespace().all(|known| resource(known) != resource(scope));
    own.split_whitespace().chain(asked.split_whitespace().filter(is_new)).collect::<Vec<_>>().join(" ")
}

/// The challenge to answer.
pub(crate) fn challenge_of(headers: &HeaderMap) -> Option<Challenge> {
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
    // Each scope in a parameter of its own is what every authorization server reads.
    for scope in scope.split_whitespace() {
        query.append_pair("scope", scope);
    }
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

#[cfg(test)]
mod tests {
    use super::wanted_scope;

    #[test]
    fn a_token_is_good_for_the_whole_of_a_push() {
        let own = "repository:a/b:pull,push";
        for (asked, own, expected) in [
            (None, "repository:a/b:pull", "repository:a/b:pull"),
            (Some("repository:a/b:pull other"), "repository:a/b:pull", "repository:a/b:pull other"),
            (Some("repository:a/b:pull"), own, own),
            (Some("repository:a/b:pull registry:x:y"), own, "repository:a/b:pull,push registry:x:y"),
        ] {
            assert_eq!(wanted_scope(asked, own), expected);
        }
    }
}
