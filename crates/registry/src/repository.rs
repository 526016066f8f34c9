//! What a registry has: its repositories and their tags; and taking something away.

use std::collections::HashSet;

use minato_oci::{Descriptor, Digest, ManifestDocument, Reference};
use reqwest::Method;
use serde::Deserialize;

use crate::client::Client;
use crate::document::Document;
use crate::endpoint::Endpoint;
use crate::failure::RequestError;
use crate::listing::Listing;
use crate::progress::Progress;
use crate::resolve::ResolveError;
use crate::transport::{Body, Call};

/// Indexes whose entries are looked at before something is deleted.
const INDEX_LIMIT: usize = 10_000;
const JSON: &str = "application/json";

/// Why something was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// An index would lead to nothing.
    #[error(
        "{reference} is part of the index {index} ({tag}), which would be broken; delete that first, or use --force"
    )]
    Child {
        /// What was to be deleted.
        reference: Box<Reference>,
        /// The index that has it.
        index: Digest,
        /// A tag of the index.
        tag: String,
    },
    /// The registry takes away manifests only, and others are named by the same.
    #[error("{reference}: this registry deletes by digest only, and {} would go, too: {}; use --force", if others.len() == 1 { "another tag" } else { "other tags" }, others.join(", "))]
    OtherTags {
        /// The tag that was to be deleted.
        reference: Box<Reference>,
        /// The other tags.
        others: Vec<String>,
    },
    /// The reference names nothing that could be deleted.
    #[error("{0} has neither tag nor digest; say which image")]
    Unnamed(Box<Reference>),
    /// What is there can't be had.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The registry says no.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// What was deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// The digest of what the reference stood for.
    pub digest: Digest,
    /// The manifest itself is gone, with every tag of it; else only the tag.
    pub manifest: bool,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

impl Client {
    /// The tags of a repository, sorted.
    ///
    /// # Errors
    /// When no place can be asked.
    pub async fn tags(
        &self,
        repository: &Reference,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, RequestError> {
        let ask = async |endpoint: &Endpoint| {
            let scope = format!("repository:{}:pull", repository.repository());
            let listing =
                Listing { transport: &self.transport, endpoint, scope: &scope, accept: JSON, progress };
            listing.pages::<Tags>(endpoint.url(repository.repository(), "tags/list")).await
        };
        let pages = self.ask_in_turn(repository, progress, ask).await?;
        let mut tags: Vec<String> =
            pages.into_iter().flat_map(|page| page.tags.unwrap_or_default()).collect();
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    /// The repositories of the registry that `registry` is in, sorted. Many registries don't tell.
    ///
    /// # Errors
    /// When the registry can't be asked, or does not tell.
    pub async fn repositories(
        &self,
        registry: &Reference,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, RequestError> {
        let endpoint = self.origin(registry);
        let (transport, scope) = (&*self.transport, "registry:catalog:*");
        let listing = Listing { transport, endpoint: &endpoint, scope, accept: JSON, progress };
        let pages = listing.pages::<Catalog>(endpoint.registry_url("_catalog")).await?;
        let mut all: Vec<String> =
            pages.into_iter().flat_map(|page| page.repositories.unwrap_or_default()).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// Deletes a tag, or with a digest a manifest. Without `force` nothing goes that an index needs, and no tag but the
    /// one that is named.
    ///
    /// # Errors
    /// When it is not there, is needed, or the registry does not delete.
    pub async fn delete(
        &self,
        reference: &Reference,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<Deleted, DeleteError> {
        if reference.tag().is_none() && reference.digest().is_none() {
            return Err(DeleteError::Unnamed(Box::new(reference.clone())));
        }
        let digest = self.document(reference, progress).await?.descriptor.digest;
        if let Some(tag) = reference.tag().filter(|_| reference.digest().is_none()) {
            match self.delete_path(reference, tag, progress).await {
                Ok(()) => return Ok(Deleted { digest, manifest: false }),
                // "Unsupported": older registries know digests only.
                Err(RequestError::Status { status: 400 | 405 | 501, .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if !force {
                self.check_other_tags(reference, tag, &digest, progress).await?;
            }
        }
        if !force {
            self.check_indexes(reference, &digest, progress).await?;
        }
        self.delete_path(reference, &digest.to_string(), progress).await?;
        Ok(Deleted { digest, manifest: true })
    }

    async fn delete_path(
        &self,
        reference: &Reference,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<(), RequestError> {
        let endpoint = self.origin(reference);
        let repository = reference.repository();
        let call = Call {
            endpoint: &endpoint,
            method: Method::DELETE,
            url: endpoint.url(repository, &format!("manifests/{name}")),
            scope: &format!("repository:{repository}:pull,push,delete"),
            headers: Vec::new(),
            body: Body::Nothing,
        };
        self.transport.insist(&call, progress).await.map(drop)
    }

    async fn check_other_tags(
        &self,
        reference: &Reference,
        tag: &str,
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<(), DeleteError> {
        let tagged = self.tagged(reference, progress).await?;
        let same = |(other, document): &(String, Document)| {
            (other != tag && document.descriptor.digest == *digest).then(|| other.clone())
        };
        let others: Vec<String> = tagged.iter().filter_map(same).collect();
        match others.is_empty() {
            true => Ok(()),
            false => Err(DeleteError::OtherTags { reference: Box::new(reference.clone()), others }),
        }
    }

    /// Refuses when an index that has a tag leads to `digest`, over other indexes too.
    async fn check_indexes(
        &self,
        reference: &Reference,
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<(), DeleteError> {
        let mut seen = HashSet::new();
        let mut open = self.tagged(reference, progress).await?;
        while let Some((tag, document)) = open.pop() {
            let ManifestDocument::Index(index) = &document.document else { continue };
            if !seen.insert(document.descriptor.digest) || seen.len() > INDEX_LIMIT {
                continue;
            }
            if index.manifests.iter().any(|child| child.digest == *digest) {
                let (reference, index) = (Box::new(reference.clone()), document.descriptor.digest);
                return Err(DeleteError::Child { reference, index, tag });
            }
            for child in index.manifests.iter().filter(|child| is_index(child)) {
                let nested = self.document(&reference.with_digest(child.digest), progress).await?;
                open.push((tag.clone(), nested));
            }
        }
        Ok(())
    }

    /// Every tag of the repository and what it stands for.
    async fn tagged(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Vec<(String, Document)>, ResolveError> {
        let mut tagged = Vec::new();
        for tag in self.tags(reference, progress).await? {
            let Ok(named) = reference.with_tag(&tag) else { continue };
            match self.document(&named, progress).await {
                Ok(document) => tagged.push((tag, document)),
                // Gone since the list was made.
                Err(ResolveError::Request(RequestError::NotFound { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(tagged)
    }
}

fn is_index(entry: &Descriptor) -> bool {
    use minato_oci::media_type;
    matches!(entry.media_type.as_str(), media_type::INDEX | media_type::DOCKER_INDEX)
}
