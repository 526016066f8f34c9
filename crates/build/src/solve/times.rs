//! The modification times of whole trees.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use crate::error::StepError;
use crate::layer::LayerError;
use crate::tree::{Kind, Node, TreeError};

/// Gives every entry that is newer the time `modified`, in seconds since 1970, and the root in any case.
pub(super) fn clamp_times(tree: &Path, modified: i64) -> Result<(), StepError> {
    let limit = modified.saturating_mul(1_000_000_000);
    let time = Timespec { tv_sec: modified, tv_nsec: 0 };
    set_times(tree, time, |node| node.identity.modified_ns > limit)
}

/// Gives every entry the time that it is now.
pub(super) fn renew_times(tree: &Path) -> Result<(), StepError> {
    set_times(tree, Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }, |_| true)
}

fn set_times(tree: &Path, time: Timespec, is_meant: impl Fn(&Node) -> bool) -> Result<(), StepError> {
    let times = Timestamps { last_access: time, last_modification: time };
    let set = |path: &Path| {
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| LayerError::Write { path: path.to_owned(), source: error.into() })
    };
    let mut open = vec![tree.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(TreeError::read(&folder))? {
            let place = entry.map_err(TreeError::read(&folder))?.path();
            let Some(node) = Node::at(place)? else { continue };
            if is_meant(&node) && node.kind != Kind::Socket {
                set(&node.place)?;
            }
            if node.kind == Kind::Directory {
                open.push(node.place);
            }
        }
    }
    Ok(set(tree)?)
}
