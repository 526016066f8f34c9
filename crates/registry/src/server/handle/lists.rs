//! Lists: repositories, tags, referrers.

use http::HeaderName;
use http::header::{CONTENT_TYPE, LINK};
use minato_oci::media_type;
use serde_json::json;

use super::{Service, blocking};
use crate::server::access::{Action, Caller, Need};
use crate::server::answer::{Answer, Refusal, with_json};
use crate::server::content::ContentDigest;
use crate::server::name::RepositoryName;
use crate::server::route::Page;
use crate::server::storage::StorageError;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Entries of one answer, whatever was asked for.
const PAGE_LIMIT: usize = 10_000;

impl Service {
    pub(super) async fn catalog(&self, page: Page, caller: Caller) -> Result<Answer, Refusal> {
        let storage = self.storage.clone();
        let names = blocking(move || {
            let mut names = Vec::new();
            for name in storage.repositories()? {
                if storage.repository(&name).has_manifests()? {
                    names.push(name);
                }
            }
            Ok(names)
        })
        .await?;
        // Whose token says that all may be listed is not asked for each of them.
        let by_token = matches!(caller, Caller::Token(_));
        let may_see = |name: &RepositoryName| {
            by_token || self.access.allows(&caller, &Need::Repository(name.clone(), Action::Pull))
        };
        let names = names.iter().filter(|name| may_see(name)).map(ToString::to_string).collect();
        let (names, next) = cut(names, &page, "/v2/_catalog");
        Ok(with_json(next, &json!({ "repositories": names })))
    }

    pub(super) async fn tags(&self, name: RepositoryName, page: Page) -> Result<Answer, Refusal> {
        let repository = self.repository(&name);
        let unknown = name.to_string();
        let tags = blocking(move || match repository.exists() {
            true => repository.tags(),
            false => Err(StorageError::NoRepository(unknown)),
        })
        .await?;
        let tags = tags.iter().map(ToString::to_string).collect();
        let (tags, next) = cut(tags, &page, &format!("/v2/{name}/tags/list"));
        Ok(with_json(next, &json!({ "name": name.as_str(), "tags": tags })))
    }

    /// An answer also where nothing is: clients would take "not found" for a registry without this endpoint.
    pub(super) async fn referrers(
        &self,
        name: RepositoryName,
        subject: ContentDigest,
        kind: Option<String>,
    ) -> Result<Answer, Refusal> {
        let repository = self.repository(&name);
        let mut found = blocking(move || repository.referrers(&subject)).await?;
        let mut headers = vec![(CONTENT_TYPE, media_type::INDEX.to_owned())];
        if let Some(kind) = kind {
            found.retain(|referrer| referrer.artifact_type.as_deref() == Some(&kind));
            headers.push((FILTERS_APPLIED, "artifactType".to_owned()));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": found });
        Ok(with_json(headers, &index))
    }
}

/// The part of sorted `entries` that was asked for, and where the next one is.
fn cut(entries: Vec<String>, page: &Page, path: &str) -> (Vec<String>, Vec<(HeaderName, String)>) {
    let from = page.after.as_ref().map_or(0, |after| entries.partition_point(|entry| entry <= after));
    let limit = page.limit.unwrap_or(PAGE_LIMIT).min(PAGE_LIMIT);
    let part: Vec<String> = entries[from..].iter().take(limit).cloned().collect();
    let mut headers = Vec::new();
    if let Some(last) = part.last().filter(|_| from + part.len() < entries.len()) {
        // Names and tags have no character that a URL would need escaped.
        headers.push((LINK, format!("<{path}?n={limit}&last={last}>; rel=\"next\"")));
    }
    (part, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_and_say_where_they_go_on() {
        let entries = || ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let cut = |limit, after: Option<&str>| {
            let (part, headers) = cut(entries(), &Page { limit, after: after.map(str::to_owned) }, "/x");
            (part.concat(), headers.first().map(|(_, link)| link.clone()))
        };
        assert_eq!(cut(None, None), ("abcd".to_owned(), None));
        assert_eq!(cut(Some(2), None), ("ab".to_owned(), Some("</x?n=2&last=b>; rel=\"next\"".to_owned())));
        assert_eq!(cut(Some(2), Some("b")), ("cd".to_owned(), None));
        assert_eq!(
            cut(Some(1), Some("bb")),
            ("c".to_owned(), Some("</x?n=1&last=c>; rel=\"next\"".to_owned()))
        );
        assert_eq!(cut(Some(0), None), (String::new(), None));
        assert_eq!(cut(Some(9), Some("z")), (String::new(), None));
    }
}
