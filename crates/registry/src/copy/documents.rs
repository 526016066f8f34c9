//! Everything that a copy moves beside blobs: an index, its manifests, and what is said about each.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use minato_oci::{Descriptor, Digest, ManifestDocument, Platform};

use super::origin::Origin;
use super::{CopyError, CopyOptions};
use crate::document::Document;
use crate::resolve::DEPTH_LIMIT;

const DOCUMENTS_LIMIT: usize = 2_000;

/// Documents, each before whatever names it.
pub(super) struct Documents {
    /// Levels from the root down; a document that is on several is on the lowest.
    below: Vec<Document>,
    root: Document,
    /// What names one of the others as its subject; subjects first.
    referrers: Vec<Document>,
}

impl Documents {
    /// Reads whatever hangs on `root`.
    pub(super) async fn gather(
        origin: &Origin<'_>,
        root: Document,
        options: &CopyOptions,
        parallel: usize,
    ) -> Result<Self, CopyError> {
        let root = match &options.platform {
            Some(platform) => of_platform(origin, root, platform).await?,
            None => root,
        };
        let below = below(origin, &root, parallel).await?;
        let mut documents = Self { below, root, referrers: Vec::new() };
        if options.referrers {
            documents.referrers = documents.find_referrers(origin, parallel).await?;
        }
        Ok(documents)
    }

    /// What the name stands for.
    pub(super) fn root(&self) -> &Document {
        &self.root
    }

    pub(super) fn len(&self) -> usize {
        self.below.len() + 1 + self.referrers.len()
    }

    /// In an order in which a registry takes them.
    pub(super) fn children_first(&self) -> impl Iterator<Item = &Document> {
        self.below.iter().rev().chain([&self.root]).chain(&self.referrers)
    }

    /// What is said about each document, and about that again.
    async fn find_referrers(&self, origin: &Origin<'_>, parallel: usize) -> Result<Vec<Document>, CopyError> {
        let mut known: HashSet<Digest> = self.children_first().map(|known| known.descriptor.digest).collect();
        let mut subjects: Vec<Digest> = known.iter().copied().collect();
        let mut found = Vec::new();
        while !subjects.is_empty() {
            let asked = stream::iter(&subjects).map(|subject| origin.referrers(subject));
            let lists: Vec<Vec<Descriptor>> = asked.buffered(parallel).try_collect().await?;
            let new: Vec<Descriptor> =
                lists.into_iter().flatten().filter(|entry| known.insert(entry.digest)).collect();
            limit(known.len())?;
            subjects = new.iter().map(|entry| entry.digest).collect();
            found.extend(fetch(origin, &new, parallel).await?);
        }
        Ok(found)
    }
}

async fn of_platform(
    origin: &Origin<'_>,
    mut root: Document,
    platform: &Platform,
) -> Result<Document, CopyError> {
    for _ in 0..DEPTH_LIMIT {
        let ManifestDocument::Index(index) = &root.document else { return Ok(root) };
        let chosen = index.select(platform).ok_or_else(|| CopyError::Platform {
            platform: platform.to_string(),
            offered: index.platforms().join(", "),
        })?;
        root = origin.document(chosen).await?;
    }
    Err(CopyError::TooMany(DEPTH_LIMIT))
}

/// Whatever `root` leads to, level by level.
async fn below(origin: &Origin<'_>, root: &Document, parallel: usize) -> Result<Vec<Document>, CopyError> {
    let mut all: Vec<Document> = Vec::new();
    let mut level = children(std::slice::from_ref(root));
    for _ in 0..DEPTH_LIMIT {
        if level.is_empty() {
            return Ok(all);
        }
        limit(all.len() + level.len())?;
        let found = fetch(origin, &level, parallel).await?;
        level = children(&found);
        let deeper: HashSet<Digest> = found.iter().map(|document| document.descriptor.digest).collect();
        all.retain(|document| !deeper.contains(&document.descriptor.digest));
        all.extend(found);
    }
    match level.is_empty() {
        true => Ok(all),
        false => Err(CopyError::TooMany(DEPTH_LIMIT)),
    }
}

/// What the indexes among `documents` name, each once.
fn children(documents: &[Document]) -> Vec<Descriptor> {
    let mut seen = HashSet::new();
    let named = documents.iter().flat_map(|document| match &document.document {
        ManifestDocument::Index(index) => index.manifests.as_slice(),
        ManifestDocument::Manifest(_) => &[],
    });
    named.filter(|entry| seen.insert(entry.digest)).cloned().collect()
}

async fn fetch(
    origin: &Origin<'_>,
    entries: &[Descriptor],
    parallel: usize,
) -> Result<Vec<Document>, CopyError> {
    stream::iter(entries).map(|entry| origin.document(entry)).buffered(parallel).try_collect().await
}

fn limit(count: usize) -> Result<(), CopyError> {
    if count > DOCUMENTS_LIMIT { Err(CopyError::TooMany(DOCUMENTS_LIMIT)) } else { Ok(()) }
}
