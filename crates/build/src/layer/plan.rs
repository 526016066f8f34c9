//! What a layer is going to hold, decided before a byte is copied.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::tree::{Identity, Kind, Node, Tree, TreeError, in_order};

/// Paths of a new layer and what will stand there, in the order of the layer's archive: by components, so that
/// parents come before children.
#[derive(Debug, Default)]
pub(crate) struct LayerPlan {
    entries: Vec<(PathBuf, Entry)>,
}

/// One entry of a new layer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) content: Content,
    /// Permission bits, `0o7777` at most.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What an entry is, and where its bytes come from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Directory,
    /// The bytes of a file.
    File {
        source: Arc<Node>,
        /// Which copied source it belongs to: names of one inode stay one inode within a source only.
        copy: u32,
        /// Whether the file's security capability is kept.
        capable: bool,
    },
    /// These bytes: a heredoc.
    Text(Arc<str>),
    Symlink(PathBuf),
    Device {
        block: bool,
        number: u64,
    },
    Fifo,
}

impl LayerPlan {
    pub(crate) fn entries(&self) -> &[(PathBuf, Entry)] {
        &self.entries
    }

    /// For each inode with several names in this plan: the first of them, which is the file; the others are links.
    pub(crate) fn first_names(&self) -> FirstNames<'_> {
        let mut names = HashMap::new();
        for (path, entry) in &self.entries {
            if let Some(inode) = entry.inode() {
                names.entry(inode).or_insert(path.as_path());
            }
        }
        FirstNames(names)
    }
}

/// See [`LayerPlan::first_names`].
pub(crate) struct FirstNames<'a>(HashMap<(u32, u64, u64), &'a Path>);

impl<'a> FirstNames<'a> {
    /// The entry's first name, when the entry is a file whose inode has several names.
    pub(crate) fn of(&self, entry: &Entry) -> Option<&'a Path> {
        entry.inode().and_then(|inode| self.0.get(&inode).copied())
    }
}

/// The root file system that a new layer is planned for: the layers below and what the plan says so far.
pub(crate) struct Target<'a> {
    below: &'a dyn Tree,
    /// Looked up a few times for each file; sorted once, at the end.
    entries: HashMap<PathBuf, Entry>,
    /// Paths where the plan's entry hides a folder of the layers below.
    replaced: BTreeSet<PathBuf>,
}

impl<'a> Target<'a> {
    pub(crate) fn new(below: &'a dyn Tree) -> Self {
        Self { below, entries: HashMap::new(), replaced: BTreeSet::new() }
    }

    pub(crate) fn into_plan(self) -> LayerPlan {
        let mut entries: Vec<_> = self.entries.into_iter().collect();
        entries.sort_unstable_by(|a, b| in_order(&a.0, &b.0));
        LayerPlan { entries }
    }

    fn hides(&self, path: &Path) -> bool {
        !self.replaced.is_empty() && path.ancestors().skip(1).any(|parent| self.replaced.contains(parent))
    }

    /// Puts an entry at `path`, which has no link in it. Folders on the way that only the layers below have come
    /// with it, as they are there.
    pub(crate) fn put(&mut self, path: PathBuf, entry: Entry) -> Result<(), TreeError> {
        for folder in path.ancestors().skip(1) {
            if folder.as_os_str().is_empty() || self.entries.contains_key(folder) {
                break;
            }
            if let Some(node) = self.below.node(folder)?.filter(|node| node.kind == Kind::Directory) {
                self.entries.insert(folder.to_owned(), Entry::folder(node.mode, node.uid, node.gid));
            }
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Takes what stands at `path` away, so that [`Target::put`] can put something of another kind there.
    pub(crate) fn clear(&mut self, path: &Path) {
        self.entries.retain(|entry, _| !entry.starts_with(path));
        self.replaced.insert(path.to_owned());
    }
}

impl Tree for Target<'_> {
    fn node(&self, path: &Path) -> Result<Option<Node>, TreeError> {
        match self.entries.get(path) {
            Some(entry) => Ok(Some(entry.node())),
            None if self.hides(path) => Ok(None),
            None => self.below.node(path),
        }
    }

    fn names(&self, path: &Path) -> Result<Vec<OsString>, TreeError> {
        let below = if self.hides(&path.join("x")) { Vec::new() } else { self.below.names(path)? };
        let mut names: BTreeSet<OsString> = below.into_iter().collect();
        let planned = self.entries.keys().filter(|entry| entry.parent() == Some(path));
        names.extend(planned.filter_map(|entry| entry.file_name().map(ToOwned::to_owned)));
        Ok(names.into_iter().collect())
    }
}

impl Entry {
    pub(crate) fn folder(mode: u32, uid: u32, gid: u32) -> Self {
        Self { content: Content::Directory, mode, uid, gid }
    }

    /// Copied source, device and inode of a file that has other names.
    fn inode(&self) -> Option<(u32, u64, u64)> {
        match &self.content {
            Content::File { source, copy, .. } if source.identity.links > 1 => {
                Some((*copy, source.identity.device, source.identity.inode))
            }
            _ => None,
        }
    }

    /// As a tree shows it, for finding the way through it.
    fn node(&self) -> Node {
        let kind = match &self.content {
            Content::Directory => Kind::Directory,
            Content::File { .. } | Content::Text(_) => Kind::File,
            Content::Symlink(target) => Kind::Symlink(target.clone()),
            Content::Device { block, number } => Kind::Device { block: *block, number: *number },
            Content::Fifo => Kind::Fifo,
        };
        let place = match &self.content {
            Content::File { source, .. } => source.place.clone(),
            _ => PathBuf::new(),
        };
        let identity = Identity::default();
        Node { kind, mode: self.mode, uid: self.uid, gid: self.gid, place, identity }
    }
}
