//! Registries elsewhere, through ours: what is asked for is fetched once, verified and kept, and is still here when the
//! other registry is not.

mod flight;
mod lists;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use minato_oci::{Descriptor, Digest, Reference};
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;

pub(crate) use flight::Flight;

use super::answer::Refusal;
use super::content::ContentDigest;
use super::document as facts;
use super::handle::blocking;
use super::name::{RepositoryName, Tag};
use super::route::Name;
use super::storage::{Blob, Put, Repository, StorageError, Stored};
use super::{Limits, Log};
use crate::client::Client;
use crate::document::{Wanted, fetch};
use crate::endpoint::Endpoint;
use crate::failure::RequestError;
use crate::mirror::Mirror;
use crate::resolve::ResolveError;
use crate::transport::{Body, Call};

/// A tag that was looked up so recently means what it meant then.
const FRESH: Duration = Duration::from_secs(60);
/// Tags of which that is remembered.
const REMEMBERED: usize = 10_000;

/// Registries elsewhere whose repositories are here below the registry's name: `docker.io/library/redis`.
#[derive(Clone)]
pub struct Upstreams {
    /// Who asks, with whose credentials.
    pub client: Client,
    /// The registries and where they are.
    pub registries: Vec<Mirror>,
}

/// What fetches.
pub(crate) struct Cache {
    upstreams: Upstreams,
    limits: Limits,
    log: Log,
    flights: Mutex<HashMap<ContentDigest, Arc<Flight>>>,
    looked_up: Mutex<HashMap<(RepositoryName, Tag), Instant>>,
}

/// Where a repository of ours comes from.
pub(crate) struct Origin {
    endpoint: Endpoint,
    reference: Reference,
}

/// A blob of a registry elsewhere.
pub(crate) enum Found {
    Here(Blob),
    Coming(Arc<Flight>),
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("registries", &self.upstreams.registries).finish_non_exhaustive()
    }
}

impl Cache {
    pub(crate) fn new(upstreams: Upstreams, limits: Limits, log: Log) -> Self {
        Self { upstreams, limits, log, flights: Mutex::default(), looked_up: Mutex::default() }
    }

    /// Where the repository comes from; `None` for one of our own.
    pub(crate) fn origin(&self, name: &RepositoryName) -> Option<Origin> {
        let (registry, _) = name.as_str().split_once('/')?;
        let mirror = self.upstreams.registries.iter().find(|mirror| mirror.registry() == registry)?;
        let reference: Reference = name.as_str().parse().ok()?;
        let endpoint =
            Endpoint { base: mirror.base().clone(), account: registry.to_owned(), is_mirror: false };
        Some(Origin { endpoint, reference })
    }

    /// Whether a repository of a registry elsewhere is meant when a client says `ns=` so.
    pub(crate) fn has(&self, registry: &str) -> bool {
        self.upstreams.registries.iter().any(|mirror| mirror.registry() == registry)
    }

    /// The manifest, asked for there unless that is known to be needless. What is here serves when nobody answers.
    pub(crate) async fn manifest(
        &self,
        origin: &Origin,
        name: &RepositoryName,
        named: &Name,
        repository: Repository,
        here: Option<Stored>,
    ) -> Result<Option<Stored>, Refusal> {
        let is_fresh = match named {
            Name::Digest(_) => true,
            Name::Tag(tag) => self.is_fresh(name, tag),
        };
        if here.is_some() && is_fresh {
            return Ok(here);
        }
        let Some(wanted) = wanted(named) else { return Ok(here) };
        let transport = &self.upstreams.client.transport;
        let document = match fetch(transport, &origin.endpoint, &origin.reference, &wanted, &()).await {
            Ok(document) => document,
            Err(ResolveError::Request(RequestError::NotFound { .. })) => return Ok(None),
            Err(error) if here.is_some() => {
                self.log
                    .line(&format!("{name}: what is here is served, since its registry does not: {error}"));
                return Ok(here);
            }
            Err(error) => return Err(unreachable(&error)),
        };
        let tag = if let Name::Tag(tag) = named { Some(tag.clone()) } else { None };
        let kind = document.descriptor.media_type;
        let stored = keep(repository, document.bytes, kind, tag.clone()).await?;
        if let Some(tag) = tag {
            self.remember(name, tag);
        }
        Ok(Some(stored))
    }

    /// The blob: from here, or while it comes.
    pub(crate) async fn blob(
        self: &Arc<Self>,
        origin: Origin,
        repository: Repository,
        digest: &ContentDigest,
    ) -> Result<Option<Found>, Refusal> {
        if let Some(blob) = self.kept(&repository, digest).await? {
            return Ok(Some(Found::Here(blob)));
        }
        let Some(size) = self.size(&origin, digest).await? else { return Ok(None) };
        if size > self.limits.blob {
            return Err(StorageError::TooLong { limit: self.limits.blob }.into());
        }
        // The other registry has it: what any repository here has of it is the same.
        let (to, of_blocking) = (repository.clone(), digest.clone());
        if blocking(move || to.mount_from_anywhere(&of_blocking)).await? {
            return Ok(self.kept(&repository, digest).await?.map(Found::Here));
        }
        self.join_or_fly(origin, repository, digest, size).await.map(|flight| Some(Found::Coming(flight)))
    }

