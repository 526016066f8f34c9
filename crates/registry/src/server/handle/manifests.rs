//! Manifests: read, put under a digest and tags, removed.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use http::{HeaderMap, StatusCode};

use super::{CONTENT_DIGEST, Received, Service, blocking, is_known};
use crate::server::answer::{Answer, Refusal, empty, with_bytes};
use crate::server::content::{Algorithm, ContentDigest};
use crate::server::document;
use crate::server::name::{RepositoryName, Tag};
use crate::server::route::{ManifestAction, Name};
use crate::server::storage::{Put, StorageError, Stored};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// As much of a media type as anybody writes.
const MEDIA_TYPE_LIMIT: usize = 255;

impl Service {
    pub(super) async fn manifest(
        &self,
        name: RepositoryName,
        named: Name,
        action: ManifestAction,
        headers: &HeaderMap,
        body: Received,
    ) -> Result<Answer, Refusal> {
        match action {
            ManifestAction::Get => self.get_manifest(name, named, false, headers).await,
            ManifestAction::Head => self.get_manifest(name, named, true, headers).await,
            ManifestAction::Put(tags) => self.put_manifest(name, named, tags, headers, body).await,
            ManifestAction::Delete => self.delete_manifest(name, named).await,
        }
    }

    async fn get_manifest(
        &self,
        name: RepositoryName,
        named: Name,
        is_head: bool,
        headers: &HeaderMap,
    ) -> Result<Answer, Refusal> {
        let mut found = self.stored(&name, &named).await?;
        if let Some((cache, origin)) = self.origin(&name) {
            found = cache.manifest(&origin, &name, &named, self.repository(&name), found).await?;
        }
        let stored = found.ok_or_else(|| StorageError::NoManifest(text_of(&named)))?;
        let tag = format!("\"{}\"", stored.digest);
        let mut about = vec![
            (CONTENT_TYPE, stored.media_type),
            (CONTENT_DIGEST, stored.digest.to_string()),
            (ETAG, tag.clone()),
        ];
        if is_known(headers, &tag) {
            return Ok(empty(StatusCode::NOT_MODIFIED, about));
        }
        if is_head {
            about.push((CONTENT_LENGTH, stored.bytes.len().to_string()));
            return Ok(empty(StatusCode::OK, about));
        }
        Ok(with_bytes(StatusCode::OK, about, stored.bytes))
    }

    async fn stored(&self, name: &RepositoryName, named: &Name) -> Result<Option<Stored>, Refusal> {
        let (repository, named) = (self.repository(name), named.clone());
        blocking(move || match named {
            Name::Digest(digest) => repository.manifest(&digest),
            Name::Tag(tag) => match repository.tagged(&tag)? {
                Some((digest, _)) => repository.manifest(&digest),
                None => Ok(None),
            },
        })
        .await
    }

    async fn put_manifest(
        &self,
        name: RepositoryName,
        named: Name,
        mut tags: Vec<Tag>,
        headers: &HeaderMap,
        mut body: Received,
    ) -> Result<Answer, Refusal> {
        let repository = self.own(&name)?;
        let bytes = body.whole(self.limits.manifest).await?;
        let facts = document::read(&bytes, media_type(headers)?.as_deref());
        let invalid = |error: document::DocumentError| {
            Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", error.to_string())
        };
        let facts = facts.map_err(invalid)?;
        let digest = match named {
            Name::Digest(promised) => verified(promised, &bytes)?,
            Name::Tag(tag) => {
                tags.push(tag);
                ContentDigest::of(Algorithm::Sha256, &bytes)
            }
        };
        let mut answer =
            vec![(LOCATION, format!("/v2/{name}/manifests/{digest}")), (CONTENT_DIGEST, digest.to_string())];
        answer.extend(facts.subject.as_ref().map(|subject| (OCI_SUBJECT, subject.to_string())));
        answer.extend(tags.iter().map(|tag| (OCI_TAG, tag.to_string())));
        let is_immutable = self.immutable_tags();
        blocking(move || {
            repository.put_manifest(&Put {
                digest: &digest,
                bytes: &bytes,
                facts: &facts,
                tags: &tags,
                may_be_partial: false,
                is_immutable: &is_immutable,
            })
        })
        .await?;
        Ok(empty(StatusCode::CREATED, answer))
    }

    async fn delete_manifest(&self, name: RepositoryName, named: Name) -> Result<Answer, Refusal> {
        let repository = self.own(&name)?;
        let (asked, is_immutable) = (named.clone(), self.immutable_tags());
        let was_there = blocking(move || match asked {
            _ if !repository.exists() => Err(StorageError::NoRepository(name.to_string())),
            Name::Tag(tag) => repository.delete_tag(&tag, &is_immutable),
            Name::Digest(digest) => repository.delete_manifest(&digest, &is_immutable),
        })
        .await?;
        match was_there {
            true => Ok(empty(StatusCode::ACCEPTED, Vec::new())),
            false => Err(StorageError::NoManifest(text_of(&named)).into()),
        }
    }
}

/// The media type that the request declares.
fn media_type(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(None) };
    let refused =
        || Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "Content-Type is no media type");
    let value = value.to_str().map_err(|_| refused())?;
    // Parameters are not part of it.
    let bare = value.split_once(';').map_or(value, |(bare, _)| bare).trim();
    if bare.is_empty() || bare.len() > MEDIA_TYPE_LIMIT { Err(refused()) } else { Ok(Some(bare.to_owned())) }
}

fn verified(promised: ContentDigest, bytes: &[u8]) -> Result<ContentDigest, Refusal> {
    if ContentDigest::of(promised.algorithm(), bytes) == promised {
        return Ok(promised);
    }
    Err(StorageError::Digest { expected: promised.to_string() }.into())
}

fn text_of(named: &Name) -> String {
    match named {
        Name::Tag(tag) => tag.to_string(),
        Name::Digest(digest) => digest.to_string(),
    }
}
