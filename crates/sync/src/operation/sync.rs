//! `sync`: make what is live equal to what is desired.

use std::collections::{BTreeMap, BTreeSet};

use minato_oci::Digest;
use minato_resource::Object;
use serde_json::Value;

use super::bring_out::{Release, bring_out};
use super::{Seams, SyncError, lock};
use crate::application::Application;
use crate::store::{OperationKind, Revision};
use crate::target::Cause;

/// What to make so.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The Application.
    pub application: Application,
    /// Its document, to be remembered.
    pub document: Value,
    /// The revision, as the source names it.
    pub revision: String,
    /// The desired Objects, secrets in clear.
    pub objects: Vec<Object>,
    /// Image reference as the Objects write it → the image's identity on this machine.
    pub images: BTreeMap<String, Digest>,
    /// Remove what is no longer desired.
    pub prune: bool,
    /// The command that asks, for people who wait for its lock.
    pub command: String,
}

/// How it went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Everything was so already and is healthy; the target was not written to.
    Unchanged,
    /// The revision is out and healthy.
    Deployed(Box<Revision>),
    /// The revision did not become healthy, and the last healthy one is back and healthy.
    RolledBack {
        /// Why.
        cause: Cause,
        /// The revision that is back.
        to: Box<Revision>,
    },
    /// The revision did not become healthy, and bringing back the last healthy one failed too.
    RollbackFailed {
        /// Why the revision failed.
        cause: Cause,
        /// The revision that was to come back.
        to: Box<Revision>,
        /// Why that failed.
        rollback_cause: Cause,
    },
    /// The revision is not healthy, and there is none to go back to, or going back is off.
    Failed {
        /// Why.
        cause: Cause,
    },
}

impl Outcome {
    /// Whether the revision that was asked for is out and healthy.
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Deployed(_))
    }

    /// Why not.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Unchanged | Self::Deployed(_) => None,
            Self::RolledBack { cause, .. } | Self::RollbackFailed { cause, .. } | Self::Failed { cause } => {
                Some(cause)
            }
        }
    }
}

/// Brings a revision out: applies what differs, wave by wave, follows each change, removes what is no longer
/// desired once all is healthy, and goes back to the last healthy revision when it is not.
///
/// # Errors
/// The operation could not be carried through; asking for it again carries on.
pub async fn sync(seams: &Seams<'_>, request: &SyncRequest) -> Result<Outcome, SyncError> {
    check(request)?;
    let release = Release {
        application: &request.application,
        document: &request.document,
        revision: &request.revision,
        objects: &request.objects,
        images: &request.images,
        prune: request.prune,
        kind: OperationKind::Sync,
        repeats: None,
    };
    let name = &request.application.name;
    let holder = lock::acquire(seams, name, &request.command).await?;
    let done = bring_out(seams, &release, holder.clone()).await;
    lock::release(seams, name, &holder, done).await
}

fn check(request: &SyncRequest) -> Result<(), SyncError> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = request.objects.iter().find(|object| !seen.insert(object.key())) {
        return Err(SyncError::Duplicate { key: twice.key().clone() });
    }
    let allow_empty =
        request.application.sync_policy.automated.is_some_and(|automated| automated.allow_empty);
    if request.objects.is_empty() && request.prune && !allow_empty {
        return Err(SyncError::Empty { name: request.application.name.clone() });
    }
    Ok(())
}
