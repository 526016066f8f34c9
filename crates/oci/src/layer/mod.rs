//! Layers: tar archives on their way in, trees in overlay form at rest, tar archives on their way out.
//!
//! ```text
//!  compressed ─► Compression::reader ─► Archive ─► Entry ─► TreeWriter ─► tree/
//!  tree/ ─► write_tar ─► Entry ─► TarWriter ─► tar          (the same bytes for the same tree)
//!  tree/ … ─► write_merged_tar ─► tar                        (the root file system of several layers)
//!  tar ─► EncodingWriter ─► compressed                       (the same bytes again, on every machine)
//! ```
//!
//! A tree in overlay form holds OCI's whiteouts as overlayfs wants them: a removed name is a character device 0:0, a
//! folder that hides what lies below has the attribute `trusted.overlay.opaque` (`user.overlay.opaque` where an
//! ordinary user wrote it). What an ordinary user cannot give to a file (owners, device nodes, some attributes) is
//! kept in `attributes.json` beside `tree/`, so that the tar is the same again.

mod archive;
mod attributes;
mod compression;
mod dress;
mod encode;
mod entry;
mod extensions;
mod folder;
mod header;
mod layer_tree;
mod merged;
mod numbers;
mod pax;
mod sparse;
mod tree;
mod unpack;
mod walk;
mod writer;

pub use archive::{Archive, ArchiveError};
pub use compression::Compression;
pub use encode::{Encoding, EncodingWriter, LevelError};
pub use entry::{Device, Entry, Kind, Timestamp, TreePath, TreePathError};
pub use layer_tree::WalkError;
pub use merged::write_merged_tar;
pub use tree::{TreeError, TreeWriter};
pub use unpack::{Limits, UnpackError, UnpackOptions, Unpacked, unpack};
pub use walk::write_tar;
pub use writer::{TarWriter, WriteError};
