//! What a file of a layer has and the file system would not take, kept beside the tree.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::{Device, Entry, Kind, TreePath};

const VERSION: u32 = 1;
const LIMIT: u64 = 1 << 30;

/// The table of one layer.
#[derive(Debug, Default)]
pub(super) struct Attributes(BTreeMap<TreePath, Kept>);

/// What is kept of one file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) character: Option<Device>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) block: Option<Device>,
    /// Values in hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) xattrs: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    files: Vec<(PathBuf, Kept)>,
}

impl Attributes {
    /// The table beside `tree`; empty when there is none.
    pub(super) fn load(tree: &Path) -> io::Result<Self> {
        let path = beside(tree);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
            Ok(found) if found.len() > LIMIT => return Err(io::Error::other("attributes.json is too long")),
            Ok(_) => {}
        }
        let stored: Stored = serde_json::from_slice(&fs::read(&path)?)?;
        if stored.version != VERSION {
            return Err(io::Error::other(format!("attributes.json has version {}", stored.version)));
        }
        let checked = stored.files.into_iter().map(|(path, kept)| match TreePath::new(path) {
            Ok(path) => Ok((path, kept)),
            Err(error) => Err(io::Error::other(error)),
        });
        checked.collect::<io::Result<_>>().map(Self)
    }

    /// Writes the table beside `tree` when it has something.
    pub(super) fn save(self, tree: &Path) -> io::Result<()> {
        let files: Vec<(PathBuf, Kept)> =
            self.0.into_iter().map(|(path, kept)| (path.as_path().to_owned(), kept)).collect();
        if files.is_empty() {
            return Ok(());
        }
        fs::write(beside(tree), serde_json::to_vec(&Stored { version: VERSION, files })?)
    }

    pub(super) fn keep(&mut self, path: &TreePath) -> &mut Kept {
        self.0.entry(path.clone()).or_default()
    }

    /// Forgets `path` and what lies below it.
    pub(super) fn forget(&mut self, path: &TreePath) {
        if !self.0.is_empty() {
            self.0.retain(|kept, _| !kept.starts_with(path));
        }
    }

    /// Gives `entry`, as the file system shows it, what was kept of it.
    pub(super) fn apply(&self, entry: &mut Entry) -> io::Result<()> {
        let Some(kept) = self.0.get(&entry.path) else { return Ok(()) };
        (entry.uid, entry.gid) = kept.owner.unwrap_or((entry.uid, entry.gid));
        entry.mode = kept.mode.unwrap_or(entry.mode);
        if let Some(device) = kept.character {
            entry.kind = Kind::Character(device);
        } else if let Some(device) = kept.block {
            entry.kind = Kind::Block(device);
        }
        for (name, value) in &kept.xattrs {
            entry.xattrs.insert(name.clone(), hex::decode(value).map_err(io::Error::other)?);
        }
        Ok(())
    }
}

fn beside(tree: &Path) -> PathBuf {
    tree.with_file_name("attributes.json")
}
