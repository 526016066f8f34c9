//! COPY, ADD and WORKDIR: a planned layer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use minato_oci::{Digest, Layer, StagedLayer};

use super::stage::{Made, Solver};
use super::{Key, KeyBuilder};
use crate::copy::archive::{Detected, detect};
use crate::copy::{Copier, CopyError, Owner, matches, owner_in};
use crate::error::StepError;
use crate::layer::{Content, LayerPlan, Target, Written, is_mostly_unknown, key_of, write};
use crate::lower::{Copy, MakeFolder};
use crate::tree::{Node, Snapshot, StatCache, Tree, TreeError, normalise, resolve};

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
        let quick = quick_key(copy, owner, source, below, modified);
        if let Some(layer) = quick.as_ref().and_then(|key| self.known(key).transpose()).transpose()? {
            return Ok(Made { layer, cached: true });
        }
        let nothing = Snapshot::new(Vec::new());
        let target = Target::new(if copy.link { &nothing } else { &root });
        // Files of a context belong to root, whoever has checked it out.
        let default_owner = matches!(source, CopySource::Context).then_some(Owner::ROOT);
        let copier = Copier::new(target, owner.or(default_owner), copy.mode.clone());
        let no_cache = StatCache::empty();
        let layers_tree;
        let (tree, stat_cache): (&dyn Tree, &StatCache) = match source {
            CopySource::Context => (self.context, self.stat_cache),
            CopySource::Layers(layers) => {
                layers_tree = snapshot_of(layers);
                (&layers_tree, &no_cache)
            }
        };
        let mut planning = Planning { copy, copier, tree, scratch: None, solver: self, warn };
        planning.plan().map_err(|error| explain(error, source))?;
        let Planning { copier, scratch, .. } = planning;
        let made = self.finish(&copier.target.into_plan(), modified, stat_cache)?;
        drop(scratch);
        if let Some(key) = quick {
            self.remember(&key, &made.layer.diff_id)?;
        }
        Ok(made)
    }

    /// Looks the plan's layer up, or writes it.
    fn finish(&self, plan: &LayerPlan, modified: i64, stat_cache: &StatCache) -> Result<Made, StepError> {
        if !is_mostly_unknown(plan, stat_cache) {
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

/// The key of a copy whose inputs are layers alone: nothing needs to be looked at when they are the same as before.
fn quick_key(
    copy: &Copy,
    owner: Option<Owner>,
    source: &CopySource<'_>,
    below: &[Layer],
    modified: i64,
) -> Option<Key> {
    let CopySource::Layers(layers) = source else { return None };
    let ids = |layers: &[Layer]| layers.iter().map(|layer| layer.diff_id).collect::<Vec<Digest>>();
    let below = if copy.link { Vec::new() } else { ids(below) };
    let texts = copy.texts.iter().flat_map(|(name, text)| [name, text]);
    let key = KeyBuilder::new("copy-1")
        .list("sources", &copy.sources)
        .list("texts", texts)
        .text("destination", &copy.destination)
        .text("owner", &format!("{owner:?}"))
        .text("mode", &format!("{:?}", copy.mode))
        .text("modified", &modified.to_string())
        .list("from", ids(layers))
        .list("below", below);
    Some(key.finish())
}

/// A copy on its way to a plan.
struct Planning<'a, 'b> {
    copy: &'a Copy,
    copier: Copier<'a>,
    tree: &'a dyn Tree,
    /// Where archives are unpacked; gone when the layer is written.
    scratch: Option<StagedLayer>,
    solver: &'a Solver<'b>,
    warn: &'a dyn Fn(String),
}

impl Planning<'_, '_> {
    fn plan(&mut self) -> Result<(), StepError> {
        let mut copied = !self.copy.texts.is_empty();
        for source in &self.copy.sources {
            for path in matches(self.tree, source)? {
                self.take(&path)?;
                copied = true;
            }
        }
        for (name, text) in &self.copy.texts {
            self.copier.copy_text(name, text, &self.copy.destination)?;
        }
        if !copied {
            (self.warn)("no file matches; the step copies nothing".to_owned());
        }
        Ok(())
    }

    fn take(&mut self, path: &Path) -> Result<(), StepError> {
        if self.copy.unpack {
            let node = self.tree.node(&resolve(self.tree, path)?)?;
            if let Some(node) = node
                && matches!(detect(&node)?, Detected::Archive)
            {
                return self.unpack(&node);
            }
        }
        Ok(self.copier.copy(self.tree, path, &self.copy.destination)?)
    }

    fn unpack(&mut self, archive: &Node) -> Result<(), StepError> {
        if self.scratch.is_none() {
            self.scratch = Some(self.solver.store.stage_layer()?);
        }
        let Some(scratch) = &self.scratch else { return Ok(()) };
        let folder = tempfile::Builder::new().tempdir_in(scratch.path()).map_err(StepError::Cache)?.keep();
        Ok(self.copier.unpack(archive, &self.copy.destination, &folder)?)
    }
}

/// Says where a missing source was looked for.
fn explain(error: StepError, source: &CopySource<'_>) -> StepError {
    match (error, source) {
        (StepError::Copy(CopyError::NotFound { path, .. }), CopySource::Context) => {
            let hint = "; check its name, and that .dockerignore does not exclude it";
            StepError::Copy(CopyError::NotFound { path, from: "the build context".to_owned(), hint })
        }
        (StepError::Copy(CopyError::NotFound { path, .. }), CopySource::Layers(_)) => {
            let from = "the stage or image that --from names".to_owned();
            StepError::Copy(CopyError::NotFound { path, from, hint: "" })
        }
        (error, _) => error,
    }
}

pub(super) fn snapshot_of(layers: &[Layer]) -> Snapshot {
    Snapshot::new(layers.iter().map(|layer| layer.path.clone()).collect())
}

/// The fingerprints of a plan's files by place.
struct Fingerprints<'a> {
    read: HashMap<PathBuf, crate::tree::Fingerprint>,
    cache: &'a StatCache,
}

impl Fingerprints<'_> {
    fn of(&self, node: &Node) -> Result<crate::tree::Fingerprint, TreeError> {
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
        .values()
        .filter_map(|entry| match &entry.content {
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
