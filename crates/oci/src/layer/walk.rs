//! A whole tree in overlay form, written as a layer's tar.

use std::io::{self, Write};
use std::path::Path;

use super::entry::{Entry, Kind, TreePath};
use super::layer_tree::{FirstNames, LayerTree, WalkError};
use super::writer::TarWriter;

/// Writes the tree in overlay form at `tree` as a layer's tar and gives `out` back.
///
/// The same tree gives the same bytes: entries are sorted, and nothing but what a layer holds gets in. Sockets are
/// left out, since a tar can't hold them. What `attributes.json` beside the tree says stands in for what an ordinary
/// user could not give to a file.
///
/// # Errors
/// When a file can't be read or changes meanwhile, or has what a layer can't hold.
pub fn write_tar<W: Write>(tree: &Path, out: W) -> Result<W, WalkError> {
    let mut walk =
        Walk { tree: LayerTree::open(tree)?, tar: TarWriter::new(out), first_names: FirstNames::new() };
    walk.run()?;
    walk.tar.finish().map_err(|source| WalkError::Io { path: tree.to_owned(), source })
}

struct Walk<'a, W: Write> {
    tree: LayerTree<'a>,
    tar: TarWriter<W>,
    first_names: FirstNames,
}

impl<W: Write> Walk<'_, W> {
    fn run(&mut self) -> Result<(), WalkError> {
        // Paths still to write, the next one last: a tree may be deeper than a stack of calls.
        let mut paths = self.open_folder(&TreePath::root())?;
        while let Some(path) = paths.pop() {
            if self.entry(&path)? {
                paths.extend(self.open_folder(&path)?);
            }
        }
        Ok(())
    }

    /// Writes what a folder says about itself and gives its content, last name first.
    fn open_folder(&mut self, path: &TreePath) -> Result<Vec<TreePath>, WalkError> {
        if self.tree.is_opaque(path)? {
            self.write(&Entry::new(path.clone(), Kind::Opaque, 0))?;
        }
        Ok(self.tree.names(path)?.iter().rev().map(|name| path.child(name)).collect())
    }

    /// Writes one entry and tells whether it is a folder.
    fn entry(&mut self, path: &TreePath) -> Result<bool, WalkError> {
        let stat = self.tree.stat(path)?;
        let entry = match self.tree.kind(path, &stat, &mut self.first_names)? {
            None => return Ok(false),
            Some(Kind::Whiteout) => Entry::new(path.clone(), Kind::Whiteout, 0),
            Some(kind) => self.tree.described(path, kind, &stat)?,
        };
        match entry.kind {
            Kind::File { .. } => self.tar.append(&entry, &mut self.tree.content(path)?)?,
            _ => self.write(&entry)?,
        }
        Ok(entry.kind == Kind::Directory)
    }

    fn write(&mut self, entry: &Entry) -> Result<(), WalkError> {
        Ok(self.tar.append(entry, &mut io::empty())?)
    }
}
