//! What is said about a manifest: SBOMs, provenance, signatures (the distribution specification's "Listing Referrers").
//!
//! Registries that do not know the referrers API keep the list under a tag made of the subject's digest: it is read,
//! and kept up to date, here.

use minato_oci::{Descriptor, Digest, Index, ManifestDocument, Reference, media_type};
use reqwest::Url;

use crate::client::Client;
use crate::document::{self, Wanted};
use crate::endpoint::Endpoint;
use crate::failure::RequestError;
use crate::listing::Listing;
use crate::progress::Progress;
use crate::resolve::ResolveError;
use crate::transport::Transport;

/// How many there may be of one manifest.
const REFERRERS_LIMIT: usize = 10_000;

/// A place whose lists are read.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a Reference,
    pub(crate) progress: &'a dyn Progress,
}

impl Client {
    /// The manifests about the one that `subject` means: by its digest, else by what its tag stands for now. Those of
    /// `artifact_type` only, where one is given.
    ///
    /// # Errors
    /// When the registry can't be asked, or its answer is refused.
    pub async fn referrers(
        &self,
        subject: &Reference,
        artifact_type: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Vec<Descriptor>, ResolveError> {
        let digest = match subject.digest() {
            Some(digest) => *digest,
            None => self.document(subject, progress).await?.descriptor.digest,
        };
        let transport = &*self.transport;
        let ask = async |endpoint: &Endpoint| {
            let asked = Asked { transport, endpoint, repository: subject, progress };
            asked.referrers(&digest, artifact_type).await
        };
        self.ask_in_turn(subject, progress, ask).await
    }
}

impl Asked<'_> {
    /// The manifests about `subject`.
    pub(crate) async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, ResolveError> {
        let mut url = self.endpoint.url(self.repository.repository(), &format!("referrers/{subject}"));
        if let Some(wanted) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", wanted);
        }
        let mut found = match self.through_interface(url).await {
            Ok(found) => found,
            Err(RequestError::NotFound { .. }) => self.through_tag(subject).await?,
            // A registry that knows no such path may say so in other ways as well.
            Err(error) if is_unknown(&error) => self.through_tag(subject).await?,
            Err(error) => return Err(error.into()),
        };
        // Whoever can't filter sends everything.
        found.retain(|entry| artifact_type.is_none_or(|wanted| artifact_type_of(entry) == Some(wanted)));
        Ok(found)
    }

    async fn through_interface(&self, url: Url) -> Result<Vec<Descriptor>, RequestError> {
        let scope = format!("repository:{}:pull", self.repository.repository());
        let (transport, endpoint, progress) = (self.transport, self.endpoint, self.progress);
        let listing = Listing { transport, endpoint, scope: &scope, accept: media_type::INDEX, progress };
        let pages: Vec<Index> = listing.pages(url.clone()).await?;
        let found: Vec<Descriptor> = pages.into_iter().flat_map(|page| page.manifests).collect();
        match found.len() {
            0..=REFERRERS_LIMIT => Ok(found),
            _ => Err(RequestError::Answer { url: url.to_string(), reason: "too many referrers".to_owned() }),
        }
    }

    /// What the fallback tag lists.
    pub(crate) async fn through_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>, ResolveError> {
        Ok(self.tagged_index(subject).await?.map_or_else(Vec::new, |index| index.manifests))
    }

    /// The index under the fallback tag.
    pub(crate) async fn tagged_index(&self, subject: &Digest) -> Result<Option<Index>, ResolveError> {
        let wanted = Wanted::Tag(fallback_tag(subject));
        let fetched =
            document::fetch(self.transport, self.endpoint, self.repository, &wanted, self.progress).await;
        match fetched.map(|fetched| fetched.document) {
            Ok(ManifestDocument::Index(index)) => Ok(Some(index)),
            // Somebody else's tag, which happens to be called so.
            Ok(ManifestDocument::Manifest(_)) => Ok(None),
            Err(ResolveError::Request(RequestError::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The tag that lists the referrers of `subject` where the API is not known ("Referrers Tag Schema").
pub(crate) fn fallback_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// What a referrer is: its `artifactType`.
pub(crate) fn artifact_type_of(entry: &Descriptor) -> Option<&str> {
    entry.other.get("artifactType")?.as_str()
}

fn is_unknown(error: &RequestError) -> bool {
    matches!(error, RequestError::Status { status: 400 | 405 | 406 | 501, .. })
}
