//! Lists: repositories, tags, referrers.

use http::HeaderName;
use http::header::{CONTENT_TYPE, LINK};
use minato_oci::media_type;
use serde::Serialize;
use serde_json::{Value, json};

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
        let tags = match self.tags_there(&name).await {
            Some(tags) => tags,
            None => self.tags_here(&name).await?,
        };
        let (tags, next) = cut(tags, &page, &format!("/v2/{name}/tags/list"));
        Ok(with_json(next, &json!({ "name": name.as_str(), "tags": tags })))
    }

    async fn tags_there(&self, name: &RepositoryName) -> Option<Vec<String>> {
        let (cache, origin) = self.origin(name)?;
        cache.tags(&origin).await
    }

    async fn tags_here(&self, name: &RepositoryName) -> Result<Vec<String>, Refusal> {
        let (repository, unknown) = (self.repository(name), name.to_string());
        let tags = blocking(move || match repository.exists() {
            true => repository.tags(),
            false => Err(StorageError::NoRepository(unknown)),
        })
        .await?;
        Ok(tags.iter().map(ToString::to_string).collect())
    }

    /// An answer also where nothing is: clients would take "not found" for a registry without this endpoint.
    pub(super) async fn referrers(
        &self,
        name: RepositoryName,
        subject: ContentDigest,
        kind: Option<String>,
    ) -> Result<Answer, Refusal> {
        let mut found = self.entries_about(&name, subject).await?;
        let mut headers = vec![(CONTENT_TYPE, media_type::INDEX.to_owned())];
        if let Some(kind) = kind {
            found.retain(|entry| entry.get("artifactType").and_then(Value::as_str) == Some(&kind));
            headers.push((FILTERS_APPLIED, "artifactType".to_owned()));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": found });
        Ok(with_json(headers, &index))
    }

    async fn entries_about(
        &self,
        name: &RepositoryName,
        subject: ContentDigest,
    ) -> Result<Vec<Value>, Refusal> {
        if let Some((cache, origin)) = self.origin(name)
            && let Some(found) = cache.referrers(&origin, &subject).await
        {
            return Ok(as_entries(&found));
        }
        let repository = self.repository(name);
        Ok(as_entries(&blocking(move || repository.referrers(&subject)).await?))
    }
}

/// Descriptors as they go into a list.
fn as_entries(found: &[impl Serialize]) -> Vec<Value> {
    let entry = |one| serde_json::to_value(one).expect("descriptors have string keys");
    found.iter().map(entry).collect()
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
