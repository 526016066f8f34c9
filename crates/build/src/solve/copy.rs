//! COPY, ADD and WORKDIR: a planned layer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use minato_oci::{Layer, StagedLayer};

use super::stage::{Made, Solver};
use super::{Key, KeyBuilder};
use crate::copy::archive::is_archive;
use crate::copy::{Copier, CopyError, Owner, Selection, matches, owner_in, split_at_pivot};
use crate::error::StepError;
use crate::layer::{Content, LayerPlan, Target, Written, is_copied_at_once, key_of, write};
use crate::lower::{Copy, MakeFolder};
use crate::tree::{
    Context, Fingerprint, Kind, Node, Snapshot, StatCache, Tree, TreeError, normalise, resolve,
};

/// Where a COPY copies from.
pub(super) enum CopySource<'a> {
    Context,
    /// Layers, lowest first: a stage or an image.
    Layers(&'a [Layer]),
}

impl Solver<'_> {
    pub(super) fn make_folder(
        &self,
        folder: &MakeFolder,
        below: &[Layer],
        modified: i64,
    ) -> Result<Made, StepError> {
        let root = snapshot_of(below);
        let owner = match folder.owner.as_str() {
            "" => Owner::ROOT,
            user => owner_in(&root, user).map_err(CopyError::from)?,
        };
        let mut copier = Copier::new(Target::new(&root), Some(owner), None);
        copier.make_folders(&normalise(Path::new(&folder.path)))?;
        self.finish(&copier.target.into_plan(), modified, &StatCache::empty())
    }

    pub(super) fn copy(
        &self,
        copy: &Copy,
        source: &CopySource<'_>,
        below: &[Layer],
        modified: i64,
        warn: &dyn Fn(String),
    ) -> Result<Made, StepError> {
        let root = snapshot_of(below);
        let owner =
            copy.owner.as_deref().map(|text| owner_in(&root, text)).transpose().map_err(CopyError::from)?;
        let inputs = Inputs::of(self, source);
        let mut found = inputs.find_if_cheap(copy)?;
        let quick = inputs.quick_key(copy, owner, below, modified, found.as_deref())?;
        if let Some(layer) = quick.as_ref().and_then(|key| self.known(key).transpose()).transpose()? {
            return Ok(Made { layer, cached: true });
        }
        let found = match found.take() {
            Some(found) => found,
            None => inputs.find(copy)?,
        };
        if found.is_empty() && copy.texts.is_empty() {
            warn("no file matches; the step copies nothing".to_owned());
        }
        // Files of a context belong to root, whoever has checked it out, and have no privileges.
        let of_files = owner.or(inputs.layers.is_none().then_some(Owner::ROOT));
        let mut copier = Copier::new(Target::new(&root), of_files, copy.mode.clone());
        copier.owner_of_unpacked = owner;
        copier.capable = inputs.layers.is_some();
        let mut planning = Planning { copy, copier, tree: inputs.tree(), scratch: None, solver: self };
        planning.plan(&found).map_err(|error| inputs.explain(error))?;
        let made = self.finish(&planning.copier.target.into_plan(), modified, inputs.stat_cache())?;
        drop(planning.scratch);
        if let Some(key) = quick {
            self.remember(&key, &made.layer.diff_id)?;
        }
        Ok(made)
    }

    /// Looks the plan's layer up, or writes it.
    fn finish(&self, plan: &LayerPlan, modified: i64, stat_cache: &StatCache) -> Result<Made, StepError> {
        if !is_copied_at_once(plan, stat_cache) {
            let prints = fingerprint_all(plan, stat_cache)?;
            let key = key_of(plan, modified, |node| prints.of(node))?;
            let _lock = self.steps.lock(&key).map_err(StepError::Cache)?;
            if let Some(layer) = self.known(&key)? {
                return Ok(Made { layer, cached: true });
            }
            let (layer, _) = self.write_layer(plan, modified, stat_cache)?;
            self.remember(&key, &layer.diff_id)?;
            return Ok(Made { layer, cached: false });
        }
        let (layer, written) = self.write_layer(plan, modified, stat_cache)?;
        let key = key_of(plan, modified, |node| match written.fingerprints.get(&node.place) {
            Some(fingerprint) => Ok(*fingerprint),
            None => stat_cache.fingerprint(node),
        })?;
        self.remember(&key, &layer.diff_id)?;
        Ok(Made { layer, cached: false })
    }

    fn write_layer(
        &self,
        plan: &LayerPlan,
        modified: i64,
        stat_cache: &StatCache,
    ) -> Result<(Layer, Written), StepError> {
        let staged = self.store.stage_layer()?;
        let written = write(plan, modified, &staged.path(), stat_cache)?;
        fail::fail_point!("build.layer.before-commit");
        let layer = staged.commit(&written.diff_id, written.size)?;
        Ok((layer, written))
    }
}

