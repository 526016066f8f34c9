//! What a transfer tells while it runs.

use std::time::Duration;

use minato_oci::{Digest, Reference};

/// Takes the events of a pull, a push or a copy; called from several tasks at once, so it must not wait.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Something that happened during a transfer.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The reference was found.
    Resolved {
        /// What was asked for.
        reference: &'a Reference,
        /// The manifest of the chosen platform.
        manifest: &'a Digest,
        /// Layers that the image has.
        layers: usize,
    },
    /// A layer is where it should go already.
    LayerPresent {
        /// The layer's blob.
        layer: &'a Digest,
    },
    /// A layer's transfer begins.
    LayerStarted {
        /// The layer's blob.
        layer: &'a Digest,
        /// Its compressed length in bytes.
        size: u64,
    },
    /// More of a layer was transferred.
    LayerAdvanced {
        /// The layer's blob.
        layer: &'a Digest,
        /// Compressed bytes so far.
        bytes: u64,
    },
    /// A layer is where it should go, verified.
    LayerDone {
        /// The layer's blob.
        layer: &'a Digest,
    },
    /// A request failed and is made again.
    Retrying {
        /// The URL.
        url: &'a str,
        /// Why it failed.
        reason: &'a str,
        /// How long is waited before.
        after: Duration,
    },
    /// A mirror could not help; the next place is asked.
    MirrorFailed {
        /// The mirror.
        url: &'a str,
        /// Why.
        reason: &'a str,
    },
}

/// Nobody listens.
impl Progress for () {
    fn event(&self, _: Event<'_>) {}
}
