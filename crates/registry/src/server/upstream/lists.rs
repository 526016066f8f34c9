//! Lists of a registry elsewhere: as it gives them now, else what of it is here.

use minato_oci::Descriptor;
use serde::Deserialize;

use super::{Cache, Origin};
use crate::failure::RequestError;
use crate::listing::Listing;
use crate::referrers::Asked;
use crate::server::content::ContentDigest;
use crate::server::name::Tag;

#[derive(Deserialize)]
struct Page {
    /// `null` where a repository has none.
    tags: Option<Vec<String>>,
}

impl Cache {
    /// The tags of the repository, sorted; `None` when it can't be asked, and the log says why.
    pub(crate) async fn tags(&self, origin: &Origin) -> Option<Vec<String>> {
        let repository = origin.reference.repository();
        let listing = Listing {
            transport: &self.upstreams.client.transport,
            endpoint: &origin.endpoint,
            scope: &format!("repository:{repository}:pull"),
            accept: "application/json",
            progress: &(),
        };
        let pages = listing.pages::<Page>(origin.endpoint.url(repository, "tags/list")).await;
        let pages = match pages {
            Ok(pages) => pages,
            Err(RequestError::NotFound { .. }) => Vec::new(),
            Err(error) => return self.no_list(origin, &error),
        };
        // They become headers and paths of ours: what is no tag is none.
        let tags = pages.into_iter().filter_map(|page| page.tags).flatten();
        let mut tags: Vec<String> = tags.filter(|tag| tag.parse::<Tag>().is_ok()).collect();
        tags.sort();
        Some(tags)
    }

    /// The manifests about `subject`; `None` when it can't be asked.
    pub(crate) async fn referrers(
        &self,
        origin: &Origin,
        subject: &ContentDigest,
    ) -> Option<Vec<Descriptor>> {
        let asked = Asked {
            transport: &self.upstreams.client.transport,
            endpoint: &origin.endpoint,
            repository: &origin.reference,
            progress: &(),
        };
        let subject = subject.to_string().parse().ok()?;
        match asked.referrers(&subject, None).await {
            Ok(found) => Some(found),
            Err(error) => self.no_list(origin, &error),
        }
    }

    fn no_list<T>(&self, origin: &Origin, error: &dyn std::fmt::Display) -> Option<T> {
        let name = origin.reference.name();
        self.log.line(&format!("{name}: what is here is listed, since its registry does not: {error}"));
        None
    }
}
