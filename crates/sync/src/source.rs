//! The seam to wherever desired Objects come from.

use async_trait::async_trait;
use minato_resource::{Diagnostic, Object};

use crate::application::ApplicationSource;

/// Where desired Objects come from: Git, a folder, an OCI artifact.
#[async_trait]
pub trait Source: Send + Sync {
    /// What `target_revision` (a branch, a tag, nothing) means now: a name that never moves.
    async fn resolve(&self, source: &ApplicationSource) -> Result<String, SourceError>;

    /// The rendered Objects of a resolved revision, with what is wrong in its files.
    async fn load(&self, source: &ApplicationSource, revision: &str) -> Result<Loaded, SourceError>;
}

/// One revision, rendered.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The desired Objects.
    pub objects: Vec<Object>,
    /// What is wrong in the files they came from.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why a source gave no Objects.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source has no such revision or path.
    #[error("{location}: {message}")]
    NotFound {
        /// Repository and path.
        location: String,
        /// What is missing and what to do next.
        message: String,
    },
    /// What names the source, or what is in it, is not accepted; trying again will not help.
    #[error("{location}: {message}")]
    Refused {
        /// Repository and path.
        location: String,
        /// What is wrong and what to do next.
        message: String,
    },
    /// The source could not be read just now.
    #[error("{location}: {message}")]
    Unavailable {
        /// Repository and path.
        location: String,
        /// What went wrong.
        message: String,
    },
}
