//! What a COPY or ADD names, found: paths of a tree, files and commits that were fetched; and the key that they give.

use std::path::PathBuf;

use minato_oci::Layer;

use super::copy::{CopySource, snapshot_of};
use super::stage::Solver;
use super::{Key, KeyBuilder};
use crate::copy::archive::is_archive;
use crate::copy::{CopyError, Owner, matches, split_at_pivot};
use crate::error::StepError;
use crate::lower::{Copy, TransferSource};
use crate::remote::{Commit, GitAddress, RemoteFile, Remotes};
use crate::tree::{Kind, Node, Snapshot, StatCache, Tree, TreeError, resolve};
use crate::trees::OpenTree;

/// The tree that a COPY reads, and what is known of it.
pub(super) struct Inputs<'a> {
    tree: SourceTree<'a>,
    /// What is known of files in layers, which never change.
    nothing: StatCache,
    remotes: &'a Remotes<'a>,
}

enum SourceTree<'a> {
    Folder(&'a OpenTree),
    Layers(&'a [Layer], Snapshot),
}

/// A source that was found.
pub(super) enum Found {
    /// Something in the source tree.
    Path {
        /// Names the copy.
        path: PathBuf,
        /// `--parents`: what is copied of this folder.
        pattern: Option<String>,
        /// Where archives would be unpacked: what stands there, links followed.
        node: Option<Node>,
    },
    /// An archive in the source tree, to be unpacked.
    Archive { path: PathBuf, node: Node },
    /// A file that was fetched.
    File { file: RemoteFile, node: Node, is_archive: bool },
    /// A commit that was fetched, to be checked out.
    Commit { address: GitAddress, commit: Commit },
}

impl Found {
    /// Everything about a single file, an archive or a commit that decides what becomes of it; `None` for a folder.
    fn describe(&self, cache: &StatCache) -> Result<Option<String>, TreeError> {
        let of_file = |kind: &str, path: &PathBuf, node: &Node| {
            let print = hex::encode(cache.fingerprint(node)?);
            Ok(Some(format!("{kind} {} {print} {:o}", path.display(), node.mode)))
        };
        match self {
            Self::Path { path, node: Some(node), .. } if node.kind == Kind::File => {
                of_file("path", path, node)
            }
            Self::Path { .. } => Ok(None),
            Self::Archive { path, node } => of_file("archive", path, node),
            Self::File { file, is_archive, .. } => {
                Ok(Some(format!("file {} {} {is_archive}", file.name, file.digest)))
            }
            Self::Commit { address, commit } => Ok(Some(format!("commit {commit} {}", address.describe()))),
        }
    }
}

impl<'a> Inputs<'a> {
    pub(super) fn of(solver: &'a Solver<'a>, source: &CopySource<'a>) -> Self {
        let tree = match source {
            CopySource::Tree(tree) => SourceTree::Folder(tree),
            CopySource::Layers(layers) => SourceTree::Layers(layers, snapshot_of(layers)),
        };
        Self { tree, nothing: StatCache::empty(), remotes: &solver.remotes }
    }

    pub(super) fn tree(&self) -> &dyn Tree {
        match &self.tree {
            SourceTree::Folder(open) => &open.context,
            SourceTree::Layers(_, tree) => tree,
        }
    }

    /// Whether files come from layers, with owners and privileges of their own.
    pub(super) fn are_layers(&self) -> bool {
        matches!(self.tree, SourceTree::Layers(..))
    }

    pub(super) fn stat_cache(&self) -> &StatCache {
        match &self.tree {
            SourceTree::Folder(open) => &open.stat_cache,
            SourceTree::Layers(..) => &self.nothing,
        }
    }

    /// Layers are only looked into when their digests are not the answer already.
    pub(super) fn find_if_cheap(&self, copy: &Copy) -> Result<Option<Vec<Found>>, StepError> {
        if self.are_layers() { Ok(None) } else { self.find(copy).map(Some) }
    }

    pub(super) fn find(&self, copy: &Copy) -> Result<Vec<Found>, StepError> {
        let mut found = Vec::new();
        for source in &copy.sources {
            match source {
                TransferSource::Path(path) => self.find_path(copy, path, &mut found)?,
                TransferSource::Http { address, checksum, unpack } => {
                    let file = self.remotes.file(address, checksum.as_ref())?;
                    let node = Node::at(file.place.clone())?;
                    let node = node.ok_or_else(|| TreeError::Changed { place: file.place.clone() })?;
                    let is_archive = *unpack && is_archive(&node)?;
                    found.push(Found::File { file, node, is_archive });
                }
                TransferSource::Git(address) => {
                    let commit = self.remotes.commit(address)?;
                    found.push(Found::Commit { address: address.clone(), commit });
                }
            }
        }
        Ok(found)
    }

    fn find_path(&self, copy: &Copy, source: &str, found: &mut Vec<Found>) -> Result<(), StepError> {
        let tree = self.tree();
        let (source, pattern) = match copy.parents.then(|| split_at_pivot(source)) {
            Some((folder, pattern)) => (folder, Some(pattern)),
            None => (source, None),
        };
        for path in matches(tree, source).map_err(|error| self.explain(error.into()))? {
            let node = if copy.unpack { tree.node(&resolve(tree, &path)?)? } else { None };
            found.push(match node {
                Some(node) if is_archive(&node)? => Found::Archive { path, node },
                node => Found::Path { path, pattern: pattern.clone(), node },
            });
        }
        Ok(())
    }

    /// A key that needs no plan, where the inputs are known as a whole: layers by digest, archives by content, what was
    /// fetched by digest or commit.
    pub(super) fn quick_key(
        &self,
        copy: &Copy,
        owner: Option<Owner>,
        below: &[Layer],
        modified: i64,
        found: Option<&[Found]>,
    ) -> Result<Option<Key>, StepError> {
        let ids = |layers: &[Layer]| layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>();
        let is_path = |found: &Found| matches!(found, Found::Path { .. });
        let inputs = match (&self.tree, found) {
            (SourceTree::Layers(layers, _), _) => ids(layers),
            (SourceTree::Folder(_), Some(found)) if !found.iter().all(is_path) => {
                let prints = found.iter().map(|source| source.describe(self.stat_cache()));
                match prints.collect::<Result<Option<Vec<_>>, TreeError>>()? {
                    Some(prints) => prints,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let key = KeyBuilder::new("copy-2")
            .list("sources", copy.sources.iter().map(|source| format!("{source:?}")))
            .list("texts", copy.texts.iter().flat_map(|(name, text)| [name, text]))
            .text("destination", &copy.destination)
            .text("owner", &format!("{owner:?}"))
            .text("mode", &format!("{:?}", copy.mode))
            .list("exclude", &copy.exclude)
            .text("unpack, parents", &format!("{} {}", copy.unpack, copy.parents))
            .text("modified", &modified.to_string())
            .list("inputs", inputs)
            .list("below", ids(below));
        Ok(Some(key.finish()))
    }

    /// Says where a missing source was looked for.
    pub(super) fn explain(&self, error: StepError) -> StepError {
        let StepError::Copy(CopyError::NotFound { path, .. }) = error else { return error };
        let (from, hint) = match self.are_layers() {
            false => ("the build context", "; check its name, and that .dockerignore does not exclude it"),
            true => ("the stage or image that --from names", ""),
        };
        StepError::Copy(CopyError::NotFound { path, from: from.to_owned(), hint })
    }
}
