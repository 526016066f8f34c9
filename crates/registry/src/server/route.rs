//! What a request is about: pure, from method, path and query (the distribution specification's "Endpoints").

use http::{Method, StatusCode};

use super::answer::Refusal;
use super::content::ContentDigest;
use super::name::{RepositoryName, Tag};
use super::storage::UploadId;

/// Tags that one request may set.
const TAGS_LIMIT: usize = 100;

/// An endpoint with its parts.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Route {
    /// `/v2/`: whether somebody is here.
    Base,
    /// The way to a token.
    Token,
    Catalog(Page),
    Tags(RepositoryName, Page),
    Referrers(RepositoryName, ContentDigest, Option<String>),
    Manifest(RepositoryName, Name, ManifestAction),
    Blob(RepositoryName, ContentDigest, BlobAction),
    StartUpload(RepositoryName, Start),
    Upload(RepositoryName, UploadId, UploadAction),
}

/// How a manifest is named.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Name {
    Tag(Tag),
    Digest(ContentDigest),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ManifestAction {
    Get,
    Head,
    /// With more tags than the one that it is put under.
    Put(Vec<Tag>),
    Delete,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum BlobAction {
    Get,
    Head,
    Delete,
}

/// How an upload begins, and perhaps ends.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Start {
    /// As a session.
    Session,
    /// The whole blob comes with the request.
    Whole(ContentDigest),
    /// The blob may be here already, in a repository that is named or in any.
    Mount(ContentDigest, Option<RepositoryName>),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum UploadAction {
    Status,
    Append,
    Finish(ContentDigest),
    Cancel,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Page {
    pub(crate) limit: Option<usize>,
    /// The entry before the first.
    pub(crate) after: Option<String>,
}

/// Reads a request line.
///
/// # Errors
/// With the answer to give when it is no endpoint, or names something that can't be a name.
pub(crate) fn route(method: &Method, path: &str, query: &str) -> Result<Route, Refusal> {
    // Of all the characters that names and digests have, the colon is the one that clients escape.
    let path = path.replace("%3A", ":").replace("%3a", ":");
    let query = Query(form_urlencoded::parse(query.as_bytes()).into_owned().collect());
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let rest = match path.as_str() {
        "/token" => {
            return if reads || *method == Method::POST { Ok(Route::Token) } else { Err(wrong_method()) };
        }
        "/v2" | "/v2/" => return if reads { Ok(Route::Base) } else { Err(wrong_method()) },
        "/v2/_catalog" => return if reads { Ok(Route::Catalog(query.page()?)) } else { Err(wrong_method()) },
        other => other.strip_prefix("/v2/").ok_or_else(no_endpoint)?,
    };
    let parts: Vec<&str> = rest.split('/').collect();
    // Parts of a name may be called as endpoints are: what counts is the end.
    match parts.as_slice() {
        [name @ .., "tags", "list"] if reads => Ok(Route::Tags(repository(name)?, query.page()?)),
        [name @ .., "referrers", subject] if reads => {
            Ok(Route::Referrers(repository(name)?, digest(subject)?, query.get("artifactType")))
        }
        [name @ .., "manifests", reference] => manifest(method, repository(name)?, reference, &query),
        [name @ .., "blobs", "uploads", ""] | [name @ .., "blobs", "uploads"] if *method == Method::POST => {
            Ok(Route::StartUpload(repository(name)?, start(&query)?))
        }
        [name @ .., "blobs", "uploads", id] => upload(method, repository(name)?, id, &query),
        [name @ .., "blobs", blob] => {
            let action = match *method {
                Method::GET => BlobAction::Get,
                Method::HEAD => BlobAction::Head,
                Method::DELETE => BlobAction::Delete,
                _ => return Err(wrong_method()),
            };
            Ok(Route::Blob(repository(name)?, digest(blob)?, action))
        }
        [_, .., "tags", "list"] | [_, .., "referrers", _] => Err(wrong_method()),
        _ => Err(no_endpoint()),
    }
}

fn manifest(method: &Method, name: RepositoryName, reference: &str, query: &Query) -> Result<Route, Refusal> {
    let named = match reference.contains(':') {
        true => Name::Digest(digest(reference)?),
        false => Name::Tag(tag(reference)?),
    };
    let action = match *method {
        Method::GET => ManifestAction::Get,
        Method::HEAD => ManifestAction::Head,
        Method::PUT => ManifestAction::Put(query.tags()?),
        Method::DELETE => ManifestAction::Delete,
        _ => return Err(wrong_method()),
    };
    Ok(Route::Manifest(name, named, action))
}

fn start(query: &Query) -> Result<Start, Refusal> {
    if let Some(mount) = query.get("mount") {
        let from = query.get("from").map(|from| repository(&[from.as_str()])).transpose()?;
        return Ok(Start::Mount(digest(&mount)?, from));
    }
    Ok(match query.get("digest") {
        Some(whole) => Start::Whole(digest(&whole)?),
        None => Start::Session,
    })
}

fn upload(method: &Method, name: RepositoryName, id: &str, query: &Query) -> Result<Route, Refusal> {
    let action = match *method {
        Method::GET | Method::HEAD => UploadAction::Status,
        Method::PATCH => UploadAction::Append,
        Method::PUT => {
            let missing = || Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "digest is missing");
            UploadAction::Finish(digest(&query.get("digest").ok_or_else(missing)?)?)
        }
        Method::DELETE => UploadAction::Cancel,
        _ => return Err(wrong_method()),
    };
    Ok(Route::Upload(name, id.parse()?, action))
}

struct Query(Vec<(String, String)>);

impl Query {
    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.clone())
    }

    fn page(&self) -> Result<Page, Refusal> {
        let wrong = |_| Refusal::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n is no number");
        let limit = self.get("n").map(|n| n.parse::<usize>().map_err(wrong)).transpose()?;
        Ok(Page { limit, after: self.get("last") })
    }

    fn tags(&self) -> Result<Vec<Tag>, Refusal> {
        let tags = self.0.iter().filter(|(key, _)| key == "tag");
        let tags = tags.map(|(_, value)| tag(value)).collect::<Result<Vec<_>, _>>()?;
        if tags.len() > TAGS_LIMIT {
            let message = format!("one request may set at most {TAGS_LIMIT} tags");
            return Err(Refusal::new(StatusCode::URI_TOO_LONG, "TAG_INVALID", message));
        }
        Ok(tags)
    }
}

