//! The key of a planned layer: everything that decides its bytes, and nothing else.
//!
//! Paths, kinds, modes, owners, link targets, contents by digest, and the one time that all files get. The time and
//! place of the sources are not in it, nor how the layers below came to be: whatever gives the same plan gives the
//! same layer.

use std::os::unix::ffi::OsStrExt;

use sha2::{Digest as _, Sha256};

use super::plan::{Content, LayerPlan};
use crate::solve::Key;
use crate::tree::{Fingerprint, Node, StatCache, TreeError};

/// Raised whenever the same plan would give other bytes than before.
const VERSION: u8 = 1;

/// The key of `plan` written with the time `modified`; `fingerprint` tells what is in a file.
pub(crate) fn key_of(
    plan: &LayerPlan,
    modified: i64,
    fingerprint: impl Fn(&Node) -> Result<Fingerprint, TreeError>,
) -> Result<Key, TreeError> {
    let mut hash = Sha256::new();
    hash.update([VERSION]);
    hash.update(modified.to_le_bytes());
    let names = plan.first_names();
    for (path, entry) in plan.entries() {
        text(&mut hash, path.as_os_str().as_bytes());
        for number in [entry.mode, entry.uid, entry.gid] {
            hash.update(number.to_le_bytes());
        }
        match &entry.content {
            Content::Directory => hash.update(b"d"),
            Content::File { source, capable, .. } => {
                hash.update(b"f");
                hash.update(fingerprint(source)?);
                let capability = if *capable { source.capability()? } else { None };
                text(&mut hash, &capability.unwrap_or_default());
                // Which names are one inode: the first of them stands for it, whatever its number here.
                text(&mut hash, names.of(entry).map_or(b"", |first| first.as_os_str().as_bytes()));
            }
            Content::Text(content) => {
                hash.update(b"f");
                hash.update(Sha256::digest(content.as_bytes()));
                text(&mut hash, b"");
                text(&mut hash, b"");
            }
            Content::Symlink(target) => {
                hash.update(b"l");
                text(&mut hash, target.as_os_str().as_bytes());
            }
            Content::Device { block, number } => {
                hash.update(if *block { b"b" } else { b"n" });
                hash.update(number.to_le_bytes());
            }
            Content::Fifo => hash.update(b"p"),
        }
    }
    Ok(Key::new(hash.finalize().into()))
}

/// Above this many bytes of files that were never hashed, reading them twice would be most of a build's time.
const WORTH_ONE_PASS: u64 = 8 << 20;

/// Whether a plan is copied right away and hashed on the way: it is large and certainly not made before, as nothing of
/// its sources is known. Otherwise what is not known is hashed first, and nothing is copied if the layer is there.
pub(crate) fn is_copied_at_once(plan: &LayerPlan, cache: &StatCache) -> bool {
    let bytes = plan.entries().iter().map(|(_, entry)| match &entry.content {
        Content::File { source, .. } => source.identity.size,
        _ => 0,
    });
    cache.is_new() && bytes.sum::<u64>() > WORTH_ONE_PASS
}

fn text(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
