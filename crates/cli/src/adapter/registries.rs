//! Images from the registries that the machine's flags name.

use minato_build::{Bases, FetchError};
use minato_oci::{Image, Platform, Reference, Store};
use minato_registry::{Client, PullError};
use tokio::runtime::Handle;

use super::pull_progress::PullProgress;
use crate::print::Printer;

/// Pulls into the store, and shows it.
pub struct Registries<'a> {
    client: Client,
    pub store: &'a Store,
    pub printer: &'a Printer,
    runtime: Handle,
}

impl<'a> Registries<'a> {
    /// Must be made inside the asynchronous runtime, which then serves the builder's threads too.
    pub fn new(client: Client, store: &'a Store, printer: &'a Printer) -> Self {
        Self { client, store, printer, runtime: Handle::current() }
    }

    pub async fn pull(&self, reference: &Reference, platform: &Platform) -> Result<Image, PullError> {
        let progress = PullProgress::new(self.printer, reference);
        let pulled = self.client.pull(reference, platform, self.store, &progress).await;
        progress.end(pulled.is_ok());
        pulled
    }
}

impl Bases for Registries<'_> {
    fn fetch(&self, reference: &Reference, platform: &Platform) -> Result<Image, FetchError> {
        let pulled = self.runtime.block_on(self.pull(reference, platform));
        pulled.map_err(|error| FetchError(Box::new(error)))
    }
}
