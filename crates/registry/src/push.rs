//! Images of the store into a registry.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use minato_oci::export::{Document, Documents, Export, ExportError, ExportOptions, Packed};
use minato_oci::layer::Encoding;
use minato_oci::{Descriptor, Digest, Image, Layer, LayerError, Reference, Store, StoreError};
use tokio::sync::Mutex;

use crate::client::Client;
use crate::failure::RequestError;
use crate::outgoing::Content;
use crate::progress::{Event, Progress};
use crate::pull::blocking;
use crate::resolve::ResolveError;
use crate::upload::{Destination, push_scope};

/// What a registry has now.
#[derive(Clone, PartialEq, Debug)]
pub struct Pushed {
    /// Where it is: name and tag as given, with the digest.
    pub reference: Reference,
    /// The digest of the manifest or, of several platforms, of the index.
    pub digest: Digest,
    /// The manifests and the index.
    pub documents: Documents,
}

/// Why an image was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A digest is what comes out of a push, not what goes in.
    #[error("{0} has a digest, which cannot be pushed to; give a tag")]
    ToDigest(Box<Reference>),
    /// The images don't fit together.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The registry can't be asked, or says no.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A layer can't be made into a blob.
    #[error("layer {layer}: {source}")]
    Layer {
        /// The layer's uncompressed digest.
        layer: Digest,
        /// What is wrong with it.
        source: Box<LayerError>,
    },
    /// The list of referrers that the registry has is refused.
    #[error("list of referrers: {0}")]
    Referrers(Box<ResolveError>),
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of this program died.
    #[error("pushing was interrupted: {0}")]
    Task(String),
}

