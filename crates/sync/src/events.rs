//! What an operation tells while it runs, so that the caller can show it.

use std::time::Duration;

use minato_resource::ResourceKey;

use crate::compare::Comparison;
use crate::secrets::SecretReference;
use crate::store::{Holder, Revision};
use crate::target::{Applied, Cause};

/// Is told what happens. Called from the operation itself, so it must not block.
pub trait Events: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Somebody else works on the Application; waiting.
    WaitingForLock(&'a Holder),
    /// An earlier run died midway; carrying on where it was.
    Resuming {
        /// The revision it was bringing out.
        revision: &'a str,
    },
    /// Desired and live were compared.
    Compared(&'a Comparison),
    /// No longer desired, and left in place because pruning is off.
    Kept(&'a ResourceKey),
    /// A wave starts.
    Wave {
        /// Its number.
        number: i64,
        /// Its Objects, in order.
        objects: &'a [ResourceKey],
    },
    /// The target accepted an Object.
    Applied(&'a Applied),
    /// A change moved on.
    Progressing {
        /// The Object.
        key: &'a ResourceKey,
        /// What it waits for.
        message: &'a str,
    },
    /// A change is out and healthy.
    Healthy(&'a ResourceKey),
    /// A change failed.
    Failed {
        /// The Object.
        key: &'a ResourceKey,
        /// Why.
        cause: &'a Cause,
    },
    /// An earlier revision is being brought back.
    RollingBack {
        /// That revision.
        to: &'a Revision,
        /// Why the new one failed.
        cause: &'a Cause,
    },
    /// A revision is brought back with a secret's value of today, not the one it had.
    SecretChanged(&'a SecretReference),
    /// The target was asked in vain and will be asked again.
    Retrying {
        /// What it answered.
        error: &'a crate::TargetError,
        /// After which pause.
        pause: Duration,
    },
    /// An Object was removed.
    Removed(&'a ResourceKey),
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Events for Silent {
    fn event(&self, _: Event<'_>) {}
}