/// The tree that a COPY reads, and what is known of it.
struct Inputs<'a> {
    context: &'a Context,
    /// Instead of the context: layers, and the tree that they make.
    layers: Option<(&'a [Layer], Snapshot)>,
    context_cache: &'a StatCache,
    no_cache: StatCache,
}

/// A source that was found.
struct Found {
    /// Its path in the source tree, which names the copy.
    path: PathBuf,
    /// For ADD: what stands there, links followed.
    node: Option<Node>,
    /// Whether it is to be unpacked.
    is_archive: bool,
    /// `--parents`: what is copied of this folder.
    pattern: Option<String>,
}

impl Found {
    /// Everything about an archive or a file that decides what ADD makes of it; `None` for anything else.
    fn describe(&self, cache: &StatCache) -> Result<Option<String>, TreeError> {
        let Some(node) = self.node.as_ref().filter(|node| node.kind == Kind::File) else { return Ok(None) };
        let print = hex::encode(cache.fingerprint(node)?);
        Ok(Some(format!("{} {print} {:o} {}", self.path.display(), node.mode, self.is_archive)))
    }
}

impl<'a> Inputs<'a> {
    fn of(solver: &Solver<'a>, source: &CopySource<'a>) -> Self {
        let layers = match source {
            CopySource::Context => None,
            CopySource::Layers(layers) => Some((*layers, snapshot_of(layers))),
        };
        Self {
            context: solver.context,
            layers,
            context_cache: solver.stat_cache,
            no_cache: StatCache::empty(),
        }
    }

    fn tree(&self) -> &dyn Tree {
        match &self.layers {
            Some((_, tree)) => tree,
            None => self.context,
        }
    }

    /// Layers never change: there is nothing to remember of their files.
    fn stat_cache(&self) -> &StatCache {
        if self.layers.is_some() { &self.no_cache } else { self.context_cache }
    }

    /// Layers are only looked into when their digests are not the answer already.
    fn find_if_cheap(&self, copy: &Copy) -> Result<Option<Vec<Found>>, StepError> {
        if self.layers.is_some() { Ok(None) } else { self.find(copy).map(Some) }
    }

    fn find(&self, copy: &Copy) -> Result<Vec<Found>, StepError> {
        let tree = self.tree();
        let mut found = Vec::new();
        for source in &copy.sources {
            let (source, pattern) = match copy.parents.then(|| split_at_pivot(source)) {
                Some((folder, pattern)) => (folder, Some(pattern)),
                None => (source.as_str(), None),
            };
            for path in matches(tree, source).map_err(|error| self.explain(error.into()))? {
                let node = if copy.unpack { tree.node(&resolve(tree, &path)?)? } else { None };
                let is_archive = node.as_ref().map_or(Ok(false), is_archive)?;
                found.push(Found { path, node, is_archive, pattern: pattern.clone() });
            }
        }
        Ok(found)
    }

