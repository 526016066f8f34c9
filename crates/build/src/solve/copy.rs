//! COPY, ADD and WORKDIR: a planned layer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use minato_dockerfile::ignore::Ignore;
use minato_oci::{Layer, StagedLayer};

use super::inputs::{Found, Inputs};
use super::stage::{Made, Solver};
use crate::copy::{Copier, CopyError, Owner, Selection, owner_in};
use crate::error::StepError;
use crate::layer::{Content, LayerPlan, Target, Written, is_copied_at_once, key_of, write};
use crate::lower::{Copy, MakeFolder};
use crate::tree::{Context, Fingerprint, Node, Snapshot, StatCache, Tree, TreeError, normalise};
use crate::trees::OpenTree;

/// Where a COPY copies from.
pub(super) enum CopySource<'a> {
    /// The context, or a named one.
    Tree(&'a OpenTree),
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
        let of_files = owner.or((!inputs.are_layers()).then_some(Owner::ROOT));
        let mut copier = Copier::new(Target::new(&root), of_files, copy.mode.clone());
        copier.owner_of_unpacked = owner;
        copier.capable = inputs.are_layers();
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
        for source in found {
            self.plan_one(source, &selection)?;
        }
        for (name, text) in &self.copy.texts {
            self.copier.copy_text(name, text, &self.copy.destination)?;
        }
        Ok(())
    }

    fn plan_one(&mut self, source: &Found, selection: &Selection) -> Result<(), StepError> {
        let destination = &self.copy.destination;
        match source {
            Found::Archive { node, .. } | Found::File { node, is_archive: true, .. } => {
                let folder = self.scratch_folder()?;
                self.copier.unpack(node, destination, &folder)?;
            }
            Found::File { file, node, .. } => {
                self.copier.copy_file(node.clone(), &file.name, destination)?;
            }
            Found::Path { path, pattern: Some(pattern), .. } => {
                self.copier.copy_with_parents(self.tree, path, pattern, selection, destination)?;
            }
            Found::Path { path, .. } => self.copier.copy(self.tree, path, selection, destination)?,
            Found::Commit { address, commit } => {
                let folder = self.scratch_folder()?;
                let tree = self.solver.remotes.check_out(address, commit, &folder)?;
                let tree = Context::new(tree.folder, Ignore::default());
                self.copier.copy(&tree, Path::new(""), selection, destination)?;
            }
        }
        Ok(())
    }

    /// An empty folder that is there until the layer is written.
    fn scratch_folder(&mut self) -> Result<PathBuf, StepError> {
        let scratch = match self.scratch.take() {
            Some(scratch) => scratch,
            None => self.solver.store.stage_layer()?,
        };
        let folder = tempfile::Builder::new().tempdir_in(scratch.path()).map_err(StepError::Cache)?.keep();
        self.scratch = Some(scratch);
        Ok(folder)
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
