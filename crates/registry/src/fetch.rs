//! Single blobs of a registry: small ones as bytes, layers into the store.

use minato_oci::{Descriptor, Digest, Layer, Reference, Store, StoreError};

use crate::client::Client;
use crate::download::{self, Download};
use crate::endpoint::Endpoint;
use crate::progress::Progress;
use crate::pull::{PullError, blocking};
use crate::resolve::ResolveError;
use crate::transport::Request;

impl Client {
    /// A small blob of `reference`'s repository, verified.
    ///
    /// # Errors
    /// When no place has it, it is longer than `limit` bytes, or not what its digest says.
    pub async fn blob(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, ResolveError> {
        let refused = |what, found: String, expected: String| {
            let url = format!("{reference}, blob {}", blob.digest);
            Err(ResolveError::Mismatch { url, what, found, expected })
        };
        if blob.size > limit {
            return refused("length", blob.size.to_string(), format!("{limit} at most"));
        }
        let path = format!("blobs/{}", blob.digest);
        let repository = reference.repository();
        let ask = async |endpoint: &Endpoint| -> Result<Vec<u8>, ResolveError> {
            let request = Request { endpoint, repository, path: &path, accept: None, from: 0 };
            let response = self.transport.get(request, progress).await?;
            Ok(self.transport.body(&endpoint.url(repository, &path), response, blob.size).await?)
        };
        let bytes = self.ask_in_turn(reference, progress, ask).await?;
        match Digest::sha256(&bytes) {
            found if found == blob.digest => Ok(bytes),
            found => refused("digest", found.to_string(), blob.digest.to_string()),
        }
    }

    /// A layer of `reference`'s repository into the store, checked against its blob's digest and its own.
    ///
    /// # Errors
    /// When no place has it, or what it has is refused.
    pub async fn layer(
        &self,
        reference: &Reference,
        blob: &Descriptor,
        diff_id: &Digest,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Layer, PullError> {
        let transfer = LayerTransfer { client: self, reference, store, progress };
        let ask = async |endpoint: &Endpoint| transfer.layer_from(endpoint, blob, diff_id).await;
        self.ask_in_turn(reference, progress, ask).await?;
        Ok(store.layer(diff_id)?.ok_or(StoreError::NoLayer(*diff_id))?)
    }
}

/// Where layers come from and go to.
pub(crate) struct LayerTransfer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) reference: &'a Reference,
    pub(crate) store: &'a Store,
    pub(crate) progress: &'a dyn Progress,
}

impl LayerTransfer<'_> {
    /// Network here, disk and processor on a thread of their own; chunks in between.
    pub(crate) async fn layer_from(
        &self,
        endpoint: &Endpoint,
        layer: &Descriptor,
        diff_id: &Digest,
    ) -> Result<(), PullError> {
        let (sender, received) = download::channel();
        let download = Download {
            transport: &self.client.transport,
            endpoint,
            repository: self.reference.repository(),
            blob: layer,
            progress: self.progress,
        };
        let (store, limits) = (self.store.clone(), self.client.limits);
        let (descriptor, expected) = (layer.clone(), *diff_id);
        let unpacking =
            blocking(move || store.ingest_layer(received.blocking(), &descriptor, &expected, limits));
        let (downloaded, unpacked) = tokio::join!(download.run(0, sender, None), unpacking);
        // A broken download breaks the archive as well: it is the cause.
        downloaded?;
        let unpacked = unpacked?;
        fail::fail_point!("registry.layer.done");
        unpacked.map(drop).map_err(|source| PullError::Layer {
            reference: Box::new(self.reference.clone()),
            layer: layer.digest,
            source: Box::new(source),
        })
    }
}