impl Client {
    /// Pushes `image` to where `reference` says; without a tag, to `latest`.
    ///
    /// Layers that were pulled keep their bytes, and an image of only such layers its manifest. The others are
    /// compressed as `encoding` says. What the registry has is not sent, nor compressed, again.
    ///
    /// # Errors
    /// When the registry can't be asked or refuses something, or the store has not the whole image.
    pub async fn push(
        &self,
        image: &Image,
        reference: &Reference,
        encoding: Encoding,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Pushed, PushError> {
        let options = ExportOptions { encoding, ..ExportOptions::default() };
        let export = Export::plan(store, std::slice::from_ref(image), options)?;
        self.push_export(&export, reference, store, progress).await
    }

    /// Pushes everything that `export` says to where `reference` says. Of several platforms each manifest is there by its
    /// digest before the index gets the tag: nobody sees an index whose images are missing.
    ///
    /// # Errors
    /// As [`Client::push`].
    pub async fn push_export(
        &self,
        export: &Export,
        reference: &Reference,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Pushed, PushError> {
        if reference.digest().is_some() {
            return Err(PushError::ToDigest(Box::new(reference.clone())));
        }
        let reference = reference.with_default_tag();
        let documents = self.push_as(export, &reference, reference.tag(), store, progress).await?;
        Ok(Pushed::new(&reference, documents))
    }

    /// As [`Client::push_export`], without a tag: what was pushed is known by its digest alone, until somebody puts it into
    /// an index.
    ///
    /// # Errors
    /// As [`Client::push`].
    pub async fn push_by_digest(
        &self,
        export: &Export,
        repository: &Reference,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Pushed, PushError> {
        let documents = self.push_as(export, repository, None, store, progress).await?;
        Ok(Pushed::new(repository, documents))
    }

    async fn push_as(
        &self,
        export: &Export,
        reference: &Reference,
        tag: Option<&str>,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Documents, PushError> {
        let of_store = store.clone();
        let _lease = task(move || of_store.lease()).await??;
        let endpoint = self.origin(reference);
        let scope = push_scope(reference.repository());
        let destination = self.destination(reference, &endpoint, &scope, progress);
        let mounts = mounts(store, reference)?;
        let (processors, parallel) = (Mutex::new(()), self.parallel);
        Push { export, store, destination, mounts, processors, parallel }.run(tag).await
    }
}

impl Pushed {
    fn new(reference: &Reference, documents: Documents) -> Self {
        let digest = documents.root().descriptor.digest;
        Self { reference: reference.with_digest(digest), digest, documents }
    }
}

impl Client {
    /// Pushes documents that are no images, with their blobs, all of which the store has.
    ///
    /// # Errors
    /// As [`Client::push`].
    pub async fn push_packed(
        &self,
        packed: &Packed,
        reference: &Reference,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Reference, PushError> {
        if reference.digest().is_some() {
            return Err(PushError::ToDigest(Box::new(reference.clone())));
        }
        let reference = reference.with_default_tag();
        let endpoint = self.origin(&reference);
        let scope = push_scope(reference.repository());
        let destination = self.destination(&reference, &endpoint, &scope, progress);
        let uploads = stream::iter(packed.descriptors()).map(|blob| upload(&destination, store, blob));
        uploads.buffer_unordered(self.parallel).try_collect::<()>().await?;
        let root = packed.root();
        let tag = reference.tag().unwrap_or("latest");
        destination.put_manifest(tag, &root.descriptor.media_type, root.bytes.clone()).await?;
        Ok(reference.with_digest(root.descriptor.digest))
    }
}

/// Sends a blob of the store unless it is there.
async fn upload(destination: &Destination<'_>, store: &Store, blob: &Descriptor) -> Result<(), PushError> {
    if !destination.has(blob).await? {
        destination.upload(blob, None, &Content::File(store.blob_file(&blob.digest))).await?;
    }
    Ok(())
}

struct Push<'a> {
    export: &'a Export,
    store: &'a Store,
    destination: Destination<'a>,
    mounts: Vec<Mount>,
    /// Held by the one layer that is compressed, which takes all processors.
    processors: Mutex<()>,
    parallel: usize,
}

/// A repository of the same registry that may have layers.
struct Mount {
    repository: String,
    diff_ids: Vec<Digest>,
}

impl Push<'_> {
    async fn run(&self, tag: Option<&str>) -> Result<Documents, PushError> {
        let blobs = self.layers().await?;
        self.configs().await?;
        let documents = self.export.documents(&blobs);
        self.remember(&documents)?;
        if documents.index.is_some() {
            for manifest in &documents.manifests {
                self.put(&manifest.descriptor.digest.to_string(), manifest).await?;
            }
        }
        let root = documents.root();
        let digest = root.descriptor.digest.to_string();
        self.put(tag.unwrap_or(&digest), root).await?;
        Ok(documents)
    }

    async fn put(&self, name: &str, document: &Document) -> Result<(), PushError> {
        let (kind, bytes) = (&document.descriptor.media_type, document.bytes.clone());
        Ok(self.destination.put_manifest(name, kind, bytes).await.map(drop)?)
    }

    /// The images are known here, too, by the digests that others will ask for.
    fn remember(&self, documents: &Documents) -> Result<(), StoreError> {
        let index = documents.index.as_ref().map(|index| index.descriptor.digest);
        for (image, manifest) in self.export.images().zip(&documents.manifests) {
            let digest = manifest.descriptor.digest;
            if self.store.manifest_of(&image.id)? != Some(digest) || index.is_some() {
                self.store.put_blob(&manifest.bytes)?;
                self.store.record_manifest(&image.id, &digest, index.as_ref())?;
            }
        }
        Ok(())
    }

    async fn configs(&self) -> Result<(), PushError> {
        for config in self.export.configs() {
            upload(&self.destination, self.store, config).await?;
        }
        Ok(())
    }

    /// The export's layers as the registry has them, by uncompressed digest.
    async fn layers(&self) -> Result<BTreeMap<Digest, Descriptor>, PushError> {
        let pushes = stream::iter(self.export.layers())
            .map(|layer| async { self.layer(layer).await.map(|descriptor| (layer.diff_id, descriptor)) });
        pushes.buffer_unordered(self.parallel).try_collect().await
    }

    async fn layer(&self, layer: &Layer) -> Result<Descriptor, PushError> {
        if let Some(known) = self.store.exported_layer(layer, self.export.layer_export())?
            && self.has(&known).await?
        {
            self.destination.progress.event(Event::LayerPresent { layer: &known.digest });
            return Ok(known);
        }
        let (blob, is_new) = self.blob(layer).await?;
        let progress = self.destination.progress;
        if is_new && self.has(&blob).await? {
            progress.event(Event::LayerPresent { layer: &blob.digest });
            return Ok(blob);
        }
        progress.event(Event::LayerStarted { layer: &blob.digest, size: blob.size });
        let holds = |mount: &&Mount| mount.diff_ids.contains(&layer.diff_id);
        let mount = self.mounts.iter().find(holds).map(|mount| mount.repository.as_str());
        let content = Content::File(self.store.blob_file(&blob.digest));
        self.destination.upload(&blob, mount, &content).await?;
        progress.event(Event::LayerDone { layer: &blob.digest });
        Ok(blob)
    }

    /// The layer as a blob of the store, and whether the registry was not asked for it yet. A PUT names the digest
    /// before the first byte, and may have to be made again: the compressed bytes are written down once and sent from
    /// there.
    async fn blob(&self, layer: &Layer) -> Result<(Descriptor, bool), PushError> {
        let known = self.store.exported_layer(layer, self.export.layer_export())?;
        let _processors = self.processors.lock().await;
        let (store, layer, export) = (self.store.clone(), layer.clone(), self.export.layer_export());
        let diff_id = layer.diff_id;
        let exported = task(move || store.export_layer(&layer, export)).await?;
        let blob =
            exported.map_err(|source| PushError::Layer { layer: diff_id, source: Box::new(source) })?;
        let is_new = known.is_none_or(|known| known.digest != blob.digest);
        Ok((blob, is_new))
    }

    async fn has(&self, blob: &Descriptor) -> Result<bool, PushError> {
        Ok(self.destination.has(blob).await?)
    }
}

/// Repositories of the same registry that the store knows images of.
fn mounts(store: &Store, reference: &Reference) -> Result<Vec<Mount>, PushError> {
    let mut mounts = Vec::new();
    for (other, id, _) in store.tagged()? {
        let is_elsewhere = other.registry() != reference.registry();
        if is_elsewhere || other.repository() == reference.repository() {
            continue;
        }
        if let Some(image) = store.image(&id)? {
            let diff_ids = image.config.rootfs.diff_ids;
            mounts.push(Mount { repository: other.repository().to_owned(), diff_ids });
        }
    }
    Ok(mounts)
}

async fn task<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PushError> {
    blocking(work).await.map_err(|error| PushError::Task(error.to_string()))
}