    /// A key that needs no plan, where the inputs are known as a whole: layers by digest, or archives by content.
    fn quick_key(
        &self,
        copy: &Copy,
        owner: Option<Owner>,
        below: &[Layer],
        modified: i64,
        found: Option<&[Found]>,
    ) -> Result<Option<Key>, StepError> {
        let ids = |layers: &[Layer]| layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>();
        let inputs = match (&self.layers, found) {
            (Some((layers, _)), _) => ids(layers),
            (None, Some(found)) if found.iter().any(|it| it.is_archive) => {
                let prints = found.iter().map(|source| source.describe(self.context_cache));
                match prints.collect::<Result<Option<Vec<_>>, TreeError>>()? {
                    Some(prints) => prints,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let key = KeyBuilder::new("copy-2")
            .list("sources", &copy.sources)
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
    fn explain(&self, error: StepError) -> StepError {
        let StepError::Copy(CopyError::NotFound { path, .. }) = error else { return error };
        let (from, hint) = match self.layers {
            None => ("the build context", "; check its name, and that .dockerignore does not exclude it"),
            Some(_) => ("the stage or image that --from names", ""),
        };
        StepError::Copy(CopyError::NotFound { path, from: from.to_owned(), hint })
    }
}

/// A copy on its way to a plan.
struct Planning<'a, 'b> {
    copy: &'a Copy,
    copier: Copier<'a>,
    tree: &'a dyn Tree,
    /// Where archives are unpacked; gone when the layer is written.
    scratch: Option<StagedLayer>,
    solver: &'a Solver<'b>,
}

impl Planning<'_, '_> {
    fn plan(&mut self, found: &[Found]) -> Result<(), StepError> {
        let selection = Selection::all_but(&self.copy.exclude)?;
        let destination = &self.copy.destination;
        for source in found {
            match (&source.node, &source.pattern) {
                (Some(archive), _) if source.is_archive => self.unpack(archive)?,
                (_, Some(pattern)) => {
                    let (tree, folder) = (self.tree, &source.path);
                    self.copier.copy_with_parents(tree, folder, pattern, &selection, destination)?;
                }
                _ => self.copier.copy(self.tree, &source.path, &selection, destination)?,
            }
        }
        for (name, text) in &self.copy.texts {
            self.copier.copy_text(name, text, &self.copy.destination)?;
        }
        Ok(())
    }

    fn unpack(&mut self, archive: &Node) -> Result<(), StepError> {
        let scratch = match self.scratch.take() {
            Some(scratch) => scratch,
            None => self.solver.store.stage_layer()?,
        };
        let folder = tempfile::Builder::new().tempdir_in(scratch.path()).map_err(StepError::Cache)?.keep();
        self.scratch = Some(scratch);
        Ok(self.copier.unpack(archive, &self.copy.destination, &folder)?)
    }
}

pub(super) fn snapshot_of(layers: &[Layer]) -> Snapshot {
    Snapshot::new(layers.iter().map(|layer| layer.path.clone()).collect())
}

/// The fingerprints of a plan's files by place.
struct Fingerprints<'a> {
    read: HashMap<PathBuf, Fingerprint>,
    cache: &'a StatCache,
}

impl Fingerprints<'_> {
    fn of(&self, node: &Node) -> Result<Fingerprint, TreeError> {
        match self.cache.known(&node.identity) {
            Some(known) => Ok(known),
            None => {
                self.read.get(&node.place).map_or_else(|| self.cache.fingerprint(node), |print| Ok(*print))
            }
        }
    }
}

/// Reads the files that the cache does not know, on all processors.
fn fingerprint_all<'a>(plan: &LayerPlan, cache: &'a StatCache) -> Result<Fingerprints<'a>, TreeError> {
    let unknown: Vec<&Node> = plan
        .entries()
        .iter()
        .filter_map(|(_, entry)| match &entry.content {
            Content::File { source, .. } if cache.known(&source.identity).is_none() => Some(source.as_ref()),
            _ => None,
        })
        .collect();
    let next = AtomicUsize::new(0);
    let read = Mutex::new(HashMap::new());
    let work = || -> Result<(), TreeError> {
        while let Some(node) = unknown.get(next.fetch_add(1, Ordering::Relaxed)) {
            let fingerprint = cache.fingerprint(node)?;
            read.lock().unwrap_or_else(PoisonError::into_inner).insert(node.place.clone(), fingerprint);
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8).min(unknown.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        others.into_iter().fold(own, |result, other| match other.join() {
            Ok(other) => result.and(other),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(Fingerprints { read: read.into_inner().unwrap_or_else(PoisonError::into_inner), cache })
}
