//! In-memory Target, Source, StateStore, SecretSource and Pins for tests, and a fuse that stops them dead at any
//! step, as a kill would: what was done stays done, nothing more is.

mod store;
mod target;

pub use store::FakeStore;
pub use target::{FakeTarget, HEALTH_ANNOTATION};

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use minato_oci::Digest;
use minato_resource::Object;
use tokio::sync::Notify;

use crate::application::ApplicationSource;
use crate::operation::{PinError, Pins};
use crate::secrets::{SecretError, SecretReference, SecretSource, SecretValue};
use crate::source::{Loaded, Source, SourceError};

/// Stops everything that shares it after a number of steps.
#[derive(Debug)]
pub struct Fuse {
    left: AtomicI64,
    blown: Notify,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { left: AtomicI64::new(i64::MAX), blown: Notify::new() }
    }
}

impl Fuse {
    /// Burns down after `steps` steps.
    pub fn light(&self, steps: u32) {
        self.left.store(i64::from(steps), Ordering::SeqCst);
    }

    /// Runs an operation until it ends (`Some`) or the fuse has burnt down (`None`): then it is dropped where
    /// it stands.
    pub async fn run<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = operation => Some(done),
            () = self.blown.notified() => None,
        }
    }

    /// One step: before or after an effect.
    pub(crate) async fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// A source whose Objects are given.
#[derive(Debug, Default)]
pub struct FakeSource {
    /// Resolved revision → its Objects.
    pub revisions: BTreeMap<String, Vec<Object>>,
    /// Branch or tag → resolved revision.
    pub names: BTreeMap<String, String>,
}

#[async_trait]
impl Source for FakeSource {
    async fn resolve(&self, source: &ApplicationSource) -> Result<String, SourceError> {
        let wanted = source.target_revision.as_deref().unwrap_or("HEAD");
        let found = self.names.get(wanted).cloned();
        found.ok_or_else(|| not_found(source, format!("there is no revision {wanted:?}")))
    }

    async fn load(&self, source: &ApplicationSource, revision: &str) -> Result<Loaded, SourceError> {
        match self.revisions.get(revision) {
            Some(objects) => Ok(Loaded { objects: objects.clone(), diagnostics: Vec::new() }),
            None => Err(not_found(source, format!("there is no revision {revision:?}"))),
        }
    }
}

fn not_found(source: &ApplicationSource, message: String) -> SourceError {
    SourceError::NotFound { location: source.repository.clone(), message }
}

/// Secrets that are given, as `NAME/KEY` → value.
#[derive(Debug, Default)]
pub struct FakeSecrets(pub Mutex<BTreeMap<String, String>>);

#[async_trait]
impl SecretSource for FakeSecrets {
    async fn resolve(&self, reference: &SecretReference) -> Result<Option<SecretValue>, SecretError> {
        let values = self.0.lock().map_err(|_| SecretError::Gone { reference: reference.clone() })?;
        Ok(values.get(&reference.to_string()).map(|value| SecretValue::new(value.as_bytes())))
    }

    async fn keys(&self, _: &str, name: &str) -> Result<Vec<String>, SecretError> {
        let values = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of_name = |full: &String| Some(full.strip_prefix(name)?.strip_prefix('/')?.to_owned());
        Ok(values.keys().filter_map(of_name).collect())
    }
}

/// Pins that can be looked at.
#[derive(Debug, Default)]
pub struct FakePins(pub Mutex<BTreeMap<String, Vec<Digest>>>);

impl Pins for FakePins {
    fn pin(&self, owner: &str, ids: &[Digest]) -> Result<(), PinError> {
        let mut pins = self.0.lock().map_err(|error| PinError(error.to_string()))?;
        pins.insert(owner.to_owned(), ids.to_vec());
        Ok(())
    }

    fn unpin(&self, owner: &str) -> Result<(), PinError> {
        self.0.lock().map_err(|error| PinError(error.to_string()))?.remove(owner);
        Ok(())
    }
}
