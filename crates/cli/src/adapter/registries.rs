//! Images from the registries that the machine's flags name.

use std::sync::OnceLock;

use minato_build::{Bases, FetchError};
use minato_oci::{Image, Platform, Reference, Store};
use minato_registry::Client;
use tokio::runtime::Handle;

use super::pull_progress::PullProgress;
use crate::machine::Machine;
use crate::print::Printer;

/// Pulls into the store, and shows it.
pub struct Registries<'a> {
    machine: &'a Machine,
    client: OnceLock<Client>,
    pub store: &'a Store,
    pub printer: &'a Printer,
    runtime: Handle,
}

impl<'a> Registries<'a> {
    /// Must be made inside the asynchronous runtime, which then serves the builder's threads too.
    pub fn new(machine: &'a Machine, store: &'a Store, printer: &'a Printer) -> Self {
        Self { machine, client: OnceLock::new(), store, printer, runtime: Handle::current() }
    }

    pub async fn pull(&self, reference: &Reference, platform: &Platform) -> anyhow::Result<Image> {
        let client = self.client()?;
        let progress = PullProgress::new(self.printer, "pull", reference);
        let pulled = client.pull(reference, platform, self.store, &progress).await;
        progress.end(pulled.is_ok());
        Ok(pulled?)
    }

    /// Made when first needed: reading every certificate of the system would be most of the work of a run that pulls
    /// nothing.
    fn client(&self) -> anyhow::Result<&Client> {
        if self.client.get().is_none() {
            // Two threads may both make one; either serves.
            let _ = self.client.set(self.machine.registry_client()?);
        }
        Ok(self.client.get().expect("it was set just now, by this thread or another"))
    }
}

impl Bases for Registries<'_> {
    fn fetch(&self, reference: &Reference, platform: &Platform) -> Result<Image, FetchError> {
        let pulled = self.runtime.block_on(self.pull(reference, platform));
        pulled.map_err(|error| FetchError(error.into()))
    }
}
