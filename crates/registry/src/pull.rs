//! An image from a registry into the store.

use futures_util::{StreamExt, TryStreamExt, stream};
use minato_oci::{
    Descriptor, Digest, Image, ImageConfig, LayerError, Platform, Reference, Store, StoreError,
};

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::failure::RequestError;
use crate::fetch::LayerTransfer;
use crate::progress::{Event, Progress};
use crate::resolve::{ResolveError, Resolved};
use crate::transport::Request;

/// As Docker's own.
const CONFIG_LIMIT: u64 = 8 << 20;
/// As overlayfs and Docker have it.
const LAYER_LIMIT: usize = 127;

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The reference leads to no image.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The registry can't be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A layer is refused.
    #[error("{reference}: layer {layer}: {source}")]
    Layer {
        /// The image.
        reference: Box<Reference>,
        /// The layer's blob.
        layer: Digest,
        /// What is wrong with it.
        source: Box<LayerError>,
    },
    /// The image contradicts itself.
    #[error("{reference}: {reason}; the image is refused")]
    Image {
        /// The image.
        reference: Box<Reference>,
        /// What is wrong with it.
        reason: String,
    },
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of this program died.
    #[error("pulling was interrupted: {0}")]
    Task(String),
}

impl Client {
    /// Pulls the image that `reference` means for `platform` into `store`, and tags it there when the reference has a
    /// tag and no digest.
    ///
    /// Layers arrive in parallel and are unpacked while they arrive. What is there already is not fetched again. A
    /// caller who pulls by digest holds a [`minato_oci::Lease`] until he has pinned the image.
    ///
    /// # Errors
    /// When the image is nowhere to be had, or something about it is refused.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: &Platform,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Image, PullError> {
        let of_store = store.clone();
        let _lease = blocking(move || of_store.lease()).await??;
        let resolved = self.resolve_telling(reference, platform, progress).await?;
        let layers = resolved.manifest.layers.len();
        progress.event(Event::Resolved { reference, manifest: &resolved.descriptor.digest, layers });
        let pull = Pull { client: self, reference, platform, store, progress };
        let json = pull.config(&resolved).await?;
        let config = pull.checked_config(&json, &resolved)?;
        pull.layers(&resolved, &config).await?;
        pull.save(json, &resolved).await
    }
}

struct Pull<'a> {
    client: &'a Client,
    reference: &'a Reference,
    platform: &'a Platform,
    store: &'a Store,
    progress: &'a dyn Progress,
}

impl Pull<'_> {
    /// The config's exact bytes, verified.
    async fn config(&self, resolved: &Resolved) -> Result<Vec<u8>, PullError> {
        let descriptor = &resolved.manifest.config;
        if descriptor.size > CONFIG_LIMIT {
            return Err(
                self.refused(format!("its config has {} bytes, more than {CONFIG_LIMIT}", descriptor.size))
            );
        }
        if self.store.has_blob(&descriptor.digest) {
            return Ok(self.store.read_blob(&descriptor.digest, CONFIG_LIMIT)?);
        }
        let ask = async |endpoint: &Endpoint| self.config_from(endpoint, descriptor).await;
        self.client.ask_in_turn(self.reference, self.progress, ask).await
    }

    async fn config_from(&self, endpoint: &Endpoint, config: &Descriptor) -> Result<Vec<u8>, PullError> {
        let path = format!("blobs/{}", config.digest);
        let repository = self.reference.repository();
        let url = endpoint.url(repository, &path);
        let request = Request { endpoint, repository, path: &path, accept: None, from: 0 };
        let transport = &self.client.transport;
        let response = transport.get(request, self.progress).await?;
        let json = transport.body(&url, response, config.size).await?;
        match Digest::sha256(&json) {
            found if found == config.digest => Ok(json),
            found => Err(self.refused(format!("its config has digest {found}, expected {}", config.digest))),
        }
    }

    fn checked_config(&self, json: &[u8], resolved: &Resolved) -> Result<ImageConfig, PullError> {
        let config: ImageConfig = serde_json::from_slice(json)
            .map_err(|error| self.refused(format!("its config is malformed: {error}")))?;
        let (layers, diff_ids) = (resolved.manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(self.refused(format!("it has {layers} layers and {diff_ids} diff_ids")));
        }
        if layers > LAYER_LIMIT {
            return Err(self.refused(format!("it has {layers} layers, more than {LAYER_LIMIT}")));
        }
        if !config.architecture.is_empty() && self.platform.rank(&config.platform()).is_none() {
            let (reference, platform) = (Box::new(self.reference.clone()), self.platform.to_string());
            let offered = config.platform().to_string();
            return Err(ResolveError::Platform { reference, platform, offered }.into());
        }
        Ok(config)
    }

    async fn layers(&self, resolved: &Resolved, config: &ImageConfig) -> Result<(), PullError> {
        let pairs = resolved.manifest.layers.iter().zip(&config.rootfs.diff_ids);
        // The same layer twice in one image is one download.
        let mut seen = std::collections::HashSet::new();
        let pairs: Vec<_> = pairs.filter(|(_, diff_id)| seen.insert(**diff_id)).collect();
        let downloads = stream::iter(pairs).map(|(layer, diff_id)| self.layer(layer, diff_id));
        downloads.buffer_unordered(self.client.parallel).try_collect().await
    }

    async fn layer(&self, layer: &Descriptor, diff_id: &Digest) -> Result<(), PullError> {
        if self.store.layer(diff_id)?.is_some() {
            self.progress.event(Event::LayerPresent { layer: &layer.digest });
            return Ok(());
        }
        self.progress.event(Event::LayerStarted { layer: &layer.digest, size: layer.size });
        let (client, reference, store, progress) = (self.client, self.reference, self.store, self.progress);
        let transfer = LayerTransfer { client, reference, store, progress };
        let ask = async |endpoint: &Endpoint| transfer.layer_from(endpoint, layer, diff_id).await;
        self.client.ask_in_turn(self.reference, self.progress, ask).await?;
        self.progress.event(Event::LayerDone { layer: &layer.digest });
        Ok(())
    }

    async fn save(&self, json: Vec<u8>, resolved: &Resolved) -> Result<Image, PullError> {
        let (store, reference) = (self.store.clone(), self.reference.clone());
        let (bytes, index) = (resolved.bytes.clone(), resolved.index);
        let save = move || -> Result<Image, StoreError> {
            let image = store.save_image_json(&json)?;
            let manifest = store.put_blob(&bytes)?;
            store.record_manifest(&image.id, &manifest, index.as_ref())?;
            fail::fail_point!("registry.image.before-tag");
            if reference.digest().is_none() {
                store.tag_one_of(&reference, &image, index.as_ref())?;
            }
            Ok(image)
        };
        Ok(blocking(save).await??)
    }

    fn refused(&self, reason: String) -> PullError {
        PullError::Image { reference: Box::new(self.reference.clone()), reason }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PullError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| PullError::Task(error.to_string()))
}
