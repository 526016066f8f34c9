//! Where base images come from when the store does not have them.

use std::sync::{Mutex, PoisonError};

use minato_oci::{Image, Platform, Reference};

/// Brings an image from a registry into the store that the build uses.
pub trait Bases: Sync {
    /// The image for `platform`, all layers unpacked in the store.
    ///
    /// # Errors
    /// Why it can't be had: no such image, no connection, no permission.
    fn fetch(&self, reference: &Reference, platform: &Platform) -> Result<Image, FetchError>;
}

/// Why a base image can't be had; the message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub Box<dyn std::error::Error + Send + Sync>);

impl FetchError {
    /// From a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into().into())
    }
}

/// No registry: only images in the store, layouts and earlier stages can be built from. Notes what was asked for.
#[derive(Debug, Default)]
pub struct Offline(Mutex<Vec<String>>);

impl Offline {
    /// What was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Bases for Offline {
    fn fetch(&self, reference: &Reference, _: &Platform) -> Result<Image, FetchError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(reference.to_string());
        Err(FetchError::new(format!(
            "image {} is not in the store, and no registry may be asked",
            reference.familiar()
        )))
    }
}
