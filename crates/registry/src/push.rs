//! An image of the store into a registry.

use futures_util::{StreamExt, TryStreamExt, stream};
use minato_oci::layer::Encoding;
use minato_oci::{
    Descriptor, Digest, Image, Layer, LayerError, Manifest, ManifestDocument, Reference, Store, StoreError,
    media_type,
};
use tokio::sync::Mutex;

use crate::client::Client;
use crate::failure::RequestError;
use crate::outgoing::Content;
use crate::progress::{Event, Progress};
use crate::pull::blocking;
use crate::resolve::ResolveError;
use crate::upload::{Destination, push_scope};

const MANIFEST_LIMIT: u64 = 4 << 20;

/// What a registry has now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pushed {
    /// Where it is: name and tag as given, with the manifest's digest.
    pub reference: Reference,
    /// The manifest's digest.
    pub digest: Digest,
}

/// Why an image was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A digest is what comes out of a push, not what goes in.
    #[error("{0} has a digest, which cannot be pushed to; give a tag")]
    ToDigest(Box<Reference>),
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
        if reference.digest().is_some() {
            return Err(PushError::ToDigest(Box::new(reference.clone())));
        }
        let of_store = store.clone();
        let _lease = task(move || of_store.lease()).await??;
        let reference = reference.with_default_tag();
        let endpoint = self.origin(&reference);
        let scope = push_scope(reference.repository());
        let destination = self.destination(&reference, &endpoint, &scope, progress);
        let mounts = mounts(store, &reference)?;
        let (processors, parallel) = (Mutex::new(()), self.parallel);
        let push = Push { image, encoding, store, destination, mounts, processors, parallel };
        let digest = push.run(reference.tag().unwrap_or("latest")).await?;
        Ok(Pushed { reference: reference.with_digest(digest), digest })
    }
}

struct Push<'a> {
    image: &'a Image,
    encoding: Encoding,
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
    async fn run(&self, tag: &str) -> Result<Digest, PushError> {
        let layers = self.store.image_layers(self.image)?;
        let descriptors = self.layers(&layers).await?;
        let config = self.config().await?;
        let (kind, bytes, is_new) = match self.kept_manifest(&layers)? {
            Some((kind, bytes)) => (kind, bytes, false),
            None => (media_type::MANIFEST.to_owned(), manifest(config, descriptors), true),
        };
        let digest = Digest::sha256(&bytes);
        if is_new {
            // The image is known here, too, by the digest that others will ask for.
            self.store.put_blob(&bytes)?;
            self.store.record_manifest(&self.image.id, &digest, None)?;
        }
        self.destination.put_manifest(tag, &kind, bytes).await?;
        Ok(digest)
    }

    /// The manifest that the image came with, when every layer still has the blob that it names.
    fn kept_manifest(&self, layers: &[Layer]) -> Result<Option<(String, Vec<u8>)>, PushError> {
        let Some(digest) = self.store.manifest_of(&self.image.id)?.filter(|d| self.store.has_blob(d)) else {
            return Ok(None);
        };
        let bytes = self.store.read_blob(&digest, MANIFEST_LIMIT)?;
        let Ok(ManifestDocument::Manifest(manifest)) = ManifestDocument::parse(&bytes, None) else {
            return Ok(None);
        };
        let named = manifest.layers.iter().map(|layer| Some(layer.digest));
        let is_whole = manifest.config.digest == self.image.id && layers.iter().map(|l| l.blob).eq(named);
        Ok(is_whole.then(|| (manifest.media_type.clone(), bytes)))
    }

    async fn config(&self) -> Result<Descriptor, PushError> {
        let size = self.store.blob_size(&self.image.id).ok_or(StoreError::NoImage(self.image.id))?;
        let config = Descriptor::new(media_type::CONFIG, self.image.id, size);
        if !self.has(&config).await? {
            let content = Content::File(self.store.blob_file(&config.digest));
            self.destination.upload(&config, None, &content).await?;
        }
        Ok(config)
    }

    /// The image's layers as the registry has them, lowest first.
    async fn layers(&self, layers: &[Layer]) -> Result<Vec<Descriptor>, PushError> {
        // A layer that the image has twice is sent once.
        let mut seen = std::collections::HashSet::new();
        let single: Vec<&Layer> = layers.iter().filter(|layer| seen.insert(layer.diff_id)).collect();
        let pushes = stream::iter(single)
            .map(|layer| async { self.layer(layer).await.map(|descriptor| (layer.diff_id, descriptor)) });
        let pushed: std::collections::HashMap<Digest, Descriptor> =
            pushes.buffer_unordered(self.parallel).try_collect().await?;
        Ok(layers.iter().map(|layer| pushed[&layer.diff_id].clone()).collect())
    }

    async fn layer(&self, layer: &Layer) -> Result<Descriptor, PushError> {
        if let Some(known) = self.store.exported_layer(layer, self.encoding)?
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
        let known = self.store.exported_layer(layer, self.encoding)?;
        let _processors = self.processors.lock().await;
        let (store, layer, encoding) = (self.store.clone(), layer.clone(), self.encoding);
        let diff_id = layer.diff_id;
        let exported = task(move || store.export_layer(&layer, encoding)).await?;
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

fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Vec<u8> {
    let manifest = Manifest {
        media_type: media_type::MANIFEST.to_owned(),
        config,
        layers,
        annotations: Default::default(),
        other: serde_json::Map::new(),
    };
    serde_json::to_vec(&manifest).expect("a manifest has only string keys")
}

async fn task<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PushError> {
    blocking(work).await.map_err(|error| PushError::Task(error.to_string()))
}
