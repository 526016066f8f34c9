//! What a chain of layers looks like as one root file system, without mounting it.
//!
//! The layers are in overlay form, so the rules are overlayfs's: the topmost entry wins, folders merge, a character
//! device 0:0 hides what is below it, and an opaque folder hides what it would merge with.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Kind, Node, Tree, TreeError};

/// A merged view of layers. Layers never change, so what was found once stays true.
pub(crate) struct Snapshot {
    /// Topmost first.
    layers: Arc<Vec<PathBuf>>,
    /// For folders looked into before: the real folders that merge there, topmost first.
    folders: Mutex<HashMap<PathBuf, Arc<Vec<PathBuf>>>>,
}

impl Snapshot {
    /// From the layers' folders, lowest first.
    pub(crate) fn new(mut layers: Vec<PathBuf>) -> Self {
        layers.reverse();
        Self { layers: Arc::new(layers), folders: Mutex::default() }
    }

    /// A plain folder.
    #[cfg(test)]
    pub(crate) fn of_folder(place: &Path) -> Self {
        Self::new(vec![place.to_owned()])
    }

    /// The real folders that merge into `path`; none where that is no folder.
    fn merged(&self, path: &Path) -> Result<Arc<Vec<PathBuf>>, TreeError> {
        let Some(name) = path.file_name() else { return Ok(Arc::clone(&self.layers)) };
        if let Some(known) = self.cache().get(path) {
            return Ok(Arc::clone(known));
        }
        let mut merged = Vec::new();
        for folder in self.merged(path.parent().unwrap_or(Path::new("")))?.iter() {
            let Some(node) = Node::at(folder.join(name))? else { continue };
            if node.kind != Kind::Directory {
                break;
            }
            let opaque = is_opaque(&node.place)?;
            merged.push(node.place);
            if opaque {
                break;
            }
        }
        let merged = Arc::new(merged);
        self.cache().insert(path.to_owned(), Arc::clone(&merged));
        Ok(merged)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Arc<Vec<PathBuf>>>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree for Snapshot {
    fn node(&self, path: &Path) -> Result<Option<Node>, TreeError> {
        let Some(name) = path.file_name() else {
            return self.layers.first().map_or(Ok(None), |top| Node::at(top.clone()));
        };
        for folder in self.merged(path.parent().unwrap_or(Path::new("")))?.iter() {
            if let Some(node) = Node::at(folder.join(name))? {
                return Ok((!is_whiteout(&node)).then_some(node));
            }
        }
        Ok(None)
    }

    fn names(&self, path: &Path) -> Result<Vec<OsString>, TreeError> {
        let mut names: BTreeMap<OsString, bool> = BTreeMap::new();
        for folder in self.merged(path)?.iter() {
            for entry in std::fs::read_dir(folder).map_err(TreeError::read(folder))? {
                let name = entry.map_err(TreeError::read(folder))?.file_name();
                if let Slot::Vacant(slot) = names.entry(name) {
                    let node = Node::at(folder.join(slot.key()))?;
                    slot.insert(node.is_some_and(|node| !is_whiteout(&node)));
                }
            }
        }
        Ok(names.into_iter().filter_map(|(name, shown)| shown.then_some(name)).collect())
    }
}

fn is_whiteout(node: &Node) -> bool {
    node.kind == Kind::Device { block: false, number: 0 }
}

fn is_opaque(folder: &Path) -> Result<bool, TreeError> {
    use rustix::io::Errno;
    for name in ["trusted.overlay.opaque", "user.overlay.opaque"] {
        let mut value = [0; 1];
        match rustix::fs::lgetxattr(folder, name, &mut value) {
            Ok(1) if value == *b"y" => return Ok(true),
            Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => {}
            Err(error) => return Err(TreeError::read(folder)(error.into())),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(snapshot: &Snapshot) -> Vec<String> {
        let found = snapshot.below(Path::new("")).unwrap();
        found.into_iter().map(|(path, _)| path.display().to_string()).collect()
    }

    #[test]
    fn upper_layers_win_and_folders_merge() {
        let root = tempfile::tempdir().unwrap();
        let place = |path: &str| root.path().join(path);
        for folder in ["lower/d", "upper/d"] {
            std::fs::create_dir_all(place(folder)).unwrap();
        }
        for file in ["lower/d/a", "lower/d/b", "upper/d/b", "upper/c"] {
            std::fs::write(place(file), file).unwrap();
        }
        let snapshot = Snapshot::new(vec![place("lower"), place("upper")]);
        assert_eq!(show(&snapshot), ["c", "d", "d/a", "d/b"]);
        let node = snapshot.node(Path::new("d/b")).unwrap().unwrap();
        assert_eq!(node.place, place("upper/d/b"));
        assert!(snapshot.node(Path::new("c/d")).unwrap().is_none());
    }

    #[test]
    fn whiteouts_and_opaque_folders_hide_what_is_below() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED whiteouts_and_opaque_folders_hide_what_is_below: needs root");
            return;
        }
        use rustix::fs::{CWD, FileType, Mode, XattrFlags};
        let root = tempfile::tempdir().unwrap();
        let place = |path: &str| root.path().join(path);
        for folder in ["lower/d", "lower/o/deep", "upper/o", "upper/d"] {
            std::fs::create_dir_all(place(folder)).unwrap();
        }
        for file in ["lower/d/gone", "lower/d/stays", "lower/o/hidden", "upper/o/new"] {
            std::fs::write(place(file), "").unwrap();
        }
        rustix::fs::mknodat(CWD, place("upper/d/gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        rustix::fs::setxattr(place("upper/o"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        let snapshot = Snapshot::new(vec![place("lower"), place("upper")]);
        assert_eq!(show(&snapshot), ["d", "d/stays", "o", "o/new"]);
        assert!(snapshot.node(Path::new("o/deep")).unwrap().is_none());
    }
}