    /// The length of the blob, which the other registry says it has.
    pub(crate) async fn size(&self, origin: &Origin, digest: &ContentDigest) -> Result<Option<u64>, Refusal> {
        let repository = origin.reference.repository();
        let call = Call {
            endpoint: &origin.endpoint,
            method: Method::HEAD,
            url: origin.endpoint.url(repository, &format!("blobs/{digest}")),
            scope: &format!("repository:{repository}:pull"),
            headers: Vec::new(),
            body: Body::Nothing,
        };
        let response = match self.upstreams.client.transport.insist(&call, &()).await {
            Ok(response) => response,
            Err(RequestError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(unreachable(&error)),
        };
        let length =
            response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(Some(length.ok_or_else(|| unreachable(&"its registry does not say how long the blob is"))?))
    }

    async fn kept(&self, repository: &Repository, digest: &ContentDigest) -> Result<Option<Blob>, Refusal> {
        let (repository, digest) = (repository.clone(), digest.clone());
        blocking(move || repository.blob(&digest)).await
    }

    /// One fetches, however many ask.
    async fn join_or_fly(
        self: &Arc<Self>,
        origin: Origin,
        repository: Repository,
        digest: &ContentDigest,
        size: u64,
    ) -> Result<Arc<Flight>, Refusal> {
        let sha256: Digest = digest.to_string().parse().map_err(|_| {
            let message = "blobs of registries elsewhere are fetched by SHA-256 only";
            Refusal::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", message)
        })?;
        if let Some(flight) = self.flights.lock().expect("no panic while locked").get(digest) {
            return Ok(Arc::clone(flight));
        }
        let limit = self.limits.blob;
        let writer = blocking(move || {
            let id = repository.start_upload()?;
            repository.resume_upload(&id, None, limit)
        })
        .await?;
        let (flight, ahead) = Flight::new(&writer, size)?;
        let flight = Arc::new(flight);
        let mut flights = self.flights.lock().expect("no panic while locked");
        if let Some(faster) = flights.get(digest) {
            // Another was faster while the file was made.
            writer.discard();
            return Ok(Arc::clone(faster));
        }
        flights.insert(digest.clone(), Arc::clone(&flight));
        drop(flights);
        let (cache, digest) = (Arc::clone(self), digest.clone());
        tokio::spawn(async move {
            let blob = Descriptor::new("", sha256, size);
            let (transport, repository) = (&cache.upstreams.client.transport, origin.reference.repository());
            if let Err(reason) = ahead.fly(transport, &origin.endpoint, repository, &blob, writer).await {
                cache.log.line(&format!("{}: {digest}: {reason}", origin.reference.name()));
            }
            cache.flights.lock().expect("no panic while locked").remove(&digest);
        });
        Ok(flight)
    }

    fn is_fresh(&self, name: &RepositoryName, tag: &Tag) -> bool {
        let looked_up = self.looked_up.lock().expect("no panic while locked");
        looked_up.get(&(name.clone(), tag.clone())).is_some_and(|when| when.elapsed() < FRESH)
    }

    fn remember(&self, name: &RepositoryName, tag: Tag) {
        let mut looked_up = self.looked_up.lock().expect("no panic while locked");
        if looked_up.len() >= REMEMBERED {
            looked_up.clear();
        }
        looked_up.insert((name.clone(), tag), Instant::now());
    }
}

/// Keeps a manifest that its registry sent, and nothing yet of what it needs.
async fn keep(
    repository: Repository,
    bytes: Vec<u8>,
    kind: String,
    tag: Option<Tag>,
) -> Result<Stored, Refusal> {
    let facts = facts::read(&bytes, Some(&kind)).map_err(|error| unreachable(&error))?;
    blocking(move || {
        let digest = ContentDigest::of(super::content::Algorithm::Sha256, &bytes);
        let tags: Vec<Tag> = tag.into_iter().collect();
        repository.put_manifest(&Put {
            digest: &digest,
            bytes: &bytes,
            facts: &facts,
            tags: &tags,
            may_be_partial: true,
            is_immutable: &|_| false,
        })?;
        repository.manifest(&digest)?.ok_or_else(|| StorageError::NoManifest(digest.to_string()))
    })
    .await
}

fn wanted(named: &Name) -> Option<Wanted> {
    match named {
        Name::Tag(tag) => Some(Wanted::Tag(tag.to_string())),
        Name::Digest(digest) => digest.to_string().parse().ok().map(Wanted::Digest),
    }
}

fn unreachable(error: &impl std::fmt::Display) -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, "UNKNOWN", error.to_string())
}