fn repository(parts: &[&str]) -> Result<RepositoryName, Refusal> {
    let name = parts.join("/").parse::<RepositoryName>();
    name.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string()))
}

fn tag(text: &str) -> Result<Tag, Refusal> {
    text.parse::<Tag>()
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "TAG_INVALID", error.to_string()))
}

fn digest(text: &str) -> Result<ContentDigest, Refusal> {
    text.parse::<ContentDigest>()
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", error.to_string()))
}

fn no_endpoint() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is no such endpoint; the API is below /v2/")
}

fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this endpoint does not have this method")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest_text() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    fn check(method: &str, path: &str, query: &str) -> Result<Route, (u16, &'static str)> {
        let method = method.parse().unwrap();
        route(&method, path, query).map_err(|refusal| (refusal.status.as_u16(), refusal.code))
    }

    #[test]
    fn endpoints_are_read_from_their_end() {
        let blob = digest_text();
        let escaped = blob.replace(':', "%3A");
        let name: RepositoryName = "a/tags/blobs/uploads".parse().unwrap();
        assert_eq!(
            check("GET", &format!("/v2/{name}/blobs/{escaped}"), ""),
            Ok(Route::Blob(name.clone(), blob.parse().unwrap(), BlobAction::Get))
        );
        let page = Page { limit: Some(2), after: Some("v1".to_owned()) };
        assert_eq!(
            check("GET", &format!("/v2/{name}/tags/list"), "n=2&last=v1"),
            Ok(Route::Tags(name.clone(), page))
        );
        let mount = Start::Mount(blob.parse().unwrap(), Some("b/c".parse().unwrap()));
        assert_eq!(
            check("POST", &format!("/v2/{name}/blobs/uploads/"), &format!("mount={escaped}&from=b%2Fc")),
            Ok(Route::StartUpload(name.clone(), mount))
        );
        let put = ManifestAction::Put(vec!["x".parse().unwrap(), "y".parse().unwrap()]);
        assert_eq!(
            check("PUT", &format!("/v2/{name}/manifests/{blob}"), "tag=x&tag=y"),
            Ok(Route::Manifest(name.clone(), Name::Digest(blob.parse().unwrap()), put))
        );
        assert_eq!(
            check("GET", &format!("/v2/{name}/referrers/{blob}"), "artifactType=a%2Bb"),
            Ok(Route::Referrers(name, blob.parse().unwrap(), Some("a+b".to_owned())))
        );
    }

    #[test]
    fn what_is_no_endpoint_gets_the_error_that_says_why() {
        let blob = digest_text();
        for (method, path, query, expected) in [
            ("GET", "/", "", (404, "UNSUPPORTED")),
            ("GET", "/v2/a", "", (404, "UNSUPPORTED")),
            ("GET", "/v3/a/tags/list", "", (404, "UNSUPPORTED")),
            ("POST", "/v2/", "", (405, "UNSUPPORTED")),
            ("POST", "/v2/a/tags/list", "", (405, "UNSUPPORTED")),
            ("GET", "/v2/tags/list", "", (400, "NAME_INVALID")),
            ("GET", "/v2/../../etc/tags/list", "", (400, "NAME_INVALID")),
            ("GET", "/v2/A/tags/list", "", (400, "NAME_INVALID")),
            ("GET", "/v2/a/tags/list", "n=x", (400, "PAGINATION_NUMBER_INVALID")),
            ("GET", "/v2/a/manifests/sha256:bad", "", (400, "DIGEST_INVALID")),
            ("GET", "/v2/a/manifests/..", "", (400, "TAG_INVALID")),
            ("PATCH", &format!("/v2/a/blobs/{blob}"), "", (405, "UNSUPPORTED")),
            ("POST", "/v2/a/blobs/uploads/", "mount=x", (400, "DIGEST_INVALID")),
            ("PATCH", "/v2/a/blobs/uploads/../../x", "", (404, "UNSUPPORTED")),
            ("PATCH", "/v2/a/blobs/uploads/x", "", (404, "BLOB_UPLOAD_UNKNOWN")),
            ("PUT", &format!("/v2/a/blobs/uploads/{}", "0".repeat(32)), "", (400, "DIGEST_INVALID")),
        ] {
            assert_eq!(check(method, path, query), Err(expected), "{method} {path}?{query}");
        }
    }

    proptest! {
        #[test]
        fn no_request_line_ends_the_server(path in ".{0,80}", query in ".{0,80}") {
            let _ = route(&Method::GET, &format!("/v2/{path}"), &query);
            let _ = route(&Method::PUT, &path, &query);
        }
    }
}
