//! The root file system that layers make together, written as one tar.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::entry::{Entry, Kind, TreePath};
use super::layer_tree::{FirstNames, LayerTree, WalkError};
use super::writer::TarWriter;

/// Writes what the trees in overlay form at `trees`, lowest first, make together: an ordinary tar without whiteouts,
/// sorted, the same bytes for the same layers.
///
/// # Errors
/// As [`super::write_tar`].
pub fn write_merged_tar<W: Write>(trees: &[PathBuf], out: W) -> Result<W, WalkError> {
    let opened = trees.iter().rev().map(|tree| LayerTree::open(tree)).collect::<Result<Vec<_>, _>>()?;
    let mut merge = Merge { trees: opened, tar: TarWriter::new(out), first_names: FirstNames::new() };
    merge.run()?;
    merge.tar.finish().map_err(|source| WalkError::Io { path: Path::new("tar").to_owned(), source })
}

struct Merge<'a, W: Write> {
    /// Uppermost first.
    trees: Vec<LayerTree<'a>>,
    tar: TarWriter<W>,
    first_names: FirstNames,
}

/// A path to write, and the trees that may have something there, by number.
struct Open {
    path: TreePath,
    from: Vec<usize>,
}

impl<W: Write> Merge<'_, W> {
    fn run(&mut self) -> Result<(), WalkError> {
        let all = (0..self.trees.len()).collect();
        // The next one last: a tree may be deeper than a stack of calls.
        let mut open = self.names(&TreePath::root(), all)?;
        while let Some(Open { path, from }) = open.pop() {
            if let Some(folder) = self.entry(&path, &from)? {
                open.extend(self.names(&path, folder)?);
            }
        }
        Ok(())
    }

    /// What a folder holds, last name first. `from`: the trees that have the folder.
    fn names(&self, path: &TreePath, from: Vec<usize>) -> Result<Vec<Open>, WalkError> {
        let mut names: BTreeMap<OsString, Vec<usize>> = BTreeMap::new();
        for tree in from {
            for name in self.trees[tree].names(path)? {
                names.entry(name).or_default().push(tree);
            }
            if self.trees[tree].is_opaque(path)? {
                break;
            }
        }
        Ok(names.into_iter().rev().map(|(name, from)| Open { path: path.child(&name), from }).collect())
    }

    /// Writes what the uppermost tree has at `path`. Of a folder: the trees whose content it shows.
    fn entry(&mut self, path: &TreePath, from: &[usize]) -> Result<Option<Vec<usize>>, WalkError> {
        let Some((top, below)) = from.split_first() else { return Ok(None) };
        let tree = &self.trees[*top];
        let stat = tree.stat(path)?;
        let kind = match tree.kind(path, &stat, &mut self.first_names)? {
            None | Some(Kind::Whiteout) => return Ok(None),
            Some(kind) => kind,
        };
        let entry: Entry = tree.described(path, kind, &stat)?;
        match entry.kind {
            Kind::File { .. } => self.tar.append(&entry, &mut tree.content(path)?)?,
            _ => self.tar.append(&entry, &mut io::empty())?,
        }
        if entry.kind != Kind::Directory {
            return Ok(None);
        }
        let mut shown = vec![*top];
        for tree in below {
            // A file or a whiteout in between hides what lies below it.
            if !self.trees[*tree].is_folder(path)? {
                break;
            }
            shown.push(*tree);
        }
        Ok(Some(shown))
    }
}
