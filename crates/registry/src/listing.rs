//! Lists that a registry gives in pages (the distribution specification's "Listing Tags").

use reqwest::header::{ACCEPT, LINK};
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;

use crate::endpoint::Endpoint;
use crate::failure::{RequestError, without_query};
use crate::progress::Progress;
use crate::transport::{Body, Call, Transport};

/// As long as a manifest may be: one page is no longer.
const PAGE_LIMIT: u64 = 4 << 20;
const PAGES_LIMIT: usize = 1_000;

/// A list at one place.
pub(crate) struct Listing<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) endpoint: &'a Endpoint,
    /// What a token must be good for.
    pub(crate) scope: &'a str,
    pub(crate) accept: &'static str,
    pub(crate) progress: &'a dyn Progress,
}

impl Listing<'_> {
    /// Every page from `first` on.
    ///
    /// # Errors
    /// When a page can't be had, or the pages have no end.
    pub(crate) async fn pages<T: DeserializeOwned>(&self, first: Url) -> Result<Vec<T>, RequestError> {
        let mut pages = Vec::new();
        let mut next = Some(first);
        while let Some(url) = next {
            if pages.len() >= PAGES_LIMIT {
                return Err(self.refused(&url, "list has too many pages; it is refused"));
            }
            let response = self.transport.insist(&self.call(url.clone()), self.progress).await?;
            next = self.next(&url, &response)?.filter(|next| *next != url);
            let body = self.transport.body(&url, response, PAGE_LIMIT).await?;
            let page = serde_json::from_slice(&body)
                .map_err(|error| self.refused(&url, &format!("list is not valid: {error}")))?;
            pages.push(page);
        }
        Ok(pages)
    }

    fn call(&self, url: Url) -> Call<'_> {
        Call {
            endpoint: self.endpoint,
            method: Method::GET,
            url,
            scope: self.scope,
            headers: vec![(ACCEPT, self.accept.to_owned())],
            body: Body::Nothing,
        }
    }

    /// Where the next page is. Nobody but the registry itself gets its credentials.
    fn next(&self, asked: &Url, response: &Response) -> Result<Option<Url>, RequestError> {
        let header = response.headers().get(LINK).and_then(|value| value.to_str().ok());
        let Some(target) = header.and_then(next_target) else { return Ok(None) };
        match asked.join(target) {
            Ok(next) if next.origin() == self.endpoint.base.origin() => Ok(Some(next)),
            _ => Err(self.refused(asked, "next page of the list is at another place; it is refused")),
        }
    }

    fn refused(&self, url: &Url, reason: &str) -> RequestError {
        RequestError::Answer { url: without_query(url).to_string(), reason: reason.to_owned() }
    }
}

/// The target of `<target>; rel="next"` (RFC 8288).
fn next_target(header: &str) -> Option<&str> {
    let (target, parameters) = header.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| {
        let relation = parameter.trim().strip_prefix("rel=");
        relation.is_some_and(|relation| relation.trim_matches('"').eq_ignore_ascii_case("next"))
    };
    parameters.split([';', ',']).any(is_next).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::next_target;

    #[test]
    fn the_next_page_is_found() {
        for (header, expected) in [
            ("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Some("/v2/a/tags/list?last=b&n=2")),
            ("</v2/_catalog?n=1>;rel=next", Some("/v2/_catalog?n=1")),
            ("</v2/a>; rel=\"prev\"", None),
            ("/v2/a", None),
            ("<open", None),
            ("", None),
        ] {
            assert_eq!(next_target(header), expected, "{header}");
        }
    }
}
